// What one consumer's process tells the test, on its way into the history: here is known what the consumer works on at the
// moment, so that a kill can say whether it met anything. Used by consumer-fleet.ts.
import type { DeliverySink, DeliveryToken } from "../../src/testkit/index.ts";

export interface MemberEvents {
  /** A message's acknowledgement was confirmed. */
  acknowledged(partition: number, offset: number): void;
}

type Place = DeliveryToken & { readonly offset: number };

export class MemberSink implements DeliverySink {
  readonly #inner: DeliverySink;
  readonly #events: MemberEvents;
  /** Begun, and not known to be settled or lost: by partition and offset, the token under which it is held. */
  readonly #open = new Map<string, string>();
  /** Acknowledgements and failures without an answer, by number. */
  readonly #asked = new Map<number, Place & { readonly isAck: boolean }>();

  constructor(inner: DeliverySink, events: MemberEvents) {
    this.#inner = inner;
    this.#events = events;
  }

  /** Messages that are worked on, or whose settlement has no answer. */
  get held(): number {
    return this.#open.size;
  }

  deliver: DeliverySink["deliver"] = (...values) => this.#inner.deliver(...values);

  resume: DeliverySink["resume"] = (token, records, atMs) => {
    for (const { offset } of records) {
      const name = nameOf({ ...token, offset });
      if (this.#open.has(name)) this.#open.set(name, leaseOf(token));
    }
    this.#inner.resume(token, records, atMs);
  };

  begin: DeliverySink["begin"] = (token, ranges, atMs) => {
    this.#open.set(nameOf({ ...token, offset: ranges[0] ?? 0 }), leaseOf(token));
    this.#inner.begin(token, ranges, atMs);
  };

  end: DeliverySink["end"] = (...values) => this.#inner.end(...values);

  ask: DeliverySink["ask"] = (token, verdict, ranges, atMs, number = 0) => {
    const isAck = verdict === "ack";
    this.#asked.set(number, { ...token, offset: ranges[0] ?? 0, isAck });
    return this.#inner.ask(token, verdict, ranges, atMs, number);
  };

  lose: DeliverySink["lose"] = (token, ranges, cause, atMs) => {
    this.#close({ ...token, offset: ranges[0] ?? 0 });
    this.#inner.lose(token, ranges, cause, atMs);
  };

  answer: DeliverySink["answer"] = (consumer, number, outcome, reason, atMs) => {
    const settled = this.#asked.get(number);
    this.#asked.delete(number);
    if (settled !== undefined) {
      this.#close(settled);
      const { isAck, offset, partition } = settled;
      if (isAck && outcome === "confirmed") this.#events.acknowledged(partition, offset);
    }
    this.#inner.answer(consumer, number, outcome, reason, atMs);
  };

  /** Unless it was begun again meanwhile. */
  #close(place: Place): void {
    const name = nameOf(place);
    if (this.#open.get(name) === leaseOf(place)) this.#open.delete(name);
  }
}

function nameOf({ offset, partition }: Place): string {
  return `${partition}@${offset}`;
}

function leaseOf({ delivery, leaderEpoch }: DeliveryToken): string {
  return `${leaderEpoch}/${delivery}`;
}
