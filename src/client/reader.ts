// The reader: messages of a topic's partitions by position, each partition in its order and without gaps, across leader
// changes. Follows leaders, keeps the brokers' credit, and stops with an error when it cannot go on; it never ends silently.
import { type Deferred, deferred } from "../base/deferred.ts";
import { BrokerError, isBrokerError } from "../model/errors.ts";
import type { CursorBatches, CursorError } from "../rpc/generated/flotilla-v1.ts";
import { errorOfReason } from "../rpc/status.ts";
import { backoffMs, ROUTING_PAUSE_MS_MAX } from "./backoff.ts";
import type { ClientDeps } from "./client-deps.ts";
import type { CursorStream, FetchCursor } from "./fetch-cursor.ts";
import { FetchStream, type FetchStreamEvents } from "./fetch-stream.ts";
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
const CREDIT_BYTES_MIN = 64 * 1024;
const UNAVAILABLE_TIMEOUT_MS = 120_000;
/** Damage that comes again this often is not the network's. */
const DAMAGED_MAX = 3;

interface Delivery {
  readonly batch: ReceivedBatch;
  readonly cursor: FetchCursor;
  /** Whose credit it used. */
  readonly stream: CursorStream | undefined;
}

export class ClusterReader implements Reader, BatchSource, FetchStreamEvents {
  readonly #deps: ClientDeps;
  readonly #options: ReaderOptions;
  readonly #onClosed: (reader: ClusterReader) => void;
  readonly #creditBytes: number;
  readonly #abort = new AbortController();
  readonly #cursors = new Map<number, FetchCursor>();
  readonly #streams = new Map<string, FetchStream>();
  #route: TopicRoute | undefined;
  /** Received and not consumed; from #taken on. */
  #queue: Delivery[] = [];
  #taken = 0;
  #queuedBytes = 0;
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
    this.#creditBytes = Math.max(CREDIT_BYTES_MIN, options.creditBytes ?? 8 * MIB);
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
      this.#options.signal?.removeEventListener("abort", this.#onAbort);
      this.#abort.abort(new BrokerError("CLOSED", "the reader was closed"));
      for (const stream of this.#streams.values()) stream.close();
      this.#streams.clear();
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

  // --- FetchStreamEvents

  onData(cursor: FetchCursor, data: CursorBatches): void {
    const received: ReceivedBatch[] = [];
    let failure: BrokerError | undefined;
    try {
      cursor.receive(data, received, this.#options.verifyChecksums ?? true);
    } catch (error) {
      if (!isBrokerError(error)) throw error;
      failure = error;
    }
    const { stream } = cursor;
    let bytes = 0;
    for (const chunk of data.batches) bytes += chunk.length;
    for (const batch of received) {
      bytes -= batch.bytes.length;
      this.#queuedBytes += batch.bytes.length;
      this.#queue.push({ batch, cursor, stream });
    }
    // Skipped bytes were taken, too.
    stream?.consumed(bytes);
    if (failure !== undefined) this.#onDamage(cursor, failure);
    else if (received.length > 0) {
      cursor.attempt = 0;
      cursor.lostSinceMs = undefined;
    }
    if (cursor.isDone) stream?.leave(cursor);
    this.#tell();
  }

  onCursorError(cursor: FetchCursor, { reason, message, metadata }: CursorError): void {
    const error = errorOfReason(reason, message, metadata);
    if (!error.retryable) {
      this.#fail(this.#explained(error, cursor));
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
    this.#reopen(cursor, isHint && cursor.attempt < 3 ? 0 : pauseMs, !isHint);
  }

  onEnd(stream: FetchStream, cursors: readonly FetchCursor[], error: BrokerError): void {
    if (this.#streams.get(stream.endpoint) === stream) this.#streams.delete(stream.endpoint);
    if (this.#isClosed) return;
    const { endpoint } = stream;
    this.#deps.log.debug({ endpoint, reason: error.reason }, "fetch stream ended");
    for (const cursor of cursors) {
      this.#route?.disown(cursor.partition, endpoint);
      this.#reopen(cursor, cursor.attempt === 0 ? 0 : undefined, true);
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
    if (this.#isClosed) return;
    this.#route = route;
    for (const cursor of cursors) {
      this.#cursors.set(cursor.partition, cursor);
      this.#attach(cursor);
    }
  }

  // --- following leaders

  #attach(cursor: FetchCursor): void {
    const route = this.#route;
    if (this.#isClosed || route === undefined || cursor.isDone) return;
    if (route.isGone) {
      const { topic } = cursor;
      const text = `topic "${topic}" was deleted`;
      this.#fail(new FlotillaError("UNKNOWN_TOPIC_OR_PARTITION", text, { topic }, "not-applied"));
      return;
    }
    const leader = route.leaderOf(cursor.partition);
    if (leader === undefined) {
      this.#reopen(cursor, undefined, true);
      return;
    }
    try {
      this.#streamTo(leader.endpoint).open(cursor, route.topicId);
    } catch (error) {
      this.#fail(asFlotillaError(error, "not-applied"));
    }
  }

  #streamTo(endpoint: string): FetchStream {
    const known = this.#streams.get(endpoint);
    if (known !== undefined) return known;
    const leaders = new Set<string | undefined>();
    for (const { partition } of this.#cursors.values()) {
      leaders.add(this.#route?.leaderOf(partition)?.endpoint);
    }
    const shareBytes = Math.max(CREDIT_BYTES_MIN, this.#creditBytes / Math.max(1, leaders.size));
    // What an earlier stream has sent and the application has not taken yet counts as well.
    const grantBytes = Math.max(CREDIT_BYTES_MIN, shareBytes - this.#queuedBytes);
    const connection = this.#deps.connections.get(endpoint, "fetch");
    const credit = { shareBytes: Math.floor(shareBytes), grantBytes: Math.floor(grantBytes) };
    const stream = new FetchStream(connection, credit, this);
    this.#streams.set(endpoint, stream);
    return stream;
  }

  /** @param pauseMs undefined: by the number of failures @param isStale ask for metadata first */
  #reopen(cursor: FetchCursor, pauseMs: number | undefined, isStale: boolean): void {
    const { clock, metadata, random } = this.#deps;
    if (this.#isClosed || this.#failure !== undefined) return;
    const nowMs = clock.monotonicMs();
    cursor.lostSinceMs ??= nowMs;
    const limitMs = this.#options.unavailableTimeoutMs ?? UNAVAILABLE_TIMEOUT_MS;
    if (nowMs - cursor.lostSinceMs > limitMs) {
      const { topic, partition } = cursor;
      const text = `no leader of ${topic}/${partition} could be reached for ${limitMs} ms`;
      this.#fail(new FlotillaError("LEADER_UNKNOWN", text, { topic, partition }));
      return;
    }
    const delayMs = pauseMs ?? backoffMs(random, cursor.attempt, ROUTING_PAUSE_MS_MAX);
    cursor.attempt += 1;
    clock.schedule(delayMs, () => {
      if (this.#isClosed || this.#failure !== undefined || cursor.stream !== undefined) return;
      if (!isStale) {
        this.#attach(cursor);
        return;
      }
      metadata.refresh(cursor.topic).then(
        () => this.#attach(cursor),
        (error: unknown) => {
          if (isBrokerError(error) && !error.retryable) this.#fail(asFlotillaError(error));
          else this.#reopen(cursor, undefined, true);
        },
      );
    });
  }

  #onDamage(cursor: FetchCursor, error: BrokerError): void {
    cursor.stream?.leave(cursor);
    if (error.reason === "MALFORMED_BATCH" || cursor.attempt >= DAMAGED_MAX) {
      this.#fail(asFlotillaError(error, "not-applied"));
    } else this.#reopen(cursor, undefined, false);
  }

  #explained(error: BrokerError, cursor: FetchCursor): FlotillaError {
    const { topic, partition, nextOffset } = cursor;
    const text = `${topic}/${partition} cannot be read on from offset ${nextOffset}: ${error.message}`;
    const fields = { ...error.fields, topic, partition, offset: nextOffset };
    return new FlotillaError(error.reason, text, fields, "not-applied", { cause: error });
  }

  // --- handing out

  #consumeCurrent(): void {
    const current = this.#current;
    if (current === undefined) return;
    this.#current = undefined;
    const bytes = current.batch.bytes.length;
    this.#queuedBytes -= bytes;
    // A later stream began with less credit, because this was not consumed yet.
    const { cursor, stream } = current;
    const creditor = stream?.isOver === false ? stream : cursor.stream;
    creditor?.consumed(bytes);
  }

  #fail(error: FlotillaError): void {
    this.#failure ??= error;
    // An abort takes effect at once; what was received before another failure is handed out first.
    if (error.reason === "CANCELLED") {
      this.#queue = [];
      this.#taken = 0;
    }
    for (const stream of this.#streams.values()) stream.close();
    this.#streams.clear();
    this.#abort.abort(error);
    this.#tell();
  }

  #tell(): void {
    this.#news?.resolve();
    this.#news = undefined;
  }
}
