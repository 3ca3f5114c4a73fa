// Messages that failed for good and hold up what comes behind them: their key, or the whole partition. Pure; part of the
// partition's replicated state. SubscriptionState changes it, the dispatcher reads it.
import type { KeyedWrite } from "../log/ports.ts";
import type { Offset } from "../model/positions.ts";
import { SUBSCRIPTION_LIMITS } from "../model/subscription.ts";
import { isParkable, type ParkUpdate } from "./delivery-commands.ts";
import { decodeParked, encodeParked, offsetKey, offsetOfKey } from "./delivery-records.ts";

/** One message that holds up others. */
export type Parked = ParkUpdate;

const NONE: readonly Offset[] = [];

export class ParkedTable {
  readonly #parked = new Map<Offset, Parked>();
  /** Offsets that park a key; more than one only when the key was parked again before it was released. */
  readonly #byKey = new Map<string, readonly Offset[]>();
  readonly #changed = new Set<Offset>();
  readonly #sizeMax: number;
  #stops = 0;
  #releases = 0;

  constructor(sizeMax: number = SUBSCRIPTION_LIMITS.parkedKeys) {
    this.#sizeMax = sizeMax;
  }

  get size(): number {
    return this.#parked.size;
  }

  /** Grows with each one that parks no more. */
  get releases(): number {
    return this.#releases;
  }

  /** No further key can be parked; the partition still can. */
  get isFull(): boolean {
    return this.#parked.size >= this.#sizeMax;
  }

  /** Nothing at all may go out. */
  get isStopped(): boolean {
    return this.#stops > 0;
  }

  /** The lowest offset that stops the partition. */
  get stoppedAt(): Offset | undefined {
    if (this.#stops === 0) return undefined;
    return this.all().find(({ scope }) => scope === "partition")?.offset;
  }

  byOffset(offset: Offset): Parked | undefined {
    return this.#parked.get(offset);
  }

  /** Whether the key is held up; undefined: the messages without a key. A stopped partition is another question. */
  hasKey(key: Buffer | undefined): boolean {
    return this.#byKey.has(nameOfKey(key));
  }

  /** Offsets that park this key, in no order. */
  offsetsOfKey(key: Buffer | undefined): readonly Offset[] {
    if (this.#byKey.size === 0) return NONE;
    return this.#byKey.get(nameOfKey(key)) ?? NONE;
  }

  /** The lowest offset that parked this key. */
  offsetOfKey(key: Buffer | undefined): Offset | undefined {
    const offsets = this.offsetsOfKey(key);
    return offsets.length === 0 ? undefined : Math.min(...offsets);
  }

  /** In offset order; sorted at each call. */
  all(): readonly Parked[] {
    return [...this.#parked.values()].sort((a, b) => a.offset - b.offset);
  }

  /** @returns "no-op" when that offset parks already, "limit" when too many do or the key is too long */
  park(parked: Parked): "done" | "no-op" | "limit" {
    if (this.#parked.has(parked.offset)) return "no-op";
    // However many keys are parked, one stop must find room: it is what happens at the limit.
    const isFirstStop = parked.scope === "partition" && this.#stops === 0;
    if (this.isFull && !isFirstStop) return "limit";
    if (isParkable(parked.key)) this.#add(parked);
    else if (parked.scope === "partition") this.#add({ ...parked, key: undefined });
    else return "limit";
    this.#changed.add(parked.offset);
    return "done";
  }

  /** @returns whether that offset was parked */
  release(offset: Offset): boolean {
    const parked = this.#parked.get(offset);
    if (parked === undefined) return false;
    this.#parked.delete(offset);
    this.#releases += 1;
    this.#changed.add(offset);
    if (parked.scope === "partition") {
      this.#stops -= 1;
      return true;
    }
    const name = nameOfKey(parked.key);
    const left = this.#byKey.get(name)?.filter((other) => other !== offset) ?? [];
    if (left.length === 0) this.#byKey.delete(name);
    else this.#byKey.set(name, left);
    return true;
  }

  clear(): void {
    for (const offset of this.#parked.keys()) this.#changed.add(offset);
    this.#parked.clear();
    this.#byKey.clear();
    this.#releases += 1;
    this.#stops = 0;
  }

  /** Offsets, in no order; may be changed meanwhile. */
  offsets(): Iterable<Offset> {
    return this.#parked.keys();
  }

  /** What changed since the last call. */
  takeWrites(prefix: string): KeyedWrite[] {
    const writes: KeyedWrite[] = [];
    for (const offset of [...this.#changed].sort((a, b) => a - b)) {
      const key = offsetKey(prefix, offset);
      const parked = this.#parked.get(offset);
      writes.push(
        parked === undefined
          ? { type: "delete", key }
          : { type: "put", key, value: encodeParked(parked) },
      );
    }
    this.#changed.clear();
    return writes;
  }

  *pairs(prefix: string): Generator<readonly [string, Uint8Array]> {
    for (const parked of this.all()) yield [offsetKey(prefix, parked.offset), encodeParked(parked)];
  }

  /** @throws TypeError for what pairs() never gives */
  restore(prefix: string, pairs: Iterable<readonly [string, Uint8Array]>): void {
    this.clear();
    for (const [key, value] of pairs) this.#add(decodeParked(offsetOfKey(prefix, key), value));
    this.#changed.clear();
  }

  #add(parked: Parked): void {
    this.#parked.set(parked.offset, parked);
    if (parked.scope === "partition") {
      this.#stops += 1;
      return;
    }
    const name = nameOfKey(parked.key);
    this.#byKey.set(name, [...(this.#byKey.get(name) ?? []), parked.offset]);
  }
}

/** Keys are any bytes; the messages without one are a key of their own. */
export function nameOfKey(key: Buffer | undefined): string {
  return key === undefined ? "" : `k${key.toString("latin1")}`;
}
