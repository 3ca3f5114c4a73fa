// The disk and the keyed store of a simulated machine: in memory, with sync latency on the machine's virtual clock. A
// killed process leaves everything that was written; a power cut takes what was not synced, from disk and keyed store
// independently. The observer sees every frame that goes into a group's log.
import { sleep } from "../../src/base/clock.ts";
import { type Random, seededRandom } from "../../src/base/random.ts";
import { FaultDisk } from "../../src/log/fault-disk.ts";
import { MemoryDisk } from "../../src/log/memory-disk.ts";
import { MemoryStore } from "../../src/log/memory-store.ts";
import type { Disk, DiskFile, KeyedStore, KeyedWrite } from "../../src/log/ports.ts";
import { decodeFrame, FRAME_HEADER_BYTES, type Frame } from "../../src/model/entry-frame.ts";
import type { GroupId } from "../../src/model/ids.ts";
import type { LogIndex } from "../../src/model/positions.ts";
import type { SimHost } from "./world.ts";

export interface DiskTiming {
  readonly syncMsMin: number;
  readonly syncMsMax: number;
}

export const FAST_DISK: DiskTiming = { syncMsMin: 0.1, syncMsMax: 5 };
export const SLOW_DISK: DiskTiming = { syncMsMin: 20, syncMsMax: 400 };

/** A defect to plant: what the simulator must be able to see. */
export type PlantedDefect = "log-sync-does-nothing";

export interface LogObserver {
  onSegment(groupId: GroupId, firstIndex: LogIndex): void;
  onFrame(groupId: GroupId, frame: Frame): void;
}

export interface StorageOptions {
  readonly seed: number;
  readonly observer: LogObserver;
  readonly planted?: PlantedDefect | undefined;
}

/** Directories of groups are named "<group>-<replica>" (replica/group-records.ts). */
const SEGMENT_PATH = /^groups\/(\d+)-\d+\/(\d+)\.seg$/;

export class SimStorage {
  timing: DiskTiming = FAST_DISK;
  syncs = 0;
  readonly #host: SimHost;
  readonly #random: Random;
  readonly #options: StorageOptions;
  #memory = new MemoryDisk();
  #store = new MemoryStore();

  constructor(host: SimHost, options: StorageOptions) {
    this.#host = host;
    this.#random = seededRandom(options.seed);
    this.#options = options;
  }

  /** What the host's present incarnation opens. */
  open(): { readonly disk: Disk; readonly keyed: KeyedStore } {
    const { clock } = this.#host;
    const wait = async (): Promise<void> => {
      this.syncs += 1;
      const { syncMsMin, syncMsMax } = this.timing;
      await sleep(clock, syncMsMin + this.#random.next() ** 3 * (syncMsMax - syncMsMin));
    };
    this.#memory.setSyncWait(wait);
    const faults = new FaultDisk(this.#memory);
    if (this.#options.planted === "log-sync-does-nothing") {
      const times = Number.POSITIVE_INFINITY;
      faults.inject({ operations: ["sync"], path: ".seg", times, effect: { kind: "lie" } });
    }
    return {
      disk: new ObservedDisk(faults, this.#options.observer),
      keyed: new SlowStore(this.#store, wait),
    };
  }

  /** The process died: the page cache stays. */
  detach(): void {
    this.#memory = this.#memory.detach();
    this.#store = this.#store.detach();
  }

  /** The machine lost power. */
  cutPower(): void {
    this.#memory = this.#memory.crash(this.#random);
    this.#store = this.#store.crash(this.#random, { holes: this.#random.next() < 0.5 });
  }
}

/** A keyed store whose synced batches take time. */
class SlowStore implements KeyedStore {
  readonly #inner: KeyedStore;
  readonly #wait: () => Promise<void>;

  constructor(inner: KeyedStore, wait: () => Promise<void>) {
    this.#inner = inner;
    this.#wait = wait;
  }

  async batch(writes: readonly KeyedWrite[], { sync }: { readonly sync: boolean }): Promise<void> {
    // Visible in call order, durable later.
    await this.#inner.batch(writes, { sync: false });
    if (!sync) return;
    await this.#wait();
    await this.#inner.batch([], { sync: true });
  }

  async get(key: string): Promise<Buffer | undefined> {
    return this.#inner.get(key);
  }

  range(prefix: string): AsyncIterable<readonly [string, Buffer]> {
    return this.#inner.range(prefix);
  }

  async removeRange(prefix: string): Promise<void> {
    await this.#wait();
    await this.#inner.removeRange(prefix);
  }

  async close(): Promise<void> {
    await this.#inner.close();
  }
}

/** Passes everything on and reports frames appended to segments. */
class ObservedDisk implements Disk {
  readonly #inner: Disk;
  readonly #observer: LogObserver;

  constructor(inner: Disk, observer: LogObserver) {
    this.#inner = inner;
    this.#observer = observer;
  }

  open(path: string, options: { readonly create: boolean }): DiskFile {
    const file = this.#inner.open(path, options);
    const match = SEGMENT_PATH.exec(path);
    if (match === null) return file;
    const groupId = Number(match[1]) as GroupId;
    if (options.create) this.#observer.onSegment(groupId, Number(match[2]));
    return new ObservedFile(file, (frame) => this.#observer.onFrame(groupId, frame));
  }

  exists(path: string): boolean {
    return this.#inner.exists(path);
  }

  list(directory: string): string[] {
    return this.#inner.list(directory);
  }

  makeDirectory(path: string): void {
    this.#inner.makeDirectory(path);
  }

  rename(from: string, to: string): void {
    this.#inner.rename(from, to);
    // A log that begins anew appears by a rename.
    const match = SEGMENT_PATH.exec(to);
    if (match !== null) this.#observer.onSegment(Number(match[1]) as GroupId, Number(match[2]));
  }

  remove(path: string): void {
    this.#inner.remove(path);
  }

  removeTree(path: string): void {
    this.#inner.removeTree(path);
  }

  async syncDirectory(directory: string): Promise<void> {
    await this.#inner.syncDirectory(directory);
  }

  freeBytes(): number {
    return this.#inner.freeBytes();
  }
}

class ObservedFile implements DiskFile {
  readonly #inner: DiskFile;
  readonly #onFrame: (frame: Frame) => void;

  constructor(inner: DiskFile, onFrame: (frame: Frame) => void) {
    this.#inner = inner;
    this.#onFrame = onFrame;
  }

  get path(): string {
    return this.#inner.path;
  }

  get size(): number {
    return this.#inner.size;
  }

  append(chunks: readonly Uint8Array[]): void {
    this.#inner.append(chunks);
    for (const chunk of chunks) {
      const bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length);
      if (bytes.length < FRAME_HEADER_BYTES) continue;
      const frame = decodeFrame(bytes, 0);
      // The segment's own header is no frame.
      if (!("problem" in frame)) this.#onFrame(frame);
    }
  }

  async read(position: number, length: number): Promise<Buffer> {
    return this.#inner.read(position, length);
  }

  readSync(position: number, length: number): Buffer {
    return this.#inner.readSync(position, length);
  }

  truncate(size: number): void {
    this.#inner.truncate(size);
  }

  async sync(): Promise<void> {
    await this.#inner.sync();
  }

  close(): void {
    this.#inner.close();
  }
}
