// Wraps any disk and makes it fail on demand: errors, short writes, slow syncs, flipped bits. Tests and the simulator
// inject faults; what they hit is counted, so that a fault which did not bite can fail the run.
import { type Clock, sleep } from "../base/clock.ts";
import type { Random } from "../base/random.ts";
import { type Disk, type DiskFile, StorageError } from "./ports.ts";

export type DiskOperation =
  | "open"
  | "create"
  | "append"
  | "truncate"
  | "read"
  | "sync"
  | "makeDirectory"
  | "rename"
  | "remove"
  | "syncDirectory";

export type FaultEffect =
  | { readonly kind: "fail"; readonly as: "io" | "full" | "missing" }
  /** Appends this many of the bytes, then fails with "io". */
  | { readonly kind: "short"; readonly bytes: number }
  /** Delays syncs and asynchronous reads. */
  | { readonly kind: "slow"; readonly ms: number; readonly clock: Clock }
  /** Flips one random bit of what a read returns. */
  | { readonly kind: "flip"; readonly random: Random }
  /** Reports a sync that never happened: the positive control of power-cut tests. */
  | { readonly kind: "lie" };

export interface DiskFault {
  /** Which operations; undefined: all that change the disk (everything but open and read). */
  readonly operations?: readonly DiskOperation[];
  /** Only paths that contain this text. */
  readonly path?: string;
  /** Only this path, to the letter. */
  readonly file?: string;
  /** Matching operations that are let through first. Default 0. */
  readonly after?: number;
  /** How many operations are hit. Default 1; Infinity: until lift(). */
  readonly times?: number;
  readonly effect: FaultEffect;
}

/** An injected fault. */
export interface ActiveFault {
  readonly hits: number;
  lift(): void;
}

interface FaultState {
  readonly fault: DiskFault;
  letThrough: number;
  hits: number;
}

const CHANGING: readonly DiskOperation[] = [
  "create",
  "append",
  "truncate",
  "sync",
  "makeDirectory",
  "rename",
  "remove",
  "syncDirectory",
];

export class FaultDisk implements Disk {
  readonly #inner: Disk;
  readonly #faults = new Set<FaultState>();
  #changes = 0;

  constructor(inner: Disk) {
    this.#inner = inner;
  }

  /** Operations so far that change the disk: the boundaries at which a crash can happen. */
  get changes(): number {
    return this.#changes;
  }

  inject(fault: DiskFault): ActiveFault {
    const state: FaultState = { fault, letThrough: fault.after ?? 0, hits: 0 };
    this.#faults.add(state);
    return {
      get hits() {
        return state.hits;
      },
      lift: () => this.#faults.delete(state),
    };
  }

  /** Lifts all faults. */
  heal(): void {
    this.#faults.clear();
  }

  open(path: string, options: { readonly create: boolean }): DiskFile {
    this.#failIfDue(options.create ? "create" : "open", path);
    const file = this.#inner.open(path, options);
    return new FaultFile(file, (operation) => this.#next(operation, path));
  }

  exists(path: string): boolean {
    return this.#inner.exists(path);
  }

  list(directory: string): string[] {
    return this.#inner.list(directory);
  }

  makeDirectory(path: string): void {
    this.#failIfDue("makeDirectory", path);
    this.#inner.makeDirectory(path);
  }

  rename(from: string, to: string): void {
    this.#failIfDue("rename", from);
    this.#inner.rename(from, to);
  }

  remove(path: string): void {
    this.#failIfDue("remove", path);
    this.#inner.remove(path);
  }

  removeTree(path: string): void {
    this.#failIfDue("remove", path);
    this.#inner.removeTree(path);
  }

  async syncDirectory(directory: string): Promise<void> {
    const effect = this.#next("syncDirectory", directory);
    if (await isLie(effect, directory)) return;
    await this.#inner.syncDirectory(directory);
  }

  freeBytes(): number {
    return this.#inner.freeBytes();
  }

  #failIfDue(operation: DiskOperation, path: string): void {
    const effect = this.#next(operation, path);
    if (effect !== undefined) failIfWanted(effect, path);
  }

  /** The effect that hits this operation, if any. */
  #next(operation: DiskOperation, path: string): FaultEffect | undefined {
    const isChange = CHANGING.includes(operation);
    if (isChange) this.#changes += 1;
    for (const state of this.#faults) {
      const { operations, path: wanted, file, times, effect } = state.fault;
      if (operations === undefined ? !isChange : !operations.includes(operation)) continue;
      if (wanted !== undefined && !path.includes(wanted)) continue;
      if (file !== undefined && path !== file) continue;
      if (state.letThrough > 0) {
        state.letThrough -= 1;
        continue;
      }
      if (state.hits >= (times ?? 1)) continue;
      state.hits += 1;
      return effect;
    }
    return undefined;
  }
}

class FaultFile implements DiskFile {
  readonly #inner: DiskFile;
  readonly #next: (operation: DiskOperation) => FaultEffect | undefined;
  #inFlight = 0;
  #isClosed = false;

  constructor(inner: DiskFile, next: (operation: DiskOperation) => FaultEffect | undefined) {
    this.#inner = inner;
    this.#next = next;
  }

  get path(): string {
    return this.#inner.path;
  }

  get size(): number {
    return this.#inner.size;
  }

  append(chunks: readonly Uint8Array[]): void {
    const effect = this.#next("append");
    if (effect?.kind === "short") {
      this.#inner.append([Buffer.concat(chunks).subarray(0, effect.bytes)]);
      throw new StorageError("io", this.path, "injected short write");
    }
    if (effect !== undefined) failIfWanted(effect, this.path);
    this.#inner.append(chunks);
  }

  read(position: number, length: number): Promise<Buffer> {
    return this.#whileOpen(async () => {
      const effect = this.#next("read");
      if (effect !== undefined) failIfWanted(effect, this.path);
      const bytes = await this.#inner.read(position, length);
      if (effect?.kind === "slow") await sleep(effect.clock, effect.ms);
      return flipped(bytes, effect);
    });
  }

  readSync(position: number, length: number): Buffer {
    const effect = this.#next("read");
    if (effect !== undefined) failIfWanted(effect, this.path);
    return flipped(this.#inner.readSync(position, length), effect);
  }

  truncate(size: number): void {
    const effect = this.#next("truncate");
    if (effect !== undefined) failIfWanted(effect, this.path);
    this.#inner.truncate(size);
  }

  sync(): Promise<void> {
    return this.#whileOpen(async () => {
      if (await isLie(this.#next("sync"), this.path)) return;
      await this.#inner.sync();
    });
  }

  close(): void {
    this.#isClosed = true;
    if (this.#inFlight === 0) this.#inner.close();
  }

  /** What is under way when the file is closed ends well, however slow it is made. */
  async #whileOpen<T>(work: () => Promise<T>): Promise<T> {
    if (this.#isClosed) throw new StorageError("io", this.path, "the file is closed");
    this.#inFlight += 1;
    try {
      return await work();
    } finally {
      this.#inFlight -= 1;
      if (this.#isClosed && this.#inFlight === 0) this.#inner.close();
    }
  }
}

async function isLie(effect: FaultEffect | undefined, path: string): Promise<boolean> {
  if (effect === undefined) return false;
  if (effect.kind === "slow") await sleep(effect.clock, effect.ms);
  else failIfWanted(effect, path);
  return effect.kind === "lie";
}

/** A short effect on something that does not write fails, too. */
function failIfWanted(effect: FaultEffect, path: string): void {
  if (effect.kind === "fail") throw new StorageError(effect.as, path, "injected failure");
  if (effect.kind === "short") throw new StorageError("io", path, "injected failure");
}

function flipped(bytes: Buffer, effect: FaultEffect | undefined): Buffer {
  if (effect?.kind !== "flip" || bytes.length === 0) return bytes;
  const at = effect.random.integer(0, bytes.length);
  bytes.writeUInt8(bytes.readUInt8(at) ^ (1 << effect.random.integer(0, 8)), at);
  return bytes;
}
