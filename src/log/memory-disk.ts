// A data directory in memory that knows what a real disk would have kept: every file and directory remembers the
// operations that were not synced, and a power cut undoes them and lets only some happen. Used by tests and simulations.
// A power cut keeps everything synced and, independently per file and directory, some of the rest (memory-tree.ts).
import type { Random } from "../base/random.ts";
import {
  appendTo,
  change,
  crashDirectory,
  type DirectoryNode,
  type FileNode,
  type NameChange,
  type Node,
  newDirectory,
  newFile,
  usedBytes,
} from "./memory-tree.ts";
import { type Disk, type DiskFile, StorageError } from "./ports.ts";

const UNLIMITED_BYTES = 2 ** 40;

export interface MemoryDiskOptions {
  /** What freeBytes() starts from; appends beyond it fail with "full". Default: nothing is ever full. */
  readonly capacityBytes?: number | undefined;
}

/** Shared by a disk and its open files. */
interface Power {
  isOn: boolean;
  /** How long a sync takes; what was written before the call is durable when it resolves. Default: a turn. */
  syncWait: (path: string) => Promise<void>;
}

export class MemoryDisk implements Disk {
  readonly #root: DirectoryNode;
  readonly #power: Power;
  #capacityBytes: number | undefined;

  constructor(options: MemoryDiskOptions = {}, root: DirectoryNode = newDirectory()) {
    this.#root = root;
    this.#power = { isOn: true, syncWait: () => Promise.resolve() };
    this.#capacityBytes = options.capacityBytes;
  }

  /**
   * Power cut: the disk as it is found afterwards. This object and its open files fail from now on, so that code of the
   * process that "died" can do no harm.
   */
  crash(random: Random): MemoryDisk {
    this.#power.isOn = false;
    const options = { capacityBytes: this.#capacityBytes };
    return new MemoryDisk(options, crashDirectory(this.#root, random));
  }

  /** The process dies, the machine does not: page cache and unsynced operations stay. This object fails from now on. */
  detach(): MemoryDisk {
    this.#power.isOn = false;
    return new MemoryDisk({ capacityBytes: this.#capacityBytes }, this.#root);
  }

  /** Syncs begun from now on take as long as `wait` does: simulations give the disk a latency. */
  setSyncWait(wait: (path: string) => Promise<void>): void {
    this.#power.syncWait = wait;
  }

  /** Makes the disk smaller or larger; undefined: nothing is ever full. */
  setCapacity(bytes: number | undefined): void {
    this.#capacityBytes = bytes;
  }

  /** Damage at rest: `change` alters what the medium holds of a file, and nobody is told. */
  damage(path: string, change: (bytes: Buffer) => void): void {
    const node = this.#find(path);
    if (node?.kind !== "file") throw new StorageError("missing", path, "no such file");
    change(node.data.subarray(0, node.size));
  }

  open(path: string, options: { readonly create: boolean }): DiskFile {
    this.#check(path);
    const { directory, name } = this.#parentOf(path);
    const found = directory.entries.get(name);
    if (options.create) {
      if (found !== undefined) throw new StorageError("io", path, "exists already");
      const node: FileNode = newFile();
      change(directory, [{ name, before: undefined, after: node }]);
      return new MemoryFile(path, node, this.#power, () => this.freeBytes());
    }
    if (found === undefined) throw new StorageError("missing", path, "no such file");
    if (found.kind !== "file") throw new StorageError("io", path, "is a directory");
    return new MemoryFile(path, found, this.#power, () => this.freeBytes());
  }

  exists(path: string): boolean {
    this.#check(path);
    return this.#find(path) !== undefined;
  }

  list(directory: string): string[] {
    this.#check(directory);
    const node = this.#find(directory);
    return node?.kind === "directory" ? [...node.entries.keys()].sort() : [];
  }

  makeDirectory(path: string): void {
    this.#check(path);
    const { directory, name } = this.#parentOf(path);
    const found = directory.entries.get(name);
    if (found?.kind === "directory") return;
    if (found !== undefined) throw new StorageError("io", path, "is a file");
    change(directory, [{ name, before: undefined, after: newDirectory() }]);
  }

  rename(from: string, to: string): void {
    this.#check(from);
    const source = this.#parentOf(from);
    const target = this.#parentOf(to);
    const node = source.directory.entries.get(source.name);
    if (node === undefined) throw new StorageError("missing", from, "no such file");
    const replaced = target.directory.entries.get(target.name);
    if (replaced?.kind === "directory" && replaced.entries.size > 0) {
      throw new StorageError("io", to, "is a directory that is not empty");
    }
    const leave: NameChange = { name: source.name, before: node, after: undefined };
    const arrive: NameChange = { name: target.name, before: replaced, after: node };
    if (source.directory === target.directory) {
      change(source.directory, [leave, arrive]);
      return;
    }
    const fate = {};
    change(source.directory, [leave], fate);
    change(target.directory, [arrive], fate);
  }

  remove(path: string): void {
    this.#check(path);
    const { directory, name } = this.#parentOf(path);
    const node = directory.entries.get(name);
    if (node === undefined) throw new StorageError("missing", path, "no such file");
    if (node.kind === "directory" && node.entries.size > 0) {
      throw new StorageError("io", path, "is a directory that is not empty");
    }
    change(directory, [{ name, before: node, after: undefined }]);
  }

  removeTree(path: string): void {
    this.#check(path);
    const node = this.#find(path);
    if (node === undefined) return;
    if (node.kind === "directory") {
      for (const name of [...node.entries.keys()]) this.removeTree(`${path}/${name}`);
    }
    this.remove(path);
  }

  async syncDirectory(directory: string): Promise<void> {
    this.#check(directory);
    const node = this.#find(directory);
    if (node?.kind !== "directory")
      throw new StorageError("missing", directory, "no such directory");
    const covered = new Set(node.pending);
    await this.#power.syncWait(directory);
    this.#check(directory);
    // What is durable in one directory of a cross-directory rename is durable in the other: file systems log it as one.
    for (const operation of covered) operation.fate.survives = true;
    node.pending = node.pending.filter((operation) => !covered.has(operation));
  }

  freeBytes(): number {
    if (this.#capacityBytes === undefined) return UNLIMITED_BYTES;
    return Math.max(0, this.#capacityBytes - usedBytes(this.#root));
  }

  #check(path: string): void {
    if (!this.#power.isOn) throw new StorageError("io", path, "the power is off");
  }

  #find(path: string): Node | undefined {
    let node: Node | undefined = this.#root;
    for (const name of namesOf(path)) {
      if (node?.kind !== "directory") return undefined;
      node = node.entries.get(name);
    }
    return node;
  }

  #parentOf(path: string): { readonly directory: DirectoryNode; readonly name: string } {
    const names = namesOf(path);
    const name = names.pop();
    if (name === undefined) throw new StorageError("io", path, "empty path");
    const directory = this.#find(names.join("/"));
    if (directory?.kind !== "directory")
      throw new StorageError("missing", path, "no such directory");
    return { directory, name };
  }
}

class MemoryFile implements DiskFile {
  readonly path: string;
  readonly #node: FileNode;
  readonly #power: Readonly<Power>;
  readonly #freeBytes: () => number;
  #isClosed = false;

  constructor(path: string, node: FileNode, power: Readonly<Power>, freeBytes: () => number) {
    this.path = path;
    this.#node = node;
    this.#power = power;
    this.#freeBytes = freeBytes;
  }

  get size(): number {
    return this.#node.size;
  }

  append(chunks: readonly Uint8Array[]): void {
    this.#check();
    const bytes = Buffer.concat(chunks);
    if (bytes.length > this.#freeBytes()) throw new StorageError("full", this.path, "disk is full");
    const node = this.#node;
    node.pending.push({ kind: "append", sequence: node.nextSequence, bytes });
    node.nextSequence += 1;
    appendTo(node, bytes);
  }

  async read(position: number, length: number): Promise<Buffer> {
    const bytes = this.readSync(position, length);
    await Promise.resolve();
    return bytes;
  }

  readSync(position: number, length: number): Buffer {
    this.#check();
    const end = Math.min(this.#node.size, position + length);
    return Buffer.from(this.#node.data.subarray(Math.min(position, end), end));
  }

  truncate(size: number): void {
    this.#check();
    const node = this.#node;
    if (size >= node.size) return;
    const removed = Buffer.from(node.data.subarray(size, node.size));
    node.pending.push({ kind: "truncate", sequence: node.nextSequence, size, removed });
    node.nextSequence += 1;
    node.size = size;
  }

  async sync(): Promise<void> {
    this.#check();
    const covered = this.#node.nextSequence;
    await this.#power.syncWait(this.path);
    if (!this.#power.isOn) throw new StorageError("io", this.path, "the power is off");
    this.#node.pending = this.#node.pending.filter((operation) => operation.sequence >= covered);
  }

  close(): void {
    this.#isClosed = true;
  }

  #check(): void {
    if (!this.#power.isOn) throw new StorageError("io", this.path, "the power is off");
    if (this.#isClosed) throw new StorageError("io", this.path, "the file is closed");
  }
}

function namesOf(path: string): string[] {
  return path.split("/").filter((name) => name !== "" && name !== ".");
}
