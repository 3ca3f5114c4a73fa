// Writes down what one consumer is given and does, message by message, as its handler sees it, and before that if somebody
// tells (the SDK's observer): for whoever uses the SDK's consumer. Knows no client: a message is whatever has these fields.
// Where the writing goes, here or to another process, is the sink's business; a consumer that may be killed waits until it is
// there before it acts.
import {
  type DeliveredRecord,
  SETTLED_ALREADY,
  type SettlementAnswered,
  type SettlementAsked,
} from "./delivery-events.ts";
import type { DeliveryRecorder, DeliveryToken } from "./delivery-recorder.ts";

/** What is asked of the SDK's messages. The token may change while a message is held: another leader goes on with it. */
export interface ReceivedByConsumer {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  /** Failures so far plus one. */
  readonly attempt: number;
  readonly handedOut: number;
  readonly token: { readonly leaderEpoch: number; readonly deliveryNumber: number };
}

export type DeliverySink = Pick<
  DeliveryRecorder,
  "deliver" | "resume" | "begin" | "end" | "ask" | "answer" | "lose"
>;

/** What a message is, as histories tell. */
export interface Arrived extends ReceivedByConsumer {
  readonly value: string;
  readonly key: string | undefined;
}

/** Which lease of a message. */
type Lease = Pick<ReceivedByConsumer, "topic" | "partition" | "offset" | "token">;

/** A message in the hands of a handler. */
export interface Handled {
  readonly message: ReceivedByConsumer;
  readonly value: string;
  readonly key: string | undefined;
  /** As it was last written down. */
  token: DeliveryToken;
  /** Nobody lets the consumer go on with it: another token that its delivery has is about the others in it. */
  isLost: boolean;
  /** A leader said that it is settled: written down. */
  isSettled: boolean;
}

interface Early {
  readonly token: DeliveryToken;
  /** It was written down that it is begun. */
  isBegun: boolean;
}

export class ConsumerRecorder {
  readonly #sink: DeliverySink;
  readonly #now: () => number;
  readonly #subscription: string;
  readonly #consumer: string;
  /** Arrived or taken, and no handler has it: by place. A deposed leader may give what the newer one gave before. */
  readonly #early = new Map<string, Early[]>();
  /** Begun, and neither lost nor given up. */
  readonly #held = new Set<Handled>();
  /** Settlements without an answer, by number. */
  readonly #asked = new Map<number, Handled>();
  #settlements = 0;

  constructor(sink: DeliverySink, now: () => number, subscription: string, consumer: string) {
    this.#sink = sink;
    this.#now = now;
    this.#subscription = subscription;
    this.#consumer = consumer;
  }

  /** Messages of one delivery, before they wait for a handler. */
  arrive(messages: readonly Arrived[]): void {
    const [first] = messages;
    if (first === undefined) return;
    const token = this.#tokenOf(first);
    this.#sink.deliver(
      token,
      messages.map((one) => recordOf(one, one.value, one.key)),
      this.#now(),
    );
    for (const message of messages) {
      const known = this.#early.get(nameOf(message)) ?? [];
      this.#early.set(nameOf(message), [...known, { token, isBegun: false }]);
    }
  }

  /** What arrived is begun: a handler gets it next. */
  take(lease: Lease): void {
    const early = this.#earlyOf(lease);
    if (early === undefined || early.isBegun) return;
    early.isBegun = true;
    this.#sink.begin(early.token, [lease.offset, 1], this.#now());
  }

  /** What arrived gets no handler: it was given back, or is lost. Changes nothing about what a handler has. */
  drop(lease: Lease, cause: string): void {
    const early = this.#earlyOf(lease);
    if (early === undefined) return;
    this.#forget(lease, early);
    this.#sink.lose(early.token, [lease.offset, 1], cause, this.#now());
  }

  /** A handler has it. */
  begin(message: ReceivedByConsumer, value: string, key: string | undefined): Handled {
    const others = this.#early.get(nameOf(message)) ?? [];
    const early = this.#earlyOf(message) ?? others.find(({ isBegun }) => isBegun) ?? others[0];
    if (early !== undefined) {
      this.#forget(message, early);
      // It may go on under a newer token by now.
      const handled = { message, value, key, token: early.token, isLost: false, isSettled: false };
      this.#held.add(handled);
      const token = this.#follow(handled);
      if (!early.isBegun) this.#sink.begin(token, [message.offset, 1], this.#now());
      return handled;
    }
    const token = this.#tokenOf(message);
    const atMs = this.#now();
    this.#sink.deliver(token, [recordOf(message, value, key)], atMs);
    this.#sink.begin(token, [message.offset, 1], atMs);
    const handled = { message, value, key, token, isLost: false, isSettled: false };
    this.#held.add(handled);
    return handled;
  }

  /** Tokens of what is held may have changed. Not needed: then it is written down with what happens next to each. */
  resumed(): void {
    for (const handled of [...this.#asked.values(), ...this.#held]) this.#follow(handled);
  }

  end(handled: Handled, isOk: boolean): void {
    this.#sink.end(this.#follow(handled), [handled.message.offset, 1], isOk, this.#now());
  }

  /** It is about to be settled. Returns the number that answer() wants. */
  ask(handled: Handled, verdict: SettlementAsked["verdict"]): number {
    this.#settlements += 1;
    const number = this.#settlements;
    const token = this.#follow(handled);
    this.#asked.set(number, handled);
    // From then on answer() follows it.
    if (verdict !== "extend") this.#held.delete(handled);
    return this.#sink.ask(token, verdict, [handled.message.offset, 1], this.#now(), number);
  }

  answer(number: number, outcome: SettlementAnswered["outcome"], reason?: string): void {
    const handled = this.#asked.get(number);
    if (handled !== undefined) {
      // It may have been sent again under a newer token.
      this.#follow(handled);
      this.#asked.delete(number);
    }
    this.#sink.answer(this.#consumer, number, outcome, reason, this.#now());
  }

  /** The SDK says that the message is lost. What went on with it before stands before it. */
  lose(handled: Handled, cause: string): void {
    this.#sink.lose(this.#follow(handled), [handled.message.offset, 1], cause, this.#now());
    handled.isLost = true;
    this.#held.delete(handled);
  }

  /** Another leader may have let the consumer go on under a new token. */
  #follow(handled: Handled): DeliveryToken {
    if (handled.isLost) return handled.token;
    const token = this.#tokenOf(handled.message);
    const isSettled = token.delivery === SETTLED_ALREADY;
    if (isSame(token, handled.token) || (isSettled && handled.isSettled)) return handled.token;
    const { key, message, value } = handled;
    this.#sink.resume(token, [{ offset: message.offset, value, key }], this.#now());
    handled.isSettled = isSettled;
    // That is the token of nothing.
    if (isSettled) return handled.token;
    handled.token = token;
    return token;
  }

  #earlyOf(lease: Lease): Early | undefined {
    const token = this.#tokenOf(lease);
    return this.#early.get(nameOf(lease))?.find((one) => isSame(one.token, token));
  }

  #forget(lease: Lease, early: Early): void {
    const left = this.#early.get(nameOf(lease))?.filter((one) => one !== early) ?? [];
    if (left.length > 0) this.#early.set(nameOf(lease), left);
    else this.#early.delete(nameOf(lease));
  }

  #tokenOf({ partition, token, topic }: Lease): DeliveryToken {
    const { deliveryNumber: delivery, leaderEpoch } = token;
    const who = { subscription: this.#subscription, consumer: this.#consumer };
    return { ...who, topic, partition, leaderEpoch, delivery };
  }
}

function recordOf(
  { attempt, handedOut, offset }: ReceivedByConsumer,
  value: string,
  key: string | undefined,
): DeliveredRecord {
  return { offset, value, key, handedOut, failed: attempt - 1 };
}

function nameOf({ offset, partition, topic }: Lease): string {
  return `${topic}/${partition}@${offset}`;
}

function isSame(a: DeliveryToken, b: DeliveryToken): boolean {
  return a.leaderEpoch === b.leaderEpoch && a.delivery === b.delivery;
}
