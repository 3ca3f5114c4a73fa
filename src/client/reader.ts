// The reader: messages of a topic's partitions by position, each partition in its order and without gaps, across leader
// changes. Follows leaders, keeps the brokers' credit, and stops with an error when it cannot go on; it never ends silently.
import { type Deferred, deferred } from "../base/deferred.ts";
import { BrokerError, isBrokerError } from "../model/errors.ts";
import type { CursorBatches, CursorError } from "../rpc/generated/flotilla-v1.ts";
import { errorOfReason } from "../rpc/status.ts";
import { backoffMs, ROUTING_PAUSE_MS_MAX } from "./backoff.ts";
import type { ClientDeps } from "./client-deps.ts";
import type { FetchCursor } from "./fetch-cursor.ts";
import type { FetchStream } from "./fetch-stream.ts";
import { type FetchEvents, FetchStreams } from "./fetch-streams.ts";
import { asFlotillaError, cancelled, FlotillaError } from "./flotilla-error.ts";
import { BatchIterator, type BatchSource, MessageIterator } from "./reader-iterators.ts";
import { findStart, type ReaderOptions } from "./reader-start.ts";
import type { ReceivedBatch, ReceivedMessage } from "./received-batch.ts";
import type { TopicRoute } from "./topic-route.ts";

/** Iterate either the reader itself (messages) or batches(), once. Leaving the loop closes the reader. */
export interface Reader extends AsyncIterable<ReceivedMessage> {
  /** Whole batches: the fast way. Their messages are decoded only when asked for. */
  batches(): AsyncIterableIterator<ReceivedBatch>;
  [Symbol.asyncIterator](): AsyncIterableIterator<ReceivedMessage>;
  /** As last heard; 0 before the first answer. */
  highWatermark(partition: number): number;
  /** Messages committed and not received yet, all partitions, as last heard. */
  lag(): number;
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

const MIB = 1024 * 1024;
const UNAVAILABLE_TIMEOUT_MS = 120_000;

interface Delivery {
  readonly batch: ReceivedBatch;
  /** Whose credit it used. */
  readonly stream: FetchStream;
}

export class ClusterReader implements Reader, BatchSource, FetchEvents {
  readonly #deps: ClientDeps;
  readonly #options: ReaderOptions;
  readonly #onClosed: (reader: ClusterReader) => void;
  readonly #abort = new AbortController();
  readonly #cursors = new Map<number, FetchCursor>();
  readonly #streams: FetchStreams;
  #route: TopicRoute | undefined;
  /** Received and not consumed; from #taken on. */
  #queue: Delivery[] = [];
  #taken = 0;
  #current: Delivery | undefined;
  #news: Deferred<void> | undefined;
  #starting: Promise<void> | undefined;
  #isStarted = false;
  #isClosed = false;
  #failure: FlotillaError | undefined;
  readonly #onAbort = (): void => this.#fail(cancelled(this.#options.signal, "not-applied"));

  constructor(deps: ClientDeps, options: ReaderOptions, onClosed: (reader: ClusterReader) => void) {
    this.#deps = deps;
    this.#options = options;
    this.#onClosed = onClosed;
    this.#streams = new FetchStreams(deps.connections, options.creditBytes ?? 8 * MIB, this);
    const { signal } = options;
    if (signal?.aborted === true) this.#onAbort();
    else signal?.addEventListener("abort", this.#onAbort, { once: true });
  }

  highWatermark(partition: number): number {
    return this.#cursors.get(partition)?.highWatermark ?? 0;
  }

  lag(): number {
    let lag = 0;
    for (const { highWatermark, nextOffset } of this.#cursors.values()) {
      lag += Math.max(0, highWatermark - nextOffset);
    }
    return lag;
  }

  [Symbol.asyncIterator](): AsyncIterableIterator<ReceivedMessage> {
    return new MessageIterator(this);
  }

  batches(): AsyncIterableIterator<ReceivedBatch> {
    return new BatchIterator(this);
  }

  /** Iterations under way end. Idempotent. */
  close(): Promise<void> {
    if (!this.#isClosed) {
      this.#isClosed = true;
      if (this.#route !== undefined) this.#route.holders -= 1;
      this.#options.signal?.removeEventListener("abort", this.#onAbort);
      this.#abort.abort(new BrokerError("CLOSED", "the reader was closed"));
      this.#streams.close();
      this.#queue = [];
      this.#taken = 0;
      this.#tell();
      this.#onClosed(this);
    }
    return Promise.resolve();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  // --- BatchSource

  take(): ReceivedBatch | undefined {
    this.#consumeCurrent();
    const next = this.#queue[this.#taken];
    if (next === undefined) return undefined;
    this.#taken += 1;
    if (this.#taken === this.#queue.length) {
      this.#queue = [];
      this.#taken = 0;
    }
    this.#current = next;
    return next.batch;
  }

  async wait(): Promise<boolean> {
    for (;;) {
      if (this.#queue.length > this.#taken) return true;
      if (this.#failure !== undefined) {
        await this.close();
        throw this.#failure;
      }
      if (this.#isClosed) return false;
      if (!this.#isStarted) {
        this.#starting ??= this.#start();
        await this.#starting;
        continue;
      }
      if ([...this.#cursors.values()].every((cursor) => cursor.isDone)) {
        await this.close();
        return false;
      }
      this.#news ??= deferred<void>();
      await this.#news.promise;
    }
  }

  // --- FetchEvents

  onData(cursor: FetchCursor, data: CursorBatches, stream: FetchStream): void {
    const received: ReceivedBatch[] = [];
    let failure: BrokerError | undefined;
    try {
      cursor.receive(data, received, this.#options.verifyChecksums ?? true);
    } catch (error) {
      if (!isBrokerError(error)) throw error;
      failure = error;
    }
    let bytes = 0;
    for (const chunk of data.batches) bytes += chunk.length;
    for (const batch of received) {
      bytes -= batch.bytes.length;
      this.#queue.push({ batch, stream });
    }
    if (received.length > 0) cursor.reach.progressed();
    if (failure !== undefined) this.#onDamage(cursor, failure);
    else if (cursor.isDone) this.#streams.finish(cursor);
    // Skipped bytes were taken, too.
    this.#streams.consumed(stream, bytes);
    this.#tell();
  }

  onCursorError(cursor: FetchCursor, { reason, message, metadata }: CursorError): void {
    const error = errorOfReason(reason, message, metadata);
    cursor.reach.left(this.#deps.clock.monotonicMs());
    if (!error.retryable) {
      this.#fail(unreadable(cursor, error));
      return;
    }
    const { leaderEndpoint, leaderEpoch, retryAfterMs } = error.fields;
    const route = this.#route;
    if (route === undefined) return;
    let isHint = false;
    // Who does not know the leader may have been cut off from the others, who have elected one.
    if (error.reason === "NOT_LEADER" || error.reason === "LEADER_UNKNOWN") {
      const known = route.leaderOf(cursor.partition)?.endpoint;
      if (known !== undefined) route.disown(cursor.partition, known);
      const epoch = typeof leaderEpoch === "number" ? leaderEpoch : 0;
      isHint =
        typeof leaderEndpoint === "string" &&
        leaderEndpoint !== known &&
        route.hint(cursor.partition, leaderEndpoint, epoch);
    }
    const pauseMs = typeof retryAfterMs === "number" ? retryAfterMs : undefined;
    const isQuick = isHint && cursor.reach.attempt < 3;
    this.#retry(cursor, error, isQuick ? 0 : pauseMs, !isHint);
  }

  onLost(endpoint: string, cursors: readonly FetchCursor[], error: BrokerError): void {
    if (this.#isOver) return;
    this.#deps.log.debug({ endpoint, reason: error.reason }, "fetch stream ended");
    const nowMs = this.#deps.clock.monotonicMs();
    for (const cursor of cursors) {
      this.#route?.disown(cursor.partition, endpoint);
      cursor.reach.left(nowMs);
      this.#retry(cursor, error, cursor.reach.attempt === 0 ? 0 : undefined, true);
    }
  }

  // --- starting

  async #start(): Promise<void> {
    try {
      await this.#begin();
      this.#isStarted = true;
    } catch (error) {
      if (!this.#isClosed) this.#fail(asFlotillaError(error, "not-applied"));
    }
  }

  async #begin(): Promise<void> {
    const { route, cursors } = await findStart(this.#deps, this.#options, this.#abort.signal);
    if (this.#isClosed) {
      route.holders -= 1;
      return;
    }
    this.#route = route;
    for (const cursor of cursors) {
      this.#cursors.set(cursor.partition, cursor);
      this.#attach(cursor);
    }
  }

  // --- following leaders

  #attach(cursor: FetchCursor): void {
    const route = this.#route;
    if (this.#isOver || route === undefined || cursor.isDone) return;
    if (route.isGone) {
      const { topic } = cursor;
      const text = `topic "${topic}" was deleted`;
      this.#fail(new FlotillaError("UNKNOWN_TOPIC_OR_PARTITION", text, { topic }, "not-applied"));
      return;
    }
    const leader = route.leaderOf(cursor.partition);
    if (leader === undefined) {
      this.#retry(cursor, undefined, undefined, true);
      return;
    }
    try {
      const brokers = (): number => this.#brokersOf(route);
      this.#streams.open(cursor, route.topicId, leader.endpoint, brokers);
      cursor.reach.opened(this.#deps.clock.monotonicMs());
    } catch (error) {
      this.#fail(asFlotillaError(error, "not-applied"));
    }
  }

  /** Those that lead the reader's partitions; all that are unknown count as one. */
  #brokersOf(route: TopicRoute): number {
    const leaders = new Set<string | undefined>();
    for (const { partition } of this.#cursors.values()) {
      leaders.add(route.leaderOf(partition)?.endpoint);
    }
    return leaders.size;
  }

  /**
   * A cursor's leader was not reached.
   * @param error undefined: none is known
   * @param pauseMs undefined: by the number of failures
   * @param isStale ask for metadata first
   */
  #retry(
    cursor: FetchCursor,
    error: BrokerError | undefined,
    pauseMs: number | undefined,
    isStale: boolean,
  ): void {
    if (this.#isOver) return;
    const { clock, random } = this.#deps;
    const { attempt } = cursor.reach;
    const lostMs = cursor.reach.failed(clock.monotonicMs(), error);
    const limitMs = this.#options.unavailableTimeoutMs ?? UNAVAILABLE_TIMEOUT_MS;
    if (lostMs > limitMs) this.#fail(unreachable(cursor, limitMs));
    else {
      const delayMs = pauseMs ?? backoffMs(random, attempt, ROUTING_PAUSE_MS_MAX);
      this.#reopen(cursor, delayMs, isStale);
    }
  }

  #reopen(cursor: FetchCursor, delayMs: number, isStale: boolean): void {
    const { clock, metadata } = this.#deps;
    clock.schedule(delayMs, () => {
      if (this.#isOver || cursor.stream !== undefined) return;
      if (!isStale) {
        this.#attach(cursor);
        return;
      }
      metadata.refresh(cursor.topic).then(
        () => this.#attach(cursor),
        (error: unknown) => {
          if (this.#isOver) return;
          const known = isBrokerError(error) ? error : undefined;
          if (known?.retryable === false) this.#fail(asFlotillaError(known));
          else this.#retry(cursor, known, undefined, true);
        },
      );
    });
  }

  #onDamage(cursor: FetchCursor, error: BrokerError): void {
    const { clock, random } = this.#deps;
    cursor.stream?.leave(cursor);
    cursor.reach.left(clock.monotonicMs());
    const before = error.reason === "MALFORMED_BATCH" ? undefined : cursor.reach.damaged();
    if (before === undefined) this.#fail(asFlotillaError(error, "not-applied"));
    else this.#reopen(cursor, backoffMs(random, before, ROUTING_PAUSE_MS_MAX), false);
  }

  // --- handing out

  #consumeCurrent(): void {
    const current = this.#current;
    if (current === undefined) return;
    this.#current = undefined;
    this.#streams.consumed(current.stream, current.batch.bytes.length);
  }

  /** Nothing more is asked for. What is queued may still be handed out. */
  get #isOver(): boolean {
    return this.#isClosed || this.#failure !== undefined;
  }

  #fail(error: FlotillaError): void {
    this.#failure ??= error;
    // An abort takes effect at once; what was received before another failure is handed out first.
    if (error.reason === "CANCELLED") {
      this.#queue = [];
      this.#taken = 0;
    }
    this.#streams.close();
    this.#abort.abort(error);
    this.#tell();
  }

  #tell(): void {
    this.#news?.resolve();
    this.#news = undefined;
  }
}

function unreadable(cursor: FetchCursor, error: BrokerError): FlotillaError {
  const { topic, partition, nextOffset } = cursor;
  const text = `${topic}/${partition} cannot be read on from offset ${nextOffset}: ${error.message}`;
  const fields = { ...error.fields, topic, partition, offset: nextOffset };
  return new FlotillaError(error.reason, text, fields, "not-applied", { cause: error });
}

function unreachable({ topic, partition, reach }: FetchCursor, limitMs: number): FlotillaError {
  const { cause } = reach;
  const why = cause === undefined ? "" : `: ${cause.reason}: ${cause.message}`;
  const text = `no leader of ${topic}/${partition} could be reached for ${limitMs} ms${why}`;
  const fields = { topic, partition };
  return new FlotillaError("LEADER_UNKNOWN", text, fields, "not-applied", { cause });
}
