// The consumer: receives messages of a subscription from all brokers and hands them to a loop or to handlers. Here is its
// life: connecting with the first use, draining, closing, failing. What is held stands in held-delivery.ts, whom it comes from
// in consumer-streams.ts.
import type { Cancel } from "../base/clock.ts";
import { type Deferred, deferred } from "../base/deferred.ts";
import type { ClientDeps } from "./client-deps.ts";
import { type CloseOptions, closeTimeoutMs } from "./close-options.ts";
import { type BatchHandler, BatchRun, type BatchRunOptions } from "./consumer-batches.ts";
import type { ConsumerChannel } from "./consumer-channel.ts";
import { ConsumerIterator } from "./consumer-iterator.ts";
import type { ConsumerMessage } from "./consumer-message.ts";
import { type ConsumerOptions, checkedOptions } from "./consumer-options.ts";
import { ConsumerRun, type Handler, type RunOptions } from "./consumer-run.ts";
import type { MessageSource, MessageTaker } from "./consumer-source.ts";
import { ConsumerStreams, type ConsumerStreamsEvents } from "./consumer-streams.ts";
import { DeliveryBuffer } from "./delivery-buffer.ts";
import { FlotillaError } from "./flotilla-error.ts";
import { RELEASE } from "./handler-outcome.ts";
import type { HeldDelivery } from "./held-delivery.ts";
import { LeaseKeeper } from "./lease-keeper.ts";
import type { Serializer } from "./serializer.ts";

const CLOSE_TIMEOUT_MS = 30_000;

/** How busy a consumer is, in messages. */
export interface ConsumerStats {
  /** Received, and not begun. */
  readonly waiting: number;
  readonly running: number;
  /** Decided, and not confirmed by the broker. */
  readonly unconfirmed: number;
  /** The subscription is paused until then, ms since 1970; 0: it is not, as last heard. */
  readonly pausedUntilMs: number;
}

/**
 * Use it once: either iterate it, or run() or runBatches(). It connects with the first use.
 *
 * Iterating: asking for the next message acknowledges the one before, unless it was settled already or `autoAck` is false. A
 * loop that is left by `break`, `return` or a throw does not acknowledge the message in hand: it counts as failed and comes
 * again, so settle it before a `break`. Leaving the loop closes the consumer.
 */
export interface Consumer<T = Buffer | undefined> extends AsyncIterable<ConsumerMessage<T>> {
  readonly subscription: string;
  readonly consumerId: string;
  readonly stats: ConsumerStats;
  [Symbol.asyncIterator](): AsyncIterableIterator<ConsumerMessage<T>>;
  /**
   * Hands each message to the handler; what it does not settle itself is acknowledged when it returns, and failed when it
   * throws (see {@link Reject} and {@link RetryLater}). Ends when the consumer is closed or the signal aborted, after
   * everything was drained.
   * @throws FlotillaError why the consumer cannot go on
   */
  run(handler: Handler<T>, options?: RunOptions): Promise<void>;
  /** As run() with several messages at a time; in exclusive mode all of one partition, in order. */
  runBatches(handler: BatchHandler<T>, options?: BatchRunOptions): Promise<void>;
  /**
   * Takes no more messages, gives back what was not begun, lets handlers end, waits for the confirmation of all settlements,
   * ends the streams. Idempotent. Within a loop settle the message in hand first: it is waited for.
   */
  close(options?: CloseOptions): Promise<void>;
  /** Closes when the process gets one of these signals; until then the SDK installs no handlers. @returns undoes it */
  closeOn(...signals: readonly NodeJS.Signals[]): () => void;
  [Symbol.asyncDispose](): Promise<void>;
}

export class ClusterConsumer<T> implements Consumer<T>, MessageSource<T>, ConsumerStreamsEvents {
  readonly subscription: string;
  readonly consumerId: string;
  readonly deps: ClientDeps;
  readonly buffer: DeliveryBuffer<T>;
  readonly #streams: ConsumerStreams;
  readonly #keeper: LeaseKeeper;
  readonly #isAutoAck: boolean;
  readonly #onClosed: (consumer: ClusterConsumer<T>) => void;
  #taker: MessageTaker | undefined;
  #pausedUntilMs = 0;
  #failure: FlotillaError | undefined;
  #closing: Promise<void> | undefined;
  #ended: Promise<void> | undefined;
  #quiet: Deferred<void> | undefined;
  #isStarted = false;
  #isClosed = false;
  readonly #undo = new Set<() => void>();

  /** @throws FlotillaError INVALID_REQUEST */
  constructor(
    deps: ClientDeps,
    options: ConsumerOptions<T>,
    serializer: Serializer<T>,
    onClosed: (consumer: ClusterConsumer<T>) => void,
  ) {
    const { extendMaxMs, isAutoAck, ...checked } = checkedOptions(options);
    this.deps = deps;
    this.subscription = options.subscription;
    this.consumerId = options.consumerId ?? deps.random.uuid();
    this.#isAutoAck = isAutoAck;
    this.#onClosed = onClosed;
    this.buffer = new DeliveryBuffer({ clock: deps.clock, serializer });
    const { consumerId, subscription } = this;
    this.#streams = new ConsumerStreams({ deps, subscription, consumerId, ...checked }, this);
    this.#keeper = new LeaseKeeper(deps.clock, this.#streams, extendMaxMs);
  }

  get stats(): ConsumerStats {
    let running = 0;
    let unconfirmed = 0;
    for (const delivery of this.#streams.held()) {
      running += delivery.running;
      unconfirmed += delivery.unconfirmed;
    }
    const pausedUntilMs = this.#pausedUntilMs;
    return { waiting: this.buffer.size, running, unconfirmed, pausedUntilMs };
  }

  [Symbol.asyncIterator](): AsyncIterableIterator<ConsumerMessage<T>> {
    this.#checkUnused();
    const iterator = new ConsumerIterator<T>(this, this.#isAutoAck);
    this.#use(iterator, false);
    return iterator;
  }

  async run(handler: Handler<T>, options: RunOptions = {}): Promise<void> {
    this.#checkUnused();
    const run = new ConsumerRun<T>(this, handler, options);
    this.#use(run, true);
    await run.done;
  }

  async runBatches(handler: BatchHandler<T>, options: BatchRunOptions = {}): Promise<void> {
    this.#checkUnused();
    const run = new BatchRun<T>(this, handler, options);
    this.#use(run, true);
    await run.done;
  }

  async close(options: CloseOptions = {}): Promise<void> {
    const timeoutMs = closeTimeoutMs(options, CLOSE_TIMEOUT_MS);
    this.#closing ??= this.#close(timeoutMs);
    await this.#closing;
  }

  closeOn(...signals: readonly NodeJS.Signals[]): () => void {
    const onSignal = (): void => {
      void this.close();
    };
    const undo = (): void => {
      this.#undo.delete(undo);
      for (const signal of signals) process.removeListener(signal, onSignal);
    };
    for (const signal of signals) process.on(signal, onSignal);
    this.#undo.add(undo);
    return undo;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  // --- MessageSource

  get isEnding(): boolean {
    return this.#closing !== undefined;
  }

  get failure(): FlotillaError | undefined {
    return this.#failure;
  }

  flush(): void {
    this.#streams.flush();
  }

  // --- ConsumerStreamsEvents

  onDelivery(channel: ConsumerChannel, delivery: HeldDelivery): void {
    this.deps.observer?.arrived(delivery);
    this.buffer.add(channel, delivery);
    if (this.isEnding) delivery.decideWaiting(RELEASE);
    this.#keeper.wake(delivery.ackDeadlineMs);
  }

  onLeft(delivery: HeldDelivery, count: number): void {
    this.buffer.left(count);
    this.deps.observer?.left(delivery);
  }

  onResumed(): void {
    this.deps.observer?.resumed();
  }

  onFreed(channel: ConsumerChannel): void {
    this.buffer.wake(channel);
    this.#wakeWhenQuiet();
  }

  onAckDeadline(ms: number): void {
    this.#keeper.retime(ms);
  }

  onPaused(untilMs: number): void {
    this.#pausedUntilMs = untilMs;
  }

  onTurn(): void {
    this.#taker?.onNews();
    this.#wakeWhenQuiet();
  }

  onFailed(error: FlotillaError): void {
    if (this.#isClosed || this.#failure !== undefined) return;
    this.#failure = error;
    void this.#end();
    this.#taker?.onNews();
  }

  // --- life

  /** Before anything listens to what the new user brings. @throws FlotillaError CLOSED, INVALID_REQUEST */
  #checkUnused(): void {
    if (this.#closing !== undefined) throw new FlotillaError("CLOSED", "the consumer was closed");
    if (this.#taker !== undefined) {
      throw new FlotillaError("INVALID_REQUEST", "the consumer is in use already", {
        field: "consumer",
        limit: "one loop or run",
      });
    }
  }

  #use(taker: MessageTaker, isGated: boolean): void {
    this.#taker = taker;
    this.buffer.isGated = isGated;
    this.#isStarted = true;
    this.#streams.start();
  }

  async #close(timeoutMs: number): Promise<void> {
    if (this.#isStarted && !this.#isClosed) {
      this.#streams.drain();
      for (const delivery of [...this.#streams.held()]) delivery.decideWaiting(RELEASE);
      this.#taker?.onNews();
      await this.#untilQuiet(timeoutMs);
    }
    await this.#end();
    this.#taker?.onNews();
  }

  /** Everything is drained, settled and confirmed; or the time is over. */
  async #untilQuiet(timeoutMs: number): Promise<void> {
    if (this.#isClosed || this.#isQuiet()) return;
    this.#quiet = deferred<void>();
    const cancel: Cancel = this.deps.clock.schedule(timeoutMs, () => this.#quiet?.resolve());
    await this.#quiet.promise;
    cancel();
  }

  #isQuiet(): boolean {
    return this.#streams.isQuiet && this.#taker?.isIdle !== false;
  }

  #wakeWhenQuiet(): void {
    if (this.#quiet !== undefined && (this.#isClosed || this.#isQuiet())) this.#quiet.resolve();
  }

  onIdle(): void {
    this.#wakeWhenQuiet();
  }

  #end(): Promise<void> {
    this.#ended ??= this.#endAll();
    return this.#ended;
  }

  async #endAll(): Promise<void> {
    this.#isClosed = true;
    this.#keeper.close();
    for (const undo of [...this.#undo]) undo();
    this.#quiet?.resolve();
    if (this.#isStarted) await this.#streams.close();
    this.#onClosed(this);
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }
}
