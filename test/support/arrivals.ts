// Tells a consumer's recorder what the SDK received before any handler has it: in which order and how often messages are
// handed out is not hidden by those that wait, or go back without having been begun. And of new tokens, as soon as there are any.
import type { DeliveryObserver, ObservedDelivery } from "../../src/client/delivery-observer.ts";
import type { ConsumerRecorder } from "../../src/testkit/index.ts";

type Lease = Parameters<ConsumerRecorder["drop"]>[0];

/** What stands in the history for keys and values. */
export interface RecordTexts {
  value(value: Uint8Array | undefined): string;
  key(key: Uint8Array | undefined): string | undefined;
}

export class Arrivals implements DeliveryObserver {
  readonly #scribe: ConsumerRecorder;
  readonly #texts: RecordTexts;
  /** What waits, as far as it was told: by offset, the lease. */
  readonly #waiting = new WeakMap<object, Map<number, Lease>>();

  constructor(scribe: ConsumerRecorder, texts: RecordTexts) {
    this.#scribe = scribe;
    this.#texts = texts;
  }

  arrived(delivery: ObservedDelivery): void {
    const { batch, token } = delivery;
    const { partition, topic } = batch;
    const offsets = new Set(offsetsIn(delivery.waitingRanges()));
    const waiting = new Map<number, Lease>();
    this.#waiting.set(delivery, waiting);
    const messages = batch.messages().filter(({ offset }) => offsets.has(offset));
    this.#scribe.arrive(
      messages.map(({ key, offset, value }) => {
        const { failed, handedOut } = delivery.attempts(offset);
        const lease = { topic, partition, offset, token };
        waiting.set(offset, lease);
        const texts = { value: this.#texts.value(value), key: this.#texts.key(key) };
        return { ...lease, ...texts, attempt: failed + 1, handedOut };
      }),
    );
  }

  left(delivery: ObservedDelivery): void {
    const known = this.#waiting.get(delivery);
    if (known === undefined) return;
    const waiting = new Set(offsetsIn(delivery.waitingRanges()));
    const running = new Set(offsetsIn(delivery.runningRanges()));
    for (const [offset, lease] of known) {
      if (waiting.has(offset)) continue;
      known.delete(offset);
      if (running.has(offset)) this.#taken(delivery, lease);
      else this.#scribe.drop(lease, "session");
    }
  }

  resumed(): void {
    this.#scribe.resumed();
  }

  #taken(delivery: ObservedDelivery, lease: Lease): void {
    this.#scribe.take(lease);
    // Between being begun and its handler it may be lost.
    const drop = (): void => this.#scribe.drop(lease, "session");
    delivery.signal(lease.offset).addEventListener("abort", drop);
  }
}

/** Pairs: first offset, count. */
function* offsetsIn(ranges: readonly number[]): Generator<number> {
  for (let at = 0; at + 1 < ranges.length; at += 2) {
    const first = ranges[at] ?? 0;
    for (let offset = first; offset < first + (ranges[at + 1] ?? 0); offset += 1) yield offset;
  }
}
