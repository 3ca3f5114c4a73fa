// Deliveries whose leader is gone and that are still worked on, or not confirmed. They wait for the next leader to let the
// consumer go on with them; after an ack deadline nobody will.
import { type ConsumerChannel, partitionKey } from "./consumer-channel.ts";
import type { HeldDelivery } from "./held-delivery.ts";
import { offsetsOf } from "./record-states.ts";

export class OrphanDeliveries {
  readonly #byPartition = new Map<string, HeldDelivery[]>();

  add(deliveries: readonly HeldDelivery[]): void {
    for (const delivery of deliveries) {
      const key = partitionKey(delivery.topicId, delivery.batch.partition);
      const known = this.#byPartition.get(key);
      if (known === undefined) this.#byPartition.set(key, [delivery]);
      else known.push(delivery);
    }
  }

  of(key: string): readonly HeldDelivery[] {
    return this.#byPartition.get(key) ?? [];
  }

  all(): HeldDelivery[] {
    return [...this.#byPartition.values()].flat();
  }

  /**
   * The leader of the channel goes on with these offsets: pairs (first, count).
   * @returns false: some of them are not held any more; nothing was done then
   */
  resume(
    channel: ConsumerChannel,
    number: number,
    ranges: readonly number[],
    nowMs: number,
  ): boolean {
    if (!isCovered(ranges, this.of(channel.key))) return false;
    for (const delivery of this.of(channel.key)) {
      if (!overlaps(delivery.heldRanges(), ranges)) continue;
      channel.resume(delivery, number, ranges, nowMs);
    }
    this.#sweep(channel.key);
    return true;
  }

  /** These were handed out anew, so that nobody holds them from before. */
  replaced(channel: ConsumerChannel, delivery: HeldDelivery): void {
    const orphans = this.of(channel.key);
    if (orphans.length === 0) return;
    const ranges = delivery.waitingRanges();
    for (const orphan of orphans) orphan.giveUp(ranges);
    this.#sweep(channel.key);
  }

  /** What nobody resumed while its lease ran is lost. */
  expire(nowMs: number): void {
    for (const [key, deliveries] of [...this.#byPartition]) {
      for (const delivery of deliveries) delivery.expire(nowMs);
      this.#sweep(key);
    }
  }

  /** The leader of that epoch did not take what it, or leaders before it, had given. */
  giveUp(key: string, leaderEpoch: number): void {
    for (const delivery of this.of(key)) {
      if (delivery.leaderEpoch <= leaderEpoch) delivery.giveUp(undefined);
    }
    this.#sweep(key);
  }

  /** Nobody waits for them any more. */
  giveUpAll(): void {
    for (const delivery of this.all()) delivery.giveUp(undefined);
    this.#byPartition.clear();
  }

  #sweep(key: string): void {
    const left = this.of(key).filter(({ isOver, place }) => !isOver && place === undefined);
    if (left.length === 0) this.#byPartition.delete(key);
    else this.#byPartition.set(key, left);
  }
}

/** All of these offsets are held by some delivery. @param ranges pairs: first offset, count */
function isCovered(ranges: readonly number[], deliveries: readonly HeldDelivery[]): boolean {
  const held = new Set<number>();
  for (const delivery of deliveries) {
    for (const offset of offsetsOf(delivery.heldRanges())) held.add(offset);
  }
  for (const offset of offsetsOf(ranges)) if (!held.has(offset)) return false;
  return true;
}

/** Pairs: first offset, count. */
function overlaps(some: readonly number[], others: readonly number[]): boolean {
  for (let i = 0; i + 1 < some.length; i += 2) {
    const from = some[i] ?? 0;
    const to = from + (some[i + 1] ?? 0);
    for (let j = 0; j + 1 < others.length; j += 2) {
      const first = others[j] ?? 0;
      if (first < to && from < first + (others[j + 1] ?? 0)) return true;
    }
  }
  return false;
}
