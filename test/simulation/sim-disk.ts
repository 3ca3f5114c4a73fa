// The disk and the keyed store of a simulated machine: in memory, with sync latency on the machine's virtual clock. A
// killed process leaves everything that was written; a power cut takes what was not synced, from disk and keyed store
// independently; a disk that was replaced is empty. Faults go between the broker and the memory.
import { sleep } from "../../src/base/clock.ts";
import { type Random, seededRandom } from "../../src/base/random.ts";
import { type ActiveFault, type DiskFault, FaultDisk } from "../../src/log/fault-disk.ts";
import { MemoryDisk } from "../../src/log/memory-disk.ts";
import { MemoryStore } from "../../src/log/memory-store.ts";
import { type Disk, type KeyedStore, type KeyedWrite, StorageError } from "../../src/log/ports.ts";
import type { DiskView } from "./invariants/disk-view.ts";
import { crashDisk, crashStore, type PowerLoss } from "./power-loss.ts";
import { WatchedDisk } from "./watched-disk.ts";
import type { SimHost } from "./world.ts";

export interface DiskTiming {
  readonly syncMsMin: number;
  readonly syncMsMax: number;
}

/** A defect to plant: what the simulator must be able to see. */
export type PlantedDefect = "log-sync-does-nothing";

export interface StorageOptions {
  readonly seed: number;
  readonly view: DiskView;
  readonly timing: DiskTiming;
  readonly planted?: PlantedDefect | undefined;
}

/** What a power cut leaves of what was not synced. "holes": all of a file but its last sector; of the store, not only a prefix. */
export type Survival = "some" | "holes" | "nothing";

/** Free space below which a broker refuses records. */
export const LOW_SPACE_BYTES: number = 64 * 1024;

/** A fault that was put between broker and disk; it stays there when the process restarts. */
export interface InjectedFault {
  readonly hits: number;
  lift(): void;
}

interface Injected {
  readonly fault: DiskFault;
  /** Of earlier incarnations. */
  earlierHits: number;
  /** In the present one. */
  active: ActiveFault | undefined;
}

/** The machine dies here; true when it did. */
export type CrashHook = (path: string) => boolean;

export class SimStorage {
  timing: DiskTiming;
  syncs = 0;
  /** How often the broker found less than its reserve. */
  lowSpaceSeen = 0;
  /** Asked before each operation that changes the disk. */
  crashHook: CrashHook | undefined;
  readonly #host: SimHost;
  readonly #random: Random;
  readonly #options: StorageOptions;
  readonly #injected = new Set<Injected>();
  #memory = new MemoryDisk();
  #store = new MemoryStore();
  #faults: FaultDisk | undefined;

  constructor(host: SimHost, options: StorageOptions) {
    this.#host = host;
    this.#random = seededRandom(options.seed);
    this.#options = options;
    this.timing = options.timing;
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
    this.#faults = faults;
    for (const injected of this.#injected) arm(injected, faults);
    if (this.#options.planted === "log-sync-does-nothing") {
      const times = Number.POSITIVE_INFINITY;
      faults.inject({ operations: ["sync"], path: ".seg", times, effect: { kind: "lie" } });
    }
    const disk = new WatchedDisk(faults, {
      view: this.#options.view,
      before: (path) => this.#beforeOperation(path),
      readWhole: (path) => readWhole(this.#memory, path),
      onFreeBytes: (bytes) => {
        if (bytes < LOW_SPACE_BYTES) this.lowSpaceSeen += 1;
      },
    });
    return { disk, keyed: new SlowStore(this.#store, wait) };
  }

  inject(fault: DiskFault): InjectedFault {
    const injected: Injected = { fault, earlierHits: 0, active: undefined };
    this.#injected.add(injected);
    if (this.#faults !== undefined) arm(injected, this.#faults);
    return {
      get hits() {
        return injected.earlierHits + (injected.active?.hits ?? 0);
      },
      lift: () => {
        this.#injected.delete(injected);
        injected.active?.lift();
      },
    };
  }

  /** The process died: the page cache stays. */
  detach(): void {
    this.#memory = this.#memory.detach();
    this.#store = this.#store.detach();
  }

  /** The machine lost power: what was not synced is gone, wholly or in part; disk and keyed store independently. */
  cutPower(survival: { readonly disk: Survival; readonly keyed: Survival }): PowerLoss {
    const { view } = this.#options;
    const draws = { some: this.#random, holes: HOLES, nothing: LOWEST };
    const { memory, ...ofDisk } = crashDisk(this.#memory, draws[survival.disk]);
    this.#memory = memory;
    const { keyed } = survival;
    const holes = keyed === "holes" || (keyed === "some" && this.#random.next() < 0.5);
    const random = keyed === "nothing" ? LOWEST : this.#random;
    const { batches, store } = crashStore(this.#store, random, holes);
    this.#store = store;
    view.powerLost((path) =>
      this.#memory.exists(path) ? readWhole(this.#memory, path) : undefined,
    );
    return { ...ofDisk, batches };
  }

  /** An empty disk takes the place of this one. */
  replace(): void {
    this.detach();
    this.#memory = new MemoryDisk();
    this.#store = new MemoryStore();
    this.#options.view.replaced();
  }

  /** Bytes that are left; undefined: no end to it. */
  setFreeBytes(bytes: number | undefined): void {
    this.#memory.setCapacity(undefined);
    if (bytes === undefined) return;
    this.#memory.setCapacity(this.#usedBytes() + bytes);
  }

  /** For damage: the disk without watchers and faults. */
  get raw(): MemoryDisk {
    return this.#memory;
  }

  #usedBytes(): number {
    const enough = 2 ** 40;
    this.#memory.setCapacity(enough);
    return enough - this.#memory.freeBytes();
  }

  #beforeOperation(path: string): void {
    if (this.crashHook?.(path) !== true) return;
    throw new StorageError("io", path, "the machine died");
  }
}

function readWhole(memory: MemoryDisk, path: string): Buffer {
  const file = memory.open(path, { create: false });
  return file.readSync(0, file.size);
}

function arm(injected: Injected, faults: FaultDisk): void {
  const { fault } = injected;
  injected.earlierHits += injected.active?.hits ?? 0;
  injected.active = faults.inject({ ...fault, times: (fault.times ?? 1) - injected.earlierHits });
}

/** All that can survive does, but for the last sector of each file. */
const HOLES: Random = {
  next: () => 0,
  integer: (_, to) => to - 1,
  uuid: () => "00000000-0000-4000-8000-000000000000",
};

/** Draws the least of everything: nothing that may be lost survives. */
const LOWEST: Random = {
  next: () => 0,
  integer: (from) => from,
  uuid: () => "00000000-0000-4000-8000-000000000000",
};

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
