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
    const removed = this.#remove(left);
    const added = this.#add(joined);
    const hasChanged = removed + added > 0 || this.#isComplete !== wasComplete;
    if (hasChanged) this.#version += 1;
    return hasChanged;
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

  /** @throws TypeError for what pairs() never gives */
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
    this.#version += 1;
    this.#changed.clear();
  }

  #remove(left: readonly ConsumerHash[]): number {
    const known = new Set(left.filter((hash) => this.has(hash)));
    if (known.size === 0) return 0;
    for (const hash of known) this.#changed.add(hash);
    this.#hashes = this.#hashes.filter((hash) => !known.has(hash));
    return known.size;
  }

  #add(joined: readonly ConsumerHash[]): number {
    const unknown = [...new Set(joined)].filter((hash) => !this.has(hash));
    const added = unknown.slice(0, this.max - this.size);
    if (added.length < unknown.length) this.#isComplete = false;
    if (added.length === 0) return 0;
    for (const hash of added) this.#changed.add(hash);
    const hashes = new Float64Array(this.size + added.length);
    hashes.set(this.#hashes);
    hashes.set(added, this.size);
    this.#hashes = hashes.sort();
    return added.length;
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
