// consumer.runBatches(): hands several messages at a time to a handler, as soon as there are enough or the first one has
// waited long enough.
import type { Cancel } from "../base/clock.ts";
import { whole } from "./checked-number.ts";
import { ConsumerMessage } from "./consumer-message.ts";
import {
  CONCURRENCY_MAX,
  isPromiseLike,
  RunEnd,
  type RunOptions,
  reportFailure,
} from "./consumer-run.ts";
import type { MessageSource, MessageTaker } from "./consumer-source.ts";
import { ACK, decisionOf } from "./handler-outcome.ts";

/** Works on several messages; those that it does not settle itself are acknowledged together, or fail together. */
export type BatchHandler<T> = (messages: readonly ConsumerMessage<T>[]) => unknown;

export interface BatchRunOptions extends RunOptions {
  /** 1 to 10000; default 500. */
  readonly maxMessages?: number | undefined;
  /** A smaller batch is handed over after its first message has waited so long, ms; default 20. */
  readonly maxWaitMs?: number | undefined;
}

export class BatchRun<T> implements MessageTaker {
  readonly #source: MessageSource<T>;
  readonly #handler: BatchHandler<T>;
  readonly #concurrency: number;
  readonly #maxMessages: number;
  readonly #maxWaitMs: number;
  readonly #onError: RunOptions["onError"];
  readonly #end: RunEnd;
  #running = 0;
  #isPumping = false;
  #isDue = false;
  #cancelWait: Cancel | undefined;

  /** @throws FlotillaError INVALID_REQUEST */
  constructor(source: MessageSource<T>, handler: BatchHandler<T>, options: BatchRunOptions) {
    this.#source = source;
    this.#handler = handler;
    this.#concurrency = whole("concurrency", options.concurrency ?? 1, 1, CONCURRENCY_MAX);
    this.#maxMessages = whole("maxMessages", options.maxMessages ?? 500, 1, 10_000);
    this.#maxWaitMs = whole("maxWaitMs", options.maxWaitMs ?? 20, 0, 3_600_000);
    this.#onError = options.onError;
    this.#end = new RunEnd(source, options.signal);
  }

  get done(): Promise<void> {
    return this.#end.promise;
  }

  get isIdle(): boolean {
    return this.#running === 0;
  }

  onNews(): void {
    if (this.#end.check()) this.#stopWaiting();
    else this.#pump();
  }

  #pump(): void {
    if (this.#isPumping) return;
    this.#isPumping = true;
    while (this.#running < this.#concurrency && !this.#source.isEnding && this.#isReady()) {
      const messages = this.#source.buffer.takeBatch(this.#maxMessages);
      if (messages.length === 0) break;
      this.#stopWaiting();
      this.#begin(messages);
    }
    this.#isPumping = false;
  }

  #isReady(): boolean {
    const { size } = this.#source.buffer;
    if (size >= this.#maxMessages || (size > 0 && this.#isDue)) return true;
    if (size > 0)
      this.#cancelWait ??= this.#source.deps.clock.schedule(this.#maxWaitMs, () => this.#onDue());
    return false;
  }

  #onDue(): void {
    this.#cancelWait = undefined;
    this.#isDue = true;
    this.#pump();
  }

  #stopWaiting(): void {
    this.#cancelWait?.();
    this.#cancelWait = undefined;
    this.#isDue = false;
  }

  /** What was out before is reported as begun before the handler has it, as in consumer-run.ts; with it the whole batch waits. */
  #begin(messages: readonly ConsumerMessage<T>[]): void {
    if (messages.every((message) => ConsumerMessage.isNew(message))) {
      void this.#work(messages);
      return;
    }
    this.#running += 1;
    this.#source.flush();
    this.#source.deps.clock.schedule(0, () => {
      this.#running -= 1;
      // Some may have been lost meanwhile: they are somebody else's.
      const held = messages.filter(({ isDecided }) => !isDecided);
      if (held.length > 0) void this.#work(held);
      else this.#ended();
    });
  }

  async #work(messages: readonly ConsumerMessage<T>[]): Promise<void> {
    this.#running += 1;
    try {
      const result = this.#handler(messages);
      if (isPromiseLike(result)) await result;
      for (const message of messages) ConsumerMessage.decide(message, ACK);
    } catch (error) {
      const decision = decisionOf(error, this.#source.deps.clock.wallMs());
      const failed = messages.filter((message) => !message.isDecided);
      reportFailure(this.#source, this.#onError, error, failed);
      for (const message of failed) ConsumerMessage.decide(message, decision);
    }
    this.#running -= 1;
    this.#ended();
  }

  #ended(): void {
    if (!this.#source.isEnding) this.#pump();
    else if (this.#running === 0) this.#source.onIdle();
  }
}
