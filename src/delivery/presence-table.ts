// Which consumers the leader of a partition has noted: those that the next leader waits for where order counts (docs/adr/0015,
// Fencing). Pure; part of a subscription's replicated state. Leaders say what changed, so that one consumer of thousands that
// comes or goes costs one record. An array, because there is one of these per subscription and partition on every replica.
//
//   <prefix><hash, 12 hex digits>   empty
import type { KeyedWrite } from "../log/ports.ts";
import { SUBSCRIPTION_LIMITS } from "../model/subscription.ts";
import { CONSUMER_HASH_END, type ConsumerHash } from "./consumer-hash.ts";

/** Applied in the order of the fields. */
export interface PresenceNote {
  /** From now on the noted consumers are all: it was said of one that there is no room for it, and that is over. */
  readonly complete?: true;
  /** Not there any more; ascending. */
  readonly left?: readonly ConsumerHash[];
  /** There, too; ascending. What finds no room makes the table incomplete. */
  readonly joined?: readonly ConsumerHash[];
}

const NOTHING = Buffer.alloc(0);

export class PresenceTable {
  readonly max: number;
  /** Ascending. Replaced, never changed. */
  #hashes = new Float64Array(0);
  #isComplete = true;
  #version = 0;
  #newest: readonly ConsumerHash[] = [];
  readonly #changed = new Set<ConsumerHash>();

  constructor(max: number = SUBSCRIPTION_LIMITS.notedConsumers) {
    this.max = max;
  }

  get size(): number {
    return this.#hashes.length;
  }

  /** There may be no other consumers than the noted ones. */
  get isComplete(): boolean {
    return this.#isComplete;
  }

  /** Grows with each change; of this replica's memory. */
  get version(): number {
    return this.#version;
  }

  /** Who came or left with the last change. */
  get newest(): readonly ConsumerHash[] {
    return this.#newest;
  }

  has(hash: ConsumerHash): boolean {
    return this.#hashes[this.#placeOf(hash)] === hash;
  }

  /** Ascending; what is noted later does not change it. */
  all(): Iterable<ConsumerHash> {
    return this.#hashes;
  }

  /** @returns whether anything changed */
  note({ complete, joined = [], left = [] }: PresenceNote): boolean {
    const wasComplete = this.#isComplete;
    if (complete === true) this.#isComplete = true;
    const newest = [...this.#remove(left), ...this.#add(joined)];
    const hasChanged = newest.length > 0 || this.#isComplete !== wasComplete;
    if (!hasChanged) return false;
    this.#newest = newest;
    this.#version += 1;
    for (const hash of newest) this.#changed.add(hash);
    return true;
  }

  /** What changed since the last call. */
  takeWrites(prefix: string): KeyedWrite[] {
    const writes: KeyedWrite[] = [];
    for (const hash of [...this.#changed].sort((a, b) => a - b)) {
      const key = keyOf(prefix, hash);
      writes.push(this.has(hash) ? { type: "put", key, value: NOTHING } : { type: "delete", key });
    }
    this.#changed.clear();
    return writes;
  }

  *pairs(prefix: string): Generator<readonly [string, Uint8Array]> {
    for (const hash of this.#hashes) yield [keyOf(prefix, hash), NOTHING];
  }

  /** Of a new table. @throws TypeError for what pairs() never gives */
  restore(
    prefix: string,
    pairs: readonly (readonly [string, Uint8Array])[],
    isComplete: boolean,
  ): void {
    const hashes = pairs.map(([key, value]) => {
      if (value.length > 0) throw new TypeError(`a noted consumer with a value: ${key}`);
      return hashOf(prefix, key);
    });
    this.#hashes = Float64Array.from(new Set(hashes)).sort();
    if (this.size > this.max) throw new TypeError(`too many noted consumers: ${this.size}`);
    this.#isComplete = isComplete;
    this.#changed.clear();
  }

  /** @returns those that were there */
  #remove(left: readonly ConsumerHash[]): readonly ConsumerHash[] {
    const removed = left.filter((hash) => this.has(hash));
    if (removed.length > 0) this.#rebuild(this.size - removed.length, removed, 0);
    return removed;
  }

  /** @returns those that were not there, and found room */
  #add(joined: readonly ConsumerHash[]): readonly ConsumerHash[] {
    const unknown = joined.filter((hash) => !this.has(hash));
    const added = unknown.slice(0, this.max - this.size);
    if (added.length < unknown.length) this.#isComplete = false;
    if (added.length > 0) this.#rebuild(this.size + added.length, added, 1);
    return added;
  }

  /** @param changed ascending: each stands in the new array `times`, and there not as it does now */
  #rebuild(size: number, changed: readonly ConsumerHash[], times: 0 | 1): void {
    const hashes = new Float64Array(size);
    let from = 0;
    let at = 0;
    for (const hash of changed) {
      const place = this.#placeOf(hash);
      hashes.set(this.#hashes.subarray(from, place), at);
      at += place - from;
      if (times === 1) hashes[at] = hash;
      at += times;
      from = place + 1 - times;
    }
    hashes.set(this.#hashes.subarray(from), at);
    this.#hashes = hashes;
  }

  /** Of the first one that is not lower. */
  #placeOf(hash: ConsumerHash): number {
    let low = 0;
    let high = this.#hashes.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#hashes[middle] ?? 0) < hash) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

function keyOf(prefix: string, hash: ConsumerHash): string {
  return prefix + hash.toString(16).padStart(12, "0");
}

function hashOf(prefix: string, key: string): ConsumerHash {
  const hash = Number.parseInt(key.slice(prefix.length), 16);
  const isOne = hash >= 0 && hash < CONSUMER_HASH_END && keyOf(prefix, hash) === key;
  if (!isOne) throw new TypeError(`no noted consumer: ${key}`);
  return hash;
}
