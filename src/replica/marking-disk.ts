// A disk that leaves the mark of storage-failure.ts whenever a sync fails, whoever asked for it: after any failed fsync the
// kernel may call lost pages clean, so no later sync of this directory proves anything. A file that found no room while it has a
// temporary name is no such case: nothing relies on it yet, and nothing will. Put around the real disk by the broker;
// everything else passes through.
import { type Disk, type DiskFile, StorageError } from "../log/ports.ts";
import { markStorageFailed } from "./storage-failure.ts";

export class MarkingDisk implements Disk {
  readonly #disk: Disk;
  /** Open files by their temporary names. */
  readonly #temporary = new Map<string, MarkingFile>();

  constructor(disk: Disk) {
    this.#disk = disk;
  }

  open(path: string, options: { readonly create: boolean }): DiskFile {
    const file = new MarkingFile(this.#disk.open(path, options), this.#disk, this.#temporary);
    if (path.endsWith(".tmp")) this.#temporary.set(path, file);
    return file;
  }

  async syncDirectory(directory: string): Promise<void> {
    await marking(this.#disk, this.#disk.syncDirectory(directory), isAboutTheDisk);
  }

  exists(path: string): boolean {
    return this.#disk.exists(path);
  }
  list(directory: string): string[] {
    return this.#disk.list(directory);
  }
  makeDirectory(path: string): void {
    this.#disk.makeDirectory(path);
  }
  rename(from: string, to: string): void {
    this.#disk.rename(from, to);
    this.#temporary.delete(from);
  }
  remove(path: string): void {
    this.#disk.remove(path);
  }
  removeTree(path: string): void {
    this.#disk.removeTree(path);
  }
  freeBytes(): number {
    return this.#disk.freeBytes();
  }
}

class MarkingFile implements DiskFile {
  readonly #file: DiskFile;
  readonly #disk: Disk;
  readonly #temporary: Map<string, MarkingFile>;

  constructor(file: DiskFile, disk: Disk, temporary: Map<string, MarkingFile>) {
    this.#file = file;
    this.#disk = disk;
    this.#temporary = temporary;
  }

  get path(): string {
    return this.#file.path;
  }
  get size(): number {
    return this.#file.size;
  }

  sync(): Promise<void> {
    const isFatal = this.#isTemporary ? isAboutMoreThanRoom : isAboutTheDisk;
    return marking(this.#disk, this.#file.sync(), isFatal);
  }

  append(chunks: readonly Uint8Array[]): void {
    this.#file.append(chunks);
  }
  read(position: number, length: number): Promise<Buffer> {
    return this.#file.read(position, length);
  }
  readSync(position: number, length: number): Buffer {
    return this.#file.readSync(position, length);
  }
  truncate(size: number): void {
    this.#file.truncate(size);
  }
  close(): void {
    if (this.#isTemporary) this.#temporary.delete(this.path);
    this.#file.close();
  }

  get #isTemporary(): boolean {
    return this.#temporary.get(this.path) === this;
  }
}

async function marking(
  disk: Disk,
  sync: Promise<void>,
  isFatal: (error: unknown) => boolean,
): Promise<void> {
  try {
    await sync;
  } catch (error) {
    if (isFatal(error)) markStorageFailed(disk);
    throw error;
  }
}

function isAboutMoreThanRoom(error: unknown): boolean {
  return isAboutTheDisk(error) && (error as StorageError).kind !== "full";
}

/** Not a file that was closed meanwhile. */
function isAboutTheDisk(error: unknown): boolean {
  if (!(error instanceof StorageError) || (error.kind !== "io" && error.kind !== "full"))
    return false;
  const { cause } = error;
  return !(cause instanceof Error && "code" in cause && cause.code === "EBADF");
}
