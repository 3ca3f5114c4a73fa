// The tree of files and directories behind MemoryDisk: each node remembers what was not synced, so that a power cut can
// undo it and let only some of it happen. Of one file's unsynced operations a prefix survives, the next one perhaps in
// part, now and then with a page or a sector of zeros in the new bytes. Of one directory's either a prefix or any subset
// survives.
import type { Random } from "../base/random.ts";

const PAGE_BYTES = 4096;
/** What a disk writes whole: the power may go in the middle of a page. */
const SECTOR_BYTES = 512;
/** How often a page or sector that was not synced is not there, though a later one may be. */
const PAGE_LOSS = 0.4;

type FileOperation =
  | { readonly kind: "append"; readonly sequence: number; readonly bytes: Buffer }
  | {
      readonly kind: "truncate";
      readonly sequence: number;
      readonly size: number;
      /** What the truncation took away, needed to undo it. */
      readonly removed: Buffer;
    };

export interface FileNode {
  readonly kind: "file";
  data: Buffer;
  size: number;
  /** Unsynced, oldest first. */
  pending: FileOperation[];
  nextSequence: number;
}

export interface NameChange {
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

export interface DirectoryNode {
  readonly kind: "directory";
  entries: Map<string, Node>;
  pending: DirectoryOperation[];
}

export type Node = FileNode | DirectoryNode;

export function newFile(): FileNode {
  return { kind: "file", data: Buffer.alloc(0), size: 0, pending: [], nextSequence: 0 };
}

export function newDirectory(): DirectoryNode {
  return { kind: "directory", entries: new Map(), pending: [] };
}

export function change(
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

export function appendTo(node: FileNode, bytes: Buffer): void {
  const end = node.size + bytes.length;
  if (end > node.data.length) {
    const grown = Buffer.alloc(Math.max(end, node.data.length * 2, 1024));
    node.data.copy(grown, 0, 0, node.size);
    node.data = grown;
  }
  bytes.copy(node.data, node.size);
  node.size = end;
}

export function usedBytes(node: Node): number {
  if (node.kind === "file") return node.size;
  let sum = 0;
  for (const child of node.entries.values()) sum += usedBytes(child);
  return sum;
}

/** A copy of the directory as the disk holds it after a power cut. */
export function crashDirectory(directory: DirectoryNode, random: Random): DirectoryNode {
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
  let newFrom = survivor.size;
  for (const [number, operation] of file.pending.entries()) {
    if (number > kept) break;
    if (operation.kind === "truncate") {
      if (number < kept) survivor.size = Math.min(survivor.size, operation.size);
      newFrom = Math.min(newFrom, survivor.size);
      continue;
    }
    const { bytes } = operation;
    const length = number < kept ? bytes.length : random.integer(0, bytes.length + 1);
    appendTo(survivor, bytes.subarray(0, length));
  }
  if (random.next() < PAGE_LOSS) loseAPage(survivor, newFrom, random);
  return survivor;
}

/** Zeros all that is new in one page or sector of the bytes from `from` on: it was allocated, but never written. */
function loseAPage(file: FileNode, from: number, random: Random): void {
  if (file.size === from) return;
  const at = random.integer(from, file.size);
  const unitBytes = random.next() < 0.5 ? SECTOR_BYTES : PAGE_BYTES;
  const unitStart = at - (at % unitBytes);
  file.data.fill(0, Math.max(from, unitStart), Math.min(file.size, unitStart + unitBytes));
}
