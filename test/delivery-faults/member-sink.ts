// What one consumer's process tells the test, on its way into the history: here is known what the consumer works on at the
// moment, so that a kill can say whether it met anything. Used by consumer-fleet.ts.
import type { DeliverySink, DeliveryToken, SettlementAsked } from "../../src/testkit/index.ts";

export interface MemberEvents {
  begun(token: DeliveryToken, offset: number): void;
  asked(token: DeliveryToken, offset: number, verdict: SettlementAsked["verdict"]): void;
  /** A message's acknowledgement was confirmed. */
  acknowledged(partition: number, offset: number): void;
}

type Place = DeliveryToken & { readonly offset: number };

export class MemberSink implements DeliverySink {
  readonly #inner: DeliverySink;
  readonly #events: MemberEvents;
  /** Begun, neither decided nor lost: by partition and offset, the token under which it is held. */
  readonly #open = new Map<string, string>();
  /** Acknowledgements without an answer, by number. */
  readonly #acks = new Map<number, Place>();

  constructor(inner: DeliverySink, events: MemberEvents) {
    this.#inner = inner;
    this.#events = events;
  }

  /** Messages that are worked on: a consumer that is killed now can not have settled them. */
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
    const [offset = 0] = ranges;
    this.#open.set(nameOf({ ...token, offset }), leaseOf(token));
    this.#events.begun(token, offset);
    this.#inner.begin(token, ranges, atMs);
  };

  end: DeliverySink["end"] = (...values) => this.#inner.end(...values);

  ask: DeliverySink["ask"] = (token, verdict, ranges, atMs, number = 0) => {
    const [offset = 0] = ranges;
    this.#close({ ...token, offset });
    if (verdict === "ack") this.#acks.set(number, { ...token, offset });
    this.#events.asked(token, offset, verdict);
    return this.#inner.ask(token, verdict, ranges, atMs, number);
  };

  lose: DeliverySink["lose"] = (token, ranges, cause, atMs) => {
    this.#close({ ...token, offset: ranges[0] ?? 0 });
    this.#inner.lose(token, ranges, cause, atMs);
  };

  answer: DeliverySink["answer"] = (consumer, number, outcome, reason, atMs) => {
    const ack = this.#acks.get(number);
    this.#acks.delete(number);
    if (ack !== undefined && outcome === "confirmed") {
      this.#events.acknowledged(ack.partition, ack.offset);
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
