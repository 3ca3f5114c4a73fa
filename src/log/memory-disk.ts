// A data directory in memory that knows what a real disk would have kept: every file and directory remembers the
// operations that were not synced, and a power cut undoes them and lets only some happen. Used by tests and simulations.
//
// A power cut keeps everything synced. Of one file's unsynced operations a prefix survives, the next one perhaps in part,
// now and then with blocks of zeros in the unsynced bytes (file systems write pages in any order). Of one directory's
// unsynced operations either a prefix or any subset survives. Files and directories are independent of each other.
import type { Random } from "../base/random.ts";
import { type Disk, type DiskFile, StorageError } from "./ports.ts";

const PAGE_BYTES = 4096;
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

type FileOperation =
  | { readonly kind: "append"; readonly sequence: number; readonly bytes: Buffer }
  | {
      readonly kind: "truncate";
      readonly sequence: number;
      readonly size: number;
      /** What the truncation took away, needed to undo it. */
      readonly removed: Buffer;
    };

interface FileNode {
  readonly kind: "file";
  data: Buffer;
  size: number;
  /** Unsynced, oldest first. */
  pending: FileOperation[];
  nextSequence: number;
}

interface NameChange {
  readonly name: string;
  readonly before: Node | undefined;
  readonly after: Node | undefined;
}

/** One creation, removal or rename, as one directory sees it. A rename across directories is shared by both. */
interface DirectoryOperation {
  readonly changes: readonly NameChange[];
  /** Same object in both directories of a cross-directory rename: both see it survive, or neither. */
  readonly fate: { survives?: boolean };
}

interface DirectoryNode {
  readonly kind: "directory";
  entries: Map<string, Node>;
  pending: DirectoryOperation[];
}

type Node = FileNode | DirectoryNode;

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

function newFile(): FileNode {
  return { kind: "file", data: Buffer.alloc(0), size: 0, pending: [], nextSequence: 0 };
}

function newDirectory(): DirectoryNode {
  return { kind: "directory", entries: new Map(), pending: [] };
}

function namesOf(path: string): string[] {
  return path.split("/").filter((name) => name !== "" && name !== ".");
}

function change(
  directory: DirectoryNode,
  changes: readonly NameChange[],
  sharedFate?: DirectoryOperation["fate"],
): void {
  for (const { name, after } of changes) put(directory.entries, name, after);
  directory.pending.push({ changes, fate: sharedFate ?? {} });
}

function put(entries: Map<string, Node>, name: string, node: Node | undefined): void {
  if (node === undefined) entries.delete(name);
  else entries.set(name, node);
}

function appendTo(node: FileNode, bytes: Buffer): void {
  const end = node.size + bytes.length;
  if (end > node.data.length) {
    const grown = Buffer.alloc(Math.max(end, node.data.length * 2, 1024));
    node.data.copy(grown, 0, 0, node.size);
    node.data = grown;
  }
  bytes.copy(node.data, node.size);
  node.size = end;
}

function usedBytes(node: Node): number {
  if (node.kind === "file") return node.size;
  let sum = 0;
  for (const child of node.entries.values()) sum += usedBytes(child);
  return sum;
}

/** A copy of the directory as the disk holds it after a power cut. */
function crashDirectory(directory: DirectoryNode, random: Random): DirectoryNode {
  const entries = new Map(directory.entries);
  for (const operation of directory.pending.toReversed()) {
    for (const { name, before } of operation.changes.toReversed()) put(entries, name, before);
  }
  const prefix = random.next() < 0.5 ? random.integer(0, directory.pending.length + 1) : undefined;
  for (const [number, operation] of directory.pending.entries()) {
    const wanted = prefix === undefined ? random.next() < 0.5 : number < prefix;
    operation.fate.survives ??= wanted;
    if (operation.fate.survives) replay(entries, operation);
  }
  const survivor = newDirectory();
  for (const [name, node] of entries) {
    const copy = node.kind === "file" ? crashFile(node, random) : crashDirectory(node, random);
    survivor.entries.set(name, copy);
  }
  return survivor;
}

/** Applies an operation to a directory in which earlier ones may not have happened. */
function replay(entries: Map<string, Node>, operation: DirectoryOperation): void {
  for (const { name, after, before } of operation.changes) {
    if (after !== undefined) entries.set(name, after);
    else if (entries.get(name) === before) entries.delete(name);
  }
}

function crashFile(file: FileNode, random: Random): FileNode {
  const survivor = newFile();
  appendTo(survivor, Buffer.from(file.data.subarray(0, file.size)));
  for (const operation of file.pending.toReversed()) {
    if (operation.kind === "append") survivor.size -= operation.bytes.length;
    else appendTo(survivor, operation.removed);
  }
  const kept = random.integer(0, file.pending.length + 1);
  for (const [number, operation] of file.pending.entries()) {
    if (number > kept) break;
    if (operation.kind === "truncate") {
      if (number < kept) survivor.size = Math.min(survivor.size, operation.size);
      continue;
    }
    const { bytes } = operation;
    const length = number < kept ? bytes.length : random.integer(0, bytes.length + 1);
    const from = survivor.size;
    appendTo(survivor, bytes.subarray(0, length));
    if (random.next() < 0.25) loseAPage(survivor, from, random);
  }
  return survivor;
}

/** Zeros one page (or what of it is new) of the bytes from `from` on: it was allocated, but never written. */
function loseAPage(file: FileNode, from: number, random: Random): void {
  if (file.size === from) return;
  const at = random.integer(from, file.size);
  const start = Math.max(from, at - (at % PAGE_BYTES));
  file.data.fill(0, start, Math.min(file.size, start + PAGE_BYTES));
}
