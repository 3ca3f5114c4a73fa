// The disk port on a real file system. Appends are synchronous (13 µs for 64 KiB into the page cache, a tenth of what the
// thread pool costs) and only syncs and reads go to the thread pool. Called by the broker's composition root.
import {
  closeSync,
  constants,
  existsSync,
  fdatasync,
  fstatSync,
  fsync,
  ftruncateSync,
  mkdirSync,
  openSync,
  read,
  readdirSync,
  readSync,
  renameSync,
  rmdirSync,
  rmSync,
  statfsSync,
  statSync,
  unlinkSync,
  writeSync,
  writevSync,
} from "node:fs";
import { join } from "node:path";
import { type Disk, type DiskFile, StorageError } from "./ports.ts";

/** Chunks per system call; below every platform's limit. */
const CHUNKS_PER_WRITE = 512;

/** @param root the data directory, absolute or relative to the working directory; made when it does not exist */
export function openRealDisk(root: string): Disk {
  attempt(root, () => mkdirSync(root, { recursive: true }));
  return new RealDisk(root);
}

class RealDisk implements Disk {
  readonly #root: string;

  constructor(root: string) {
    this.#root = root;
  }

  open(path: string, options: { readonly create: boolean }): DiskFile {
    const { O_RDWR, O_APPEND, O_CREAT, O_EXCL } = constants;
    const flags = O_RDWR | O_APPEND | (options.create ? O_CREAT | O_EXCL : 0);
    const descriptor = attempt(path, () => openSync(this.#absolute(path), flags, 0o640));
    const size = attempt(path, () => fstatSync(descriptor).size);
    return new RealFile(path, descriptor, size);
  }

  exists(path: string): boolean {
    const absolute = this.#absolute(path);
    // existsSync answers false for every error; only "there is none" may mean that.
    if (existsSync(absolute)) return true;
    return attempt(path, () => statSync(absolute, { throwIfNoEntry: false })) !== undefined;
  }

  list(directory: string): string[] {
    if (!this.exists(directory)) return [];
    return attempt(directory, () => readdirSync(this.#absolute(directory)).sort());
  }

  makeDirectory(path: string): void {
    if (this.exists(path)) return;
    attempt(path, () => mkdirSync(this.#absolute(path)));
  }

  rename(from: string, to: string): void {
    attempt(from, () => renameSync(this.#absolute(from), this.#absolute(to)));
  }

  remove(path: string): void {
    const absolute = this.#absolute(path);
    attempt(path, () => {
      if (statSync(absolute).isDirectory()) rmdirSync(absolute);
      else unlinkSync(absolute);
    });
  }

  removeTree(path: string): void {
    attempt(path, () => rmSync(this.#absolute(path), { recursive: true, force: true }));
  }

  syncDirectory(directory: string): Promise<void> {
    return new Promise((resolve, reject) => {
      const flags = constants.O_RDONLY | constants.O_DIRECTORY;
      const descriptor = attempt(directory, () => openSync(this.#absolute(directory), flags));
      fsync(descriptor, (error) => {
        closeSync(descriptor);
        if (error === null) resolve();
        else reject(storageErrorOf(directory, error));
      });
    });
  }

  freeBytes(): number {
    const { bavail, bsize } = attempt("", () => statfsSync(this.#root));
    return bavail * bsize;
  }

  #absolute(path: string): string {
    return join(this.#root, path);
  }
}

class RealFile implements DiskFile {
  readonly path: string;
  readonly #descriptor: number;
  #size: number;
  /** Reads and syncs in the thread pool. The descriptor is closed after the last: its number may be given out again. */
  #inFlight = 0;
  #isClosed = false;

  constructor(path: string, descriptor: number, size: number) {
    this.path = path;
    this.#descriptor = descriptor;
    this.#size = size;
  }

  get size(): number {
    return this.#size;
  }

  append(chunks: readonly Uint8Array[]): void {
    this.#check();
    const before = this.#size;
    try {
      for (let from = 0; from < chunks.length; from += CHUNKS_PER_WRITE) {
        this.#write(chunks.slice(from, from + CHUNKS_PER_WRITE));
      }
    } catch (error) {
      // A full disk leaves the file as it was, so that the caller may go on when there is room again.
      if (isFull(error)) attempt(this.path, () => ftruncateSync(this.#descriptor, before));
      if (isFull(error)) this.#size = before;
      throw storageErrorOf(this.path, error);
    }
  }

  read(position: number, length: number): Promise<Buffer> {
    return this.#background((resolve, reject) => {
      const buffer = Buffer.allocUnsafeSlow(this.#readable(position, length));
      const readFrom = (done: number): void => {
        if (done === buffer.length) {
          resolve(buffer);
          return;
        }
        const rest = buffer.length - done;
        read(this.#descriptor, buffer, done, rest, position + done, (error, count) => {
          if (error !== null) reject(storageErrorOf(this.path, error));
          else if (count === 0) resolve(buffer.subarray(0, done));
          else readFrom(done + count);
        });
      };
      readFrom(0);
    });
  }

  readSync(position: number, length: number): Buffer {
    this.#check();
    const buffer = Buffer.allocUnsafeSlow(this.#readable(position, length));
    let done = 0;
    while (done < buffer.length) {
      const rest = buffer.length - done;
      const at = done;
      const count = attempt(this.path, () =>
        readSync(this.#descriptor, buffer, at, rest, position + at),
      );
      if (count === 0) break;
      done += count;
    }
    return buffer.subarray(0, done);
  }

  truncate(size: number): void {
    this.#check();
    if (size >= this.#size) return;
    attempt(this.path, () => ftruncateSync(this.#descriptor, size));
    this.#size = size;
  }

  sync(): Promise<void> {
    return this.#background((resolve, reject) => {
      fdatasync(this.#descriptor, (error) => {
        if (error === null) resolve();
        else reject(storageErrorOf(this.path, error));
      });
    });
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    if (this.#inFlight === 0) closeSync(this.#descriptor);
  }

  #readable(position: number, length: number): number {
    return Math.max(0, Math.min(length, this.#size - position));
  }

  #write(chunks: readonly Uint8Array[]): void {
    let rest = chunks;
    while (rest.length > 0) {
      const [first] = rest;
      const written =
        rest.length === 1 && first !== undefined
          ? writeSync(this.#descriptor, first)
          : writevSync(this.#descriptor, rest as Uint8Array[]);
      this.#size += written;
      rest = withoutFirst(rest, written);
    }
  }

  #background<T>(
    run: (resolve: (value: T) => void, reject: (error: Error) => void) => void,
  ): Promise<T> {
    this.#check();
    this.#inFlight += 1;
    const leave = (): void => {
      this.#inFlight -= 1;
      if (this.#isClosed && this.#inFlight === 0) closeSync(this.#descriptor);
    };
    return new Promise<T>(run).finally(leave);
  }

  #check(): void {
    if (this.#isClosed) throw new StorageError("io", this.path, "the file is closed");
  }
}

/** What remains of `chunks` after their first `bytes` bytes were written. */
function withoutFirst(chunks: readonly Uint8Array[], bytes: number): readonly Uint8Array[] {
  let skipped = 0;
  for (const [number, chunk] of chunks.entries()) {
    if (skipped + chunk.length > bytes) {
      const rest = chunks.slice(number);
      rest[0] = chunk.subarray(bytes - skipped);
      return rest;
    }
    skipped += chunk.length;
  }
  return [];
}

function attempt<T>(path: string, run: () => T): T {
  try {
    return run();
  } catch (error) {
    throw storageErrorOf(path, error);
  }
}

function isFull(error: unknown): boolean {
  const code = codeOf(error);
  return code === "ENOSPC" || code === "EDQUOT";
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && "code" in error ? error.code : undefined;
}

/** Only "there is none" counts as missing: a lost permission or a read-only disk must never look like an empty log. */
function storageErrorOf(path: string, error: unknown): StorageError {
  if (error instanceof StorageError) return error;
  const message = error instanceof Error ? error.message : String(error);
  if (isFull(error)) return new StorageError("full", path, message, { cause: error });
  const kind = codeOf(error) === "ENOENT" ? "missing" : "io";
  return new StorageError(kind, path, message, { cause: error });
}
