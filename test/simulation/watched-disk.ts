// Passes a disk's operations on, tells the view of it what happened (invariants/disk-view.ts), and lets a machine die at
// any of them. Made by sim-disk.ts for each incarnation.
import type { Disk, DiskFile } from "../../src/log/ports.ts";
import type { DiskView, FileView } from "./invariants/disk-view.ts";

/** Called before each operation that changes the disk. Throws when the machine dies here. */
export type OperationHook = (path: string) => void;

export interface DiskWatchers {
  readonly view: DiskView;
  readonly before: OperationHook;
  /** A whole file, past all faults. */
  readonly readWhole: (path: string) => Buffer;
  /** The broker looks how much is left. */
  readonly onFreeBytes: (bytes: number) => void;
}

export class WatchedDisk implements Disk {
  readonly #inner: Disk;
  readonly #view: DiskView;
  readonly #before: OperationHook;
  readonly #readWhole: (path: string) => Buffer;
  readonly #onFreeBytes: (bytes: number) => void;

  constructor(inner: Disk, { before, onFreeBytes, readWhole, view }: DiskWatchers) {
    this.#inner = inner;
    this.#view = view;
    this.#before = before;
    this.#readWhole = readWhole;
    this.#onFreeBytes = onFreeBytes;
  }

  open(path: string, options: { readonly create: boolean }): DiskFile {
    if (options.create) this.#before(path);
    const file = this.#inner.open(path, options);
    const known = options.create
      ? this.#view.created(path)
      : this.#view.opened(path, () => this.#readWhole(path));
    return new WatchedFile(file, known, this.#view, this.#before);
  }

  exists(path: string): boolean {
    return this.#inner.exists(path);
  }

  list(directory: string): string[] {
    return this.#inner.list(directory);
  }

  makeDirectory(path: string): void {
    this.#before(path);
    this.#inner.makeDirectory(path);
  }

  rename(from: string, to: string): void {
    this.#before(to);
    this.#inner.rename(from, to);
    this.#view.renamed(from, to, () => this.#readWhole(to));
  }

  remove(path: string): void {
    this.#before(path);
    this.#inner.remove(path);
    this.#view.removed(path);
  }

  removeTree(path: string): void {
    this.#before(path);
    this.#inner.removeTree(path);
  }

  async syncDirectory(directory: string): Promise<void> {
    this.#before(directory);
    await this.#inner.syncDirectory(directory);
    this.#view.directorySynced(directory);
    this.#before(directory);
  }

  freeBytes(): number {
    const bytes = this.#inner.freeBytes();
    this.#onFreeBytes(bytes);
    return bytes;
  }
}

class WatchedFile implements DiskFile {
  readonly #inner: DiskFile;
  readonly #known: FileView | undefined;
  readonly #view: DiskView;
  readonly #before: OperationHook;

  constructor(inner: DiskFile, known: FileView | undefined, view: DiskView, before: OperationHook) {
    this.#inner = inner;
    this.#known = known;
    this.#view = view;
    this.#before = before;
  }

  get path(): string {
    return this.#inner.path;
  }

  get size(): number {
    return this.#inner.size;
  }

  append(chunks: readonly Uint8Array[]): void {
    this.#before(this.path);
    this.#inner.append(chunks);
    if (this.#known !== undefined) this.#view.appended(this.#known, chunks);
  }

  async read(position: number, length: number): Promise<Buffer> {
    return this.#inner.read(position, length);
  }

  readSync(position: number, length: number): Buffer {
    return this.#inner.readSync(position, length);
  }

  truncate(size: number): void {
    this.#before(this.path);
    this.#inner.truncate(size);
    if (this.#known?.kind === "segment") this.#view.cut(this.#known, size);
  }

  async sync(): Promise<void> {
    this.#before(this.path);
    const done = this.#known === undefined ? undefined : this.#view.syncBegun(this.#known);
    await this.#inner.sync();
    done?.();
    this.#before(this.path);
  }

  close(): void {
    this.#inner.close();
  }
}
