// The producer: takes messages, keeps count of what is buffered, and once per turn lets the links send. How messages become
// batches and how batches survive failures is the lanes' business (producer-lane.ts).
import type { Cancel } from "../base/clock.ts";
import { type Deferred, deferred } from "../base/deferred.ts";
import { BATCH_BYTES_MAX } from "../model/limits.ts";
import { MemoryPool } from "../model/memory-pool.ts";
import type { ClientDeps } from "./client-deps.ts";
import { type CloseOptions, closeTimeoutMs } from "./close-options.ts";
import { asFlotillaError, cancelled, FlotillaError } from "./flotilla-error.ts";
import type { LaneHost } from "./lane-host.ts";
import { ProduceLink } from "./produce-link.ts";
import type { ProducerLane } from "./producer-lane.ts";
import type { Producer, ProducerOptions, SendOptions } from "./producer-options.ts";
import { type ProducerSession, ProducerSessions, type SessionWaiter } from "./producer-session.ts";
import { type OutgoingMessage, ProducerTopic, type SendClass } from "./producer-topic.ts";
import type { Receipt, SendBatch, SendCallback } from "./send-batch.ts";
import { type LoaderHost, TopicLoader } from "./topic-loader.ts";
import type { TopicRoute } from "./topic-route.ts";
import { UnaryCaller } from "./unary-caller.ts";
import type { WaitingMessage } from "./waiting-topic.ts";

const MIB = 1024 * 1024;
/** Bytes sent in one turn after which ready() lets the event loop run. */
const TURN_BYTES = 128 * 1024;
/** ready() waits while more than this is unanswered: it keeps the links busy, and more would only wait longer. */
const READY_BYTES_MAX = 8 * MIB;
/** Batch memory kept for the next batches: what is unanswered under load. */
const POOL_BYTES_MAX = READY_BYTES_MAX;
const LOAD_FACTOR = 4;
const UNKNOWN_TOPIC_TIMEOUT_MS = 5000;
/** A broker that owes an answer for so long is looked after: another one may lead by now. */
const SILENCE_MS = 500;
const HOUSEKEEPING_MS = 250;
const NO_OPTIONS: SendClass = Object.freeze({});
const ONE_WAY: SendClass = Object.freeze({ acks: "none" });
const NOBODY: SendCallback = () => undefined;

export class ClusterProducer implements Producer, LaneHost<ProducerLane>, LoaderHost {
  readonly deps: ClientDeps;
  readonly memory: MemoryPool = new MemoryPool(POOL_BYTES_MAX);
  readonly deliveryTimeoutMs: number;
  readonly batchBytes: number;
  readonly batchBytesMax: number;
  readonly #options: ProducerOptions;
  readonly #bufferBytesMax: number;
  readonly #sessions: ProducerSessions;
  readonly #abort = new AbortController();
  readonly #onClosed: (producer: ClusterProducer) => void;
  readonly #loader: TopicLoader;
  /** By name, those whose metadata is known. */
  readonly #topics = new Map<string, ProducerTopic>();
  /** Deleted topics, while something of theirs is under way. */
  #formerTopics: ProducerTopic[] = [];
  #last: ProducerTopic | undefined;
  #lastName = "";
  readonly #links = new Map<string, ProduceLink>();
  #readyLinks: ProduceLink[] = [];
  #isTurnDue = false;
  #turnBytes = 0;
  #bufferedBytes = 0;
  /** Batches that changed their lanes, since the beginning. */
  #reroutes = 0;
  #wallMs = 0;
  #room: Deferred<void> | undefined;
  #cancelHousekeeping: Cancel | undefined;
  /** Set once nothing is taken any more. */
  #refusal: FlotillaError | undefined;
  #closing: Promise<void> | undefined;

  constructor(
    deps: ClientDeps,
    options: ProducerOptions,
    onClosed: (producer: ClusterProducer) => void,
  ) {
    this.deps = deps;
    this.#options = options;
    this.#onClosed = onClosed;
    this.deliveryTimeoutMs = positive(options.deliveryTimeoutMs, 120_000, "deliveryTimeoutMs");
    this.#bufferBytesMax = positive(options.bufferBytesMax, 64 * MIB, "bufferBytesMax");
    this.batchBytes = Math.min(
      positive(options.batchBytes, 64 * 1024, "batchBytes"),
      BATCH_BYTES_MAX,
    );
    this.batchBytesMax = Math.min(this.batchBytes * LOAD_FACTOR, BATCH_BYTES_MAX);
    const caller = new UnaryCaller(deps);
    const { name = "" } = options;
    this.#sessions = new ProducerSessions(caller, deps.random, name, this.#abort.signal);
    const { deliveryTimeoutMs } = this;
    const unknownTopicTimeoutMs = options.unknownTopicTimeoutMs ?? UNKNOWN_TOPIC_TIMEOUT_MS;
    this.#loader = new TopicLoader(deps, { deliveryTimeoutMs, unknownTopicTimeoutMs }, this);
  }

  send(message: OutgoingMessage, options: SendOptions = NO_OPTIONS): Promise<Receipt> {
    const { signal } = options;
    if (signal !== undefined) return this.#sendWithSignal(message, options, signal);
    return new Promise((resolve, reject) => {
      this.#append(message, options, (error, receipt) => {
        if (receipt !== undefined) resolve(receipt);
        else reject(asFlotillaError(error));
      });
    });
  }

  sendAsync(message: OutgoingMessage, done: SendCallback, options: SendClass = NO_OPTIONS): void {
    this.#append(message, options, done);
  }

  sendOneWay(message: OutgoingMessage): void {
    this.#append(message, ONE_WAY, NOBODY);
  }

  ready(): Promise<void> {
    if (this.#turnBytes < TURN_BYTES && this.#hasRoom) return Promise.resolve();
    this.#scheduleTurn();
    this.#room ??= deferred<void>();
    return this.#room.promise;
  }

  async flush(): Promise<void> {
    let reroutes: number;
    do {
      reroutes = this.#reroutes;
      await this.#settled();
      // Batches that changed their lanes meanwhile count as settled, but are not.
    } while (reroutes !== this.#reroutes);
  }

  async close(options: CloseOptions = {}): Promise<void> {
    const timeoutMs = closeTimeoutMs(options, this.deliveryTimeoutMs);
    this.#closing ??= this.#close(timeoutMs);
    await this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  // --- LaneHost

  linkTo(endpoint: string): ProduceLink {
    let link = this.#links.get(endpoint);
    if (link === undefined) {
      const { clock, connections, log } = this.deps;
      link = new ProduceLink({
        endpoint,
        clock,
        log,
        connection: () => connections.get(endpoint, "produce"),
        onReady: (ready) => {
          if (!this.#readyLinks.includes(ready)) this.#readyLinks.push(ready);
          this.#scheduleTurn();
        },
      });
      this.#links.set(endpoint, link);
    }
    return link;
  }

  obtainSession(
    lane: ProducerLane,
    stale: ProducerSession | undefined,
    waiter: SessionWaiter,
  ): void {
    this.#sessions.obtain(lane.place.sessionSuffix, stale, waiter);
  }

  onReleased(batch: SendBatch): void {
    batch.release(this.memory);
    this.#release(batch.chargedBytes);
  }

  reroute(lane: ProducerLane, batches: readonly SendBatch[]): void {
    const topic = this.#topicOf(lane.place.route);
    for (const batch of batches) {
      this.#reroutes += 1;
      this.#release(batch.chargedBytes);
      this.#bufferedBytes += topic.reappend(lane, batch);
      batch.moved();
      batch.release(this.memory);
    }
  }

  onFenced(error: FlotillaError): void {
    this.#refuseAll(error);
    for (const topic of this.#allTopics()) for (const lane of topic.lanes()) lane.failAll(error);
    this.#loader.failAll(error);
  }

  // --- LoaderHost

  /** Bytes of waiting messages are free. */
  onFreed(bytes: number): void {
    this.#release(bytes);
  }

  onLoaded(route: TopicRoute, messages: readonly WaitingMessage[]): void {
    const topic = new ProducerTopic(this, route, this.#options);
    this.#topics.set(route.name, topic);
    route.holders += 1;
    for (const { message, send, atMs, done } of messages) {
      try {
        this.#bufferedBytes += topic.append(message, send, atMs, done);
      } catch (error) {
        done(asFlotillaError(error, "not-applied"));
      }
    }
  }

  // --- taking messages

  #append(message: OutgoingMessage, send: SendClass, done: SendCallback): void {
    if (this.#refusal !== undefined) throw this.#refusal;
    if (this.#bufferedBytes >= this.#bufferBytesMax) throw this.#bufferFull();
    // One look at the clock per turn: every message that is taken makes a turn due.
    if (!this.#isTurnDue) {
      this.#wallMs = this.deps.clock.wallMs();
      this.#scheduleTurn();
    }
    const isLast = message.topic === this.#lastName && this.#last?.route.isGone === false;
    const topic = isLast ? this.#last : this.#findTopic(message.topic);
    let bytes: number;
    if (topic !== undefined) bytes = topic.append(message, send, this.#wallMs, done);
    else bytes = this.#loader.add(message, send, this.#wallMs, done);
    this.#bufferedBytes += bytes;
    this.#turnBytes += bytes;
    if (this.#cancelHousekeeping === undefined) this.#scheduleHousekeeping();
  }

  #findTopic(name: string): ProducerTopic | undefined {
    const topic = this.#topics.get(name);
    if (topic?.route.isGone === true) {
      this.#topics.delete(name);
      topic.route.holders -= 1;
      this.#formerTopics.push(topic);
      return undefined;
    }
    if (topic !== undefined) {
      this.#last = topic;
      this.#lastName = name;
    }
    return topic;
  }

  #topicOf(route: TopicRoute): ProducerTopic {
    let topic = this.#topics.get(route.name);
    if (topic?.route !== route) {
      topic = this.#formerTopics.find((former) => former.route === route);
    }
    return topic ?? new ProducerTopic(this, route, this.#options);
  }

  #bufferFull(): FlotillaError {
    return new FlotillaError("BUFFER_FULL", "the producer's buffer is full; await ready()", {
      bufferBytesMax: this.#bufferBytesMax,
    });
  }

  #sendWithSignal(
    message: OutgoingMessage,
    options: SendOptions,
    signal: AbortSignal,
  ): Promise<Receipt> {
    if (signal.aborted) return Promise.reject(cancelled(signal, "not-applied"));
    return new Promise((resolve, reject) => {
      const onAbort = (): void => reject(cancelled(signal, "unknown"));
      this.#append(message, options, (error, receipt) => {
        signal.removeEventListener("abort", onAbort);
        if (receipt !== undefined) resolve(receipt);
        else reject(asFlotillaError(error));
      });
      signal.addEventListener("abort", onAbort, { once: true });
    });
  }

  // --- turns, room, time

  get #hasRoom(): boolean {
    return this.#bufferedBytes < Math.min(this.#bufferBytesMax / 2, READY_BYTES_MAX);
  }

  #scheduleTurn(): void {
    if (this.#isTurnDue) return;
    this.#isTurnDue = true;
    this.deps.clock.defer(() => this.#turn());
  }

  #turn(): void {
    this.#isTurnDue = false;
    this.#turnBytes = 0;
    const links = this.#readyLinks;
    this.#readyLinks = [];
    for (const link of links) link.pump();
    this.#tellRoom();
  }

  #release(bytes: number): void {
    this.#bufferedBytes -= bytes;
    if (this.#room !== undefined && !this.#isTurnDue) this.#tellRoom();
  }

  #tellRoom(): void {
    if (this.#room === undefined || (!this.#hasRoom && this.#refusal === undefined)) return;
    this.#room.resolve();
    this.#room = undefined;
  }

  /** Now and then, while something is under way: deadlines, and streams that do not answer. */
  #scheduleHousekeeping(): void {
    const intervalMs = Math.min(HOUSEKEEPING_MS, Math.max(10, this.deliveryTimeoutMs / 20));
    this.#cancelHousekeeping = this.deps.clock.schedule(intervalMs, () => {
      this.#cancelHousekeeping = undefined;
      if (this.#keepHouse()) this.#scheduleHousekeeping();
    });
  }

  /** @returns false when nothing is under way */
  #keepHouse(): boolean {
    const nowMs = this.deps.clock.monotonicMs();
    for (const link of this.#links.values()) {
      link.checkAnswers(nowMs);
      if (link.isSilentFor(SILENCE_MS, nowMs)) this.#lookAround(link);
    }
    this.#loader.expire(nowMs);
    let isBusy = !this.#loader.isEmpty;
    for (const topic of this.#allTopics()) {
      for (const lane of topic.lanes()) {
        if (!lane.hasPending) continue;
        isBusy = true;
        lane.expire(nowMs);
      }
    }
    this.#formerTopics = this.#formerTopics.filter((topic) => isAnyPending(topic));
    return isBusy;
  }

  /** A broker is silent: ask the others who leads now, and go there. The broker itself cannot tell. */
  #lookAround(link: ProduceLink): void {
    const { metadata } = this.deps;
    metadata.suspect(link.endpoint);
    metadata.refresh().then(
      () => {
        const nowMs = this.deps.clock.monotonicMs();
        if (link.isSilentFor(SILENCE_MS, nowMs)) link.leaveIfReplaced();
      },
      () => undefined,
    );
  }

  // --- the end

  #settled(): Promise<void> {
    const promises: Promise<void>[] = [];
    for (const emptied of this.#loader.emptied()) {
      promises.push(emptied.then(() => this.#settled()));
    }
    for (const topic of this.#allTopics()) {
      for (const lane of topic.lanes()) {
        for (const batch of lane.pending()) {
          promises.push(
            new Promise<void>((resolve) => {
              batch.onSettled.push(resolve);
            }),
          );
        }
      }
    }
    return Promise.all(promises).then(() => undefined);
  }

  async #close(timeoutMs: number): Promise<void> {
    this.#refuseAll(new FlotillaError("CLOSED", "the producer was closed"));
    const inTime = deferred<void>();
    const cancel = this.deps.clock.schedule(timeoutMs, () => inTime.resolve());
    await Promise.race([this.flush(), inTime.promise]);
    cancel();
    const error = new FlotillaError("CLOSED", "the producer was closed before an answer came");
    this.#loader.failAll(error);
    for (const topic of this.#allTopics()) for (const lane of topic.lanes()) lane.close(error);
    for (const { route } of this.#topics.values()) route.holders -= 1;
    this.#topics.clear();
    this.#abort.abort(error);
    this.#cancelHousekeeping?.();
    for (const link of this.#links.values()) link.close();
    this.#onClosed(this);
  }

  #refuseAll(error: FlotillaError): void {
    this.#refusal ??= error;
    this.#tellRoom();
  }

  *#allTopics(): Generator<ProducerTopic> {
    yield* this.#topics.values();
    yield* this.#formerTopics;
  }
}

function isAnyPending(topic: ProducerTopic): boolean {
  for (const lane of topic.lanes()) if (lane.hasPending) return true;
  return false;
}

function positive(value: number | undefined, fallback: number, field: string): number {
  if (value === undefined) return fallback;
  if (Number.isFinite(value) && value > 0) return value;
  throw new FlotillaError("INVALID_REQUEST", `${field} must be a positive number`, {
    field,
    limit: "above 0",
  });
}
