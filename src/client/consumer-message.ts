// A message in the consumer's hands: what was sent, how often it was tried, and the ways to settle it.
import type { Clock } from "../base/clock.ts";
import { deferred } from "../base/deferred.ts";
import type { RecordWalker } from "../model/record-batch-decoder.ts";
import { Confirmation } from "./confirmation.ts";
import type { DeliveryToken } from "./delivery-token.ts";
import {
  ACK,
  checkRetryTime,
  type Decision,
  nack,
  RELEASE,
  type RetryTime,
  reject,
} from "./handler-outcome.ts";
import type { HeldDelivery } from "./held-delivery.ts";
import { ReceivedMessage } from "./received-batch.ts";
import type { Serializer } from "./serializer.ts";

/** What all messages of a consumer share. */
export interface MessageContext<T> {
  readonly clock: Clock;
  readonly serializer: Serializer<T>;
}

/** How a message failed. */
export type NackOptions = Partial<Pick<RetryTime, "delayMs" | "atMs">> & {
  /** For people and for the dead letter; at most 256 characters are kept. */
  readonly error?: unknown;
};

/**
 * The first decision about a message counts; later ones answer as the first one does. Ownership: key, value and header
 * values are views of what was received; copy them before keeping them for long.
 */
export class ConsumerMessage<T = Buffer | undefined> extends ReceivedMessage {
  readonly #delivery: HeldDelivery;
  readonly #context: MessageContext<T>;

  /** For the SDK: the walker stands on the message. */
  constructor(delivery: HeldDelivery, walker: RecordWalker, context: MessageContext<T>) {
    super(delivery.batch, walker);
    this.#delivery = delivery;
    this.#context = context;
  }

  /** For the SDK: decides without anything to await. */
  static decide(message: ConsumerMessage<unknown>, decision: Decision): void {
    message.#delivery.decide(message.offset, decision);
  }

  /** For the SDK: it was not out before, as far as its leader knows. */
  static isNew(message: ConsumerMessage<unknown>): boolean {
    return message.handedOut === 1 && message.attempt === 1;
  }

  /** The value through the consumer's serializer. @throws what the serializer throws; a handler lets it pass: the message failed */
  get data(): T {
    return this.#context.serializer.deserialize(this.value);
  }

  /** The value parsed as JSON; undefined for a tombstone. */
  json(): unknown {
    const parsed: unknown = this.value === undefined ? undefined : JSON.parse(this.text());
    return parsed;
  }

  /** Number of this attempt, from 1: failures so far plus one. */
  get attempt(): number {
    return this.#delivery.attempts(this.offset).failed + 1;
  }

  /** How often the present leader handed it out, this time included. */
  get handedOut(): number {
    return this.#delivery.attempts(this.offset).handedOut;
  }

  /** Grows with each delivery of the message; another leader that lets this consumer go on gives a newer one. */
  get token(): DeliveryToken {
    return this.#delivery.token;
  }

  /** Aborted when the message is lost: its deadline passed, it was revoked, nobody let this consumer go on, or closing ran out of time. */
  get signal(): AbortSignal {
    return this.#delivery.signal(this.offset);
  }

  /** Somebody decided what becomes of it, or it is lost. */
  get isDecided(): boolean {
    return this.#delivery.isDecided(this.offset);
  }

  /**
   * Done. What is returned may be ignored, or awaited: it resolves when the broker has confirmed, and rejects with a
   * FlotillaError: STALE_DELIVERY (it was handed out anew), or outcome "unknown".
   */
  ack(): Confirmation {
    return this.#settle(ACK);
  }

  /**
   * Failed: it is tried again as the retry policy says, or at the time that is given.
   * @throws FlotillaError INVALID_REQUEST: the time is not a number of milliseconds; nothing is decided
   */
  nack(options: NackOptions = {}): Confirmation {
    const { atMs, delayMs, error } = options;
    const time = retryTime(delayMs, atMs);
    if (time !== undefined) checkRetryTime(time);
    return this.#settle(nack(error, time, this.#context.clock.wallMs()));
  }

  /** Failed for good. */
  reject(error?: unknown): Confirmation {
    return this.#settle(reject(error));
  }

  /** Not worked on: it is handed out again at once, to anybody, and does not count as failed. */
  release(): Confirmation {
    return this.#settle(RELEASE);
  }

  /** The ack deadline begins anew. The consumer does this by itself while it holds a message (`extendMaxMs`). */
  extend(): Promise<void> {
    const done = deferred<void>();
    // Nobody has to wait for it.
    done.promise.catch(() => undefined);
    this.#delivery.extend([this.offset, 1], done);
    return done.promise;
  }

  #settle(decision: Decision): Confirmation {
    this.#delivery.decide(this.offset, decision);
    return new Confirmation(this.#delivery, this.offset);
  }
}

function retryTime(delayMs: number | undefined, atMs: number | undefined): RetryTime | undefined {
  if (delayMs !== undefined) return { delayMs };
  return atMs === undefined ? undefined : { atMs };
}
