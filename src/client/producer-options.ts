// What a producer is told, and what it offers: implemented by producer.ts.
import type { Acks, Flush } from "../model/durability.ts";
import type { CloseOptions } from "./close-options.ts";
import type { OutgoingMessage, SendClass } from "./producer-topic.ts";
import type { Receipt, SendCallback } from "./send-batch.ts";

export interface ProducerOptions {
  /** What sends wait for unless they say otherwise; default: the topic's setting. */
  readonly acks?: Acks | undefined;
  /** Whether that includes the disk; may only strengthen the topic's setting. Default: the topic's. */
  readonly flush?: Flush | undefined;
  /** From send to a definite answer, ms; default 120000. Past it a send fails with DEADLINE. */
  readonly deliveryTimeoutMs?: number | undefined;
  /** Bytes of messages not yet acknowledged; default 64 MiB. At the limit: BUFFER_FULL. */
  readonly bufferBytesMax?: number | undefined;
  /** Soft size of a batch, bytes; default 64 KiB. Under load batches grow to four times that. */
  readonly batchBytes?: number | undefined;
  /**
   * A later producer of the same name fences this one, on each partition from its first batch there on: sends fail with
   * PRODUCER_FENCED then, and this producer is at its end. At most 242 characters: brokers take 255, and for sends of other
   * classes than its own up to 13 are added, such as "#leader-topic".
   */
  readonly name?: string | undefined;
  /** A topic that no broker knows fails sends after this time, ms; default 5000. */
  readonly unknownTopicTimeoutMs?: number | undefined;
}

export interface SendOptions extends SendClass {
  /**
   * Rejects the promise when aborted. The message itself may be stored nevertheless (outcome "unknown"): it shares a
   * batch with others.
   */
  readonly signal?: AbortSignal | undefined;
}

export interface Producer {
  /**
   * Sends a message; resolves when it is acknowledged at the acks and flush asked for.
   * @throws FlotillaError; `outcome` says whether the message may be stored
   */
  send(message: OutgoingMessage, options?: SendOptions): Promise<Receipt>;
  /**
   * Like send() with a callback, for rates at which promises cost too much.
   * @throws FlotillaError synchronously: BUFFER_FULL (await ready() first), INVALID_REQUEST, RECORD_TOO_LARGE, CLOSED,
   *   PRODUCER_FENCED; the callback is not called then
   */
  sendAsync(message: OutgoingMessage, done: SendCallback, options?: SendClass): void;
  /** Sends with acks=none: nothing is promised and nothing is answered. @throws as sendAsync */
  sendOneWay(message: OutgoingMessage): void;
  /** Resolves when there is room in the buffer and what was sent in this turn is on its way. For loops of sendAsync. */
  ready(): Promise<void>;
  /** Resolves when everything sent before this call was acknowledged or has failed. */
  flush(): Promise<void>;
  /**
   * Refuses further sends, flushes, and ends. Idempotent.
   * @param options timeoutMs: what is unanswered then fails with CLOSED; default: the delivery timeout
   */
  close(options?: CloseOptions): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}
