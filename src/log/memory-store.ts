// The keyed store in memory, with what a crash would take from it. Used by tests and simulations.
import type { Random } from "../base/random.ts";
import { type KeyedStore, type KeyedWrite, StorageError } from "./ports.ts";

const NAME = "memory-store";
/** Older unsynced batches count as durable: a real machine has written them back by then. */
const UNSYNCED_BATCHES_MAX = 256;

export class MemoryStore implements KeyedStore {
  readonly #pairs: Map<string, Buffer>;
  /** Content at the last synced batch, and the batches since. */
  #durable: Map<string, Buffer>;
  #unsynced: (readonly KeyedWrite[])[] = [];
  #isUsable = true;
  #queue: Promise<unknown> = Promise.resolve();

  constructor(pairs: ReadonlyMap<string, Buffer> = new Map()) {
    this.#pairs = new Map(pairs);
    this.#durable = new Map(pairs);
  }

  /**
   * Power cut: the store as it is found afterwards; this object fails from now on. Any suffix of the unsynced batches is
   * lost; with `holes` any of them, as real LevelDB may (see level-store.ts).
   */
  crash(random: Random, options: { readonly holes: boolean } = { holes: false }): MemoryStore {
    this.#isUsable = false;
    const pairs = new Map(this.#durable);
    const kept = random.integer(0, this.#unsynced.length + 1);
    for (const [number, writes] of this.#unsynced.entries()) {
      const survives = options.holes ? random.next() < 0.5 : number < kept;
      if (survives) execute(pairs, writes);
    }
    return new MemoryStore(pairs);
  }

  /** The process dies, the machine does not: everything written is kept. This object fails from now on. */
  detach(): MemoryStore {
    this.#isUsable = false;
    const survivor = new MemoryStore(this.#durable);
    for (const writes of this.#unsynced) survivor.#write(writes, false);
    return survivor;
  }

  batch(writes: readonly KeyedWrite[], options: { readonly sync: boolean }): Promise<void> {
    // Copied when it is written: a caller that changes them before is found out.
    return this.#enqueue(() => this.#write(writes.map(copyOf), options.sync));
  }

  async get(key: string): Promise<Buffer | undefined> {
    this.#check();
    await Promise.resolve();
    this.#check();
    const value = this.#pairs.get(key);
    return value === undefined ? undefined : Buffer.from(value);
  }

  range(prefix: string): AsyncIterable<readonly [string, Buffer]> {
    this.#check();
    return this.#values(this.#found(prefix));
  }

  removeRange(prefix: string): Promise<void> {
    return this.#enqueue(() => {
      const keys = this.#found(prefix).map(([key]) => key);
      this.#write(
        keys.map((key): KeyedWrite => ({ type: "delete", key })),
        true,
      );
    });
  }

  async close(): Promise<void> {
    await this.#queue;
    if (!this.#isUsable) return;
    for (const writes of this.#unsynced) execute(this.#durable, writes);
    this.#unsynced = [];
    this.#isUsable = false;
  }

  async *#values(
    found: readonly (readonly [string, Buffer])[],
  ): AsyncGenerator<readonly [string, Buffer]> {
    for (const [key, value] of found) {
      await Promise.resolve();
      this.#check();
      yield [key, Buffer.from(value)];
    }
  }

  #found(prefix: string): (readonly [string, Buffer])[] {
    const found = [...this.#pairs].filter(([key]) => key.startsWith(prefix));
    // Bytewise, as LevelDB: the order of UTF-16 units is another one.
    return found.sort(([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
  }

  #write(writes: readonly KeyedWrite[], isSync: boolean): void {
    execute(this.#pairs, writes);
    this.#unsynced.push(writes);
    if (!isSync && this.#unsynced.length > UNSYNCED_BATCHES_MAX) {
      execute(this.#durable, this.#unsynced.shift() ?? []);
    }
    if (!isSync) return;
    for (const unsynced of this.#unsynced) execute(this.#durable, unsynced);
    this.#unsynced = [];
  }

  #enqueue(work: () => void): Promise<void> {
    const run = this.#queue.then(() => {
      this.#check();
      work();
    });
    this.#queue = run.catch(() => undefined);
    return run;
  }

  #check(): void {
    if (!this.#isUsable) throw new StorageError("io", NAME, "the store is closed");
  }
}

function copyOf(write: KeyedWrite): KeyedWrite {
  return write.type === "delete" ? write : { ...write, value: Buffer.from(write.value) };
}

function execute(pairs: Map<string, Buffer>, writes: readonly KeyedWrite[]): void {
  for (const write of writes) {
    if (write.type === "delete") pairs.delete(write.key);
    else pairs.set(write.key, Buffer.from(write.value));
  }
}
