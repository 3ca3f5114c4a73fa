// Writes down what one consumer is given and does, message by message, as its handler sees it: for whoever uses the SDK's
// consumer. Knows no client: a message is whatever has these fields. Where the writing goes, here or to another process, is
// the sink's business; a consumer that may be killed waits until it is there before it acts.
import type { SettlementAnswered, SettlementAsked } from "./delivery-events.ts";
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

/** A message in the hands of a handler. */
export interface Handled {
  readonly message: ReceivedByConsumer;
  readonly value: string;
  readonly key: string | undefined;
  /** As it was last written down. */
  token: DeliveryToken;
  /** Nobody lets the consumer go on with it: another token that its delivery has is about the others in it. */
  isLost: boolean;
}

export class ConsumerRecorder {
  readonly #sink: DeliverySink;
  readonly #now: () => number;
  readonly #subscription: string;
  readonly #consumer: string;
  #settlements = 0;

  constructor(sink: DeliverySink, now: () => number, subscription: string, consumer: string) {
    this.#sink = sink;
    this.#now = now;
    this.#subscription = subscription;
    this.#consumer = consumer;
  }

  /** A handler has it. */
  begin(message: ReceivedByConsumer, value: string, key: string | undefined): Handled {
    const token = this.#tokenOf(message);
    const atMs = this.#now();
    const { attempt, handedOut, offset } = message;
    this.#sink.deliver(token, [{ offset, value, key, handedOut, failed: attempt - 1 }], atMs);
    this.#sink.begin(token, [offset, 1], atMs);
    return { message, value, key, token, isLost: false };
  }

  end(handled: Handled, isOk: boolean): void {
    this.#sink.end(this.#follow(handled), [handled.message.offset, 1], isOk, this.#now());
  }

  /** It is about to be settled. Returns the number that answer() wants. */
  ask(handled: Handled, verdict: SettlementAsked["verdict"]): number {
    this.#settlements += 1;
    const number = this.#settlements;
    const token = this.#follow(handled);
    return this.#sink.ask(token, verdict, [handled.message.offset, 1], this.#now(), number);
  }

  answer(number: number, outcome: SettlementAnswered["outcome"], reason?: string): void {
    this.#sink.answer(this.#consumer, number, outcome, reason, this.#now());
  }

  /** The SDK says that the message is lost. What went on with it before stands before it. */
  lose(handled: Handled, cause: string): void {
    this.#sink.lose(this.#follow(handled), [handled.message.offset, 1], cause, this.#now());
    handled.isLost = true;
  }

  /** Another leader may have let the consumer go on under a new token. */
  #follow(handled: Handled): DeliveryToken {
    if (handled.isLost) return handled.token;
    const token = this.#tokenOf(handled.message);
    const isSame =
      token.leaderEpoch === handled.token.leaderEpoch && token.delivery === handled.token.delivery;
    if (isSame) return handled.token;
    const { key, message, value } = handled;
    this.#sink.resume(token, [{ offset: message.offset, value, key }], this.#now());
    handled.token = token;
    return token;
  }

  #tokenOf({ partition, token, topic }: ReceivedByConsumer): DeliveryToken {
    const { deliveryNumber: delivery, leaderEpoch } = token;
    const who = { subscription: this.#subscription, consumer: this.#consumer };
    return { ...who, topic, partition, leaderEpoch, delivery };
  }
}
