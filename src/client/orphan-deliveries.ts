// Deliveries whose leader is gone and that are still worked on, or not confirmed. They wait for the next leader to let the
// consumer go on with them; after an ack deadline nobody will.
import { type ConsumerChannel, partitionKey } from "./consumer-channel.ts";
import type { HeldDelivery } from "./held-delivery.ts";

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

  /** The leader of the channel goes on with these offsets: pairs (first, count). */
  resume(channel: ConsumerChannel, number: number, ranges: readonly number[], nowMs: number): void {
    for (const delivery of this.of(channel.key)) {
      if (!overlaps(delivery.heldRanges(), ranges)) continue;
      channel.resume(delivery, number, ranges, nowMs);
    }
    this.#sweep(channel.key);
  }

  /** These were handed out anew, so that nobody holds them from before. */
  replaced(channel: ConsumerChannel, delivery: HeldDelivery): void {
    const orphans = this.of(channel.key);
    if (orphans.length === 0) return;
    const ranges = delivery.waitingRanges();
    for (const orphan of orphans) orphan.giveUp(ranges);
    this.#sweep(channel.key);
  }

  /** What nobody resumed within its deadline is lost. */
  expire(nowMs: number): void {
    for (const [key, deliveries] of [...this.#byPartition]) {
      for (const delivery of deliveries) {
        if (nowMs - delivery.leaseFromMs >= delivery.ackDeadlineMs) delivery.giveUp(undefined);
      }
      this.#sweep(key);
    }
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
