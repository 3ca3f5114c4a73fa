// consumer.run(): hands messages to a handler, some at a time, and settles them by what it does. Nothing is allocated for a
// message besides itself while the handler answers at once.
import { type Deferred, deferred } from "../base/deferred.ts";
import { whole } from "./checked-number.ts";
import type { ClientDeps } from "./client-deps.ts";
import { ConsumerMessage } from "./consumer-message.ts";
import type { MessageSource, MessageTaker } from "./consumer-source.ts";
import { ACK, decisionOf } from "./handler-outcome.ts";

/** Works on one message; with a promise until that is settled. */
export type Handler<T> = (message: ConsumerMessage<T>) => unknown;

export interface RunOptions {
  /** Messages that are worked on at the same time, 1 to 10000; default 1. Exclusive partitions have one each at most. */
  readonly concurrency?: number | undefined;
  /** Aborting it closes the consumer, with draining. */
  readonly signal?: AbortSignal | undefined;
  /** Told of every message that failed, before it is settled. Default: a line in the client's log. */
  readonly onError?: ((error: unknown, message: ConsumerMessage<unknown>) => void) | undefined;
}

export const CONCURRENCY_MAX = 10_000;
/** Handlers that answer at once let the event loop run after so long, ms. */
const TURN_MS = 2;
/** The clock is looked at after so many messages. */
const MESSAGES_PER_LOOK = 8;

export class ConsumerRun<T> implements MessageTaker {
  readonly #source: MessageSource<T>;
  readonly #handler: Handler<T>;
  readonly #concurrency: number;
  readonly #onError: RunOptions["onError"];
  readonly #end: RunEnd;
  #running = 0;
  #isPumping = false;
  #isPumpDue = false;

  /** @throws FlotillaError INVALID_REQUEST */
  constructor(source: MessageSource<T>, handler: Handler<T>, options: RunOptions) {
    this.#source = source;
    this.#handler = handler;
    this.#concurrency = whole("concurrency", options.concurrency ?? 1, 1, CONCURRENCY_MAX);
    this.#onError = options.onError;
    this.#end = new RunEnd(source, options.signal);
  }

  /** Settled when the consumer is closed, or has failed. */
  get done(): Promise<void> {
    return this.#end.promise;
  }

  get isIdle(): boolean {
    return this.#running === 0;
  }

  onNews(): void {
    if (!this.#end.check()) this.#pump();
  }

  #pump(): void {
    const { buffer, deps } = this.#source;
    // A handler may close the consumer, or make the buffer speak.
    if (this.#isPumping) return;
    this.#isPumping = true;
    const endMs = deps.clock.monotonicMs() + TURN_MS;
    for (let count = 1; this.#running < this.#concurrency && !this.#source.isEnding; count += 1) {
      const message = buffer.take();
      if (message === undefined) break;
      this.#begin(message);
      if (count % MESSAGES_PER_LOOK === 0 && deps.clock.monotonicMs() > endMs) {
        this.#pumpSoon();
        break;
      }
    }
    this.#isPumping = false;
  }

  #pumpSoon(): void {
    if (this.#isPumpDue) return;
    this.#isPumpDue = true;
    this.#source.deps.clock.defer(() => {
      this.#isPumpDue = false;
      this.#pump();
    });
  }

  /**
   * A message that was out before may be the one that ends processes: the broker is told that it is begun, and the report
   * is on its way, before the handler has it. So such a message uses up its attempts instead of being tried for ever.
   */
  #begin(message: ConsumerMessage<T>): void {
    if (ConsumerMessage.isNew(message)) {
      this.#call(message);
      return;
    }
    this.#running += 1;
    this.#source.flush();
    this.#source.deps.clock.schedule(0, () => {
      this.#running -= 1;
      // It may have been lost meanwhile: then it is somebody else's.
      if (!message.isDecided) this.#call(message);
      this.#ended();
    });
  }

  #call(message: ConsumerMessage<T>): void {
    let result: unknown;
    try {
      result = this.#handler(message);
    } catch (error) {
      this.#failed(message, error);
      return;
    }
    if (!isPromiseLike(result)) {
      ConsumerMessage.decide(message, ACK);
      return;
    }
    this.#running += 1;
    result.then(
      () => {
        ConsumerMessage.decide(message, ACK);
        this.#running -= 1;
        this.#ended();
      },
      (error: unknown) => {
        this.#running -= 1;
        this.#failed(message, error);
        this.#ended();
      },
    );
  }

  #ended(): void {
    if (this.#source.isEnding) {
      if (this.#running === 0) this.#source.onIdle();
    } else this.#pump();
  }

  #failed(message: ConsumerMessage<T>, error: unknown): void {
    reportFailure(this.#source, this.#onError, error, [message]);
    ConsumerMessage.decide(message, decisionOf(error, this.#source.deps.clock.wallMs()));
  }
}

/** How a run ends: by its signal, with its consumer. */
export class RunEnd {
  readonly #source: Pick<MessageSource<unknown>, "isClosed" | "failure" | "close">;
  readonly #signal: AbortSignal | undefined;
  readonly #done: Deferred<void> = deferred<void>();
  readonly #onAbort = (): void => {
    void this.#source.close();
  };

  constructor(
    source: Pick<MessageSource<unknown>, "isClosed" | "failure" | "close">,
    signal: AbortSignal | undefined,
  ) {
    this.#source = source;
    this.#signal = signal;
    if (signal?.aborted === true) queueMicrotask(this.#onAbort);
    else signal?.addEventListener("abort", this.#onAbort, { once: true });
  }

  get promise(): Promise<void> {
    return this.#done.promise;
  }

  /** @returns true when the run is over */
  check(): boolean {
    const { failure, isClosed } = this.#source;
    if (!isClosed) return false;
    this.#signal?.removeEventListener("abort", this.#onAbort);
    if (failure === undefined) this.#done.resolve();
    else this.#done.reject(failure);
    return true;
  }
}

/** An application that is told of failures may itself fail; that must not change what becomes of the messages. */
export function reportFailure<T>(
  source: Pick<MessageSource<T>, "deps">,
  onError: RunOptions["onError"],
  error: unknown,
  messages: readonly ConsumerMessage<T>[],
): void {
  const { log } = source.deps;
  for (const message of messages) {
    const { attempt, offset, partition, topic } = message;
    try {
      if (onError !== undefined) onError(error, message);
      else log.warn({ topic, partition, offset, attempt, error }, "a handler failed");
    } catch (thrown) {
      warnSafely(log, { topic, partition, offset, error: thrown });
    }
  }
}

/** A log may be the application's, and what was thrown anything. */
function warnSafely(log: ClientDeps["log"], fields: Readonly<Record<string, unknown>>): void {
  try {
    log.warn(fields, "a failure could not be reported");
  } catch {
    // Nobody is left to be told.
  }
}

export function isPromiseLike(value: unknown): value is PromiseLike<unknown> {
  return (
    typeof value === "object" &&
    value !== null &&
    "then" in value &&
    typeof value.then === "function"
  );
}
