// The streams of one consumer: one to each broker in service, opened again when it breaks, with what is still held from
// leaders that are gone. Says when the consumer cannot go on: the subscription is unknown everywhere, another consumer of
// its id took over, nobody can be reached.
import type { Cancel } from "../base/clock.ts";
import { type Deferred, deferred } from "../base/deferred.ts";
import { BrokerError, isBrokerError } from "../model/errors.ts";
import { PROTOCOL_VERSION_MAX } from "../model/limits.ts";
import { backoffMs, LOAD_PAUSE_MS_MAX, ROUTING_PAUSE_MS_MAX } from "./backoff.ts";
import type { ClientDeps } from "./client-deps.ts";
import type { StreamSlot } from "./connection-pool.ts";
import type { ConsumerChannel } from "./consumer-channel.ts";
import { type BrokerLink, ConsumerReach, newLink } from "./consumer-reach.ts";
import { ConsumerStream, type ConsumerStreamEvents } from "./consumer-stream.ts";
import { asFlotillaError, type FlotillaError } from "./flotilla-error.ts";
import type { HeldDelivery } from "./held-delivery.ts";
import { OrphanDeliveries } from "./orphan-deliveries.ts";
import type { Credit } from "./stream-credit.ts";

export interface ConsumerStreamsOptions {
  readonly deps: ClientDeps;
  readonly subscription: string;
  readonly consumerId: string;
  readonly expectedFilter: string;
  readonly prefetch: Credit;
  readonly isVerified: boolean;
  readonly unavailableTimeoutMs: number;
}

/** What the streams tell their consumer. */
export interface ConsumerStreamsEvents {
  onDelivery(channel: ConsumerChannel, delivery: HeldDelivery): void;
  onLeft(delivery: HeldDelivery, count: number): void;
  /** Something that is held has a new token. */
  onResumed(): void;
  onFreed(channel: ConsumerChannel): void;
  onPaused(untilMs: number): void;
  onAckDeadline(ms: number): void;
  /** Something has changed: look again. */
  onTurn(): void;
  onFailed(error: FlotillaError): void;
}

/** So often metadata are looked at while nothing happens: a broker may have joined. Thousands of idle consumers do it. */
const FOLLOW_MS = 15_000;
/** When something happened they must not be older than this. */
const FRESH_MS = 1000;

export class ConsumerStreams implements ConsumerStreamEvents {
  readonly #options: ConsumerStreamsOptions;
  readonly #events: ConsumerStreamsEvents;
  readonly #links = new Map<string, BrokerLink>();
  readonly #orphans = new OrphanDeliveries();
  readonly #slots = new Map<ConsumerStream, StreamSlot>();
  #cancelFollow: Cancel | undefined;
  readonly #reach: ConsumerReach;
  #closed: Deferred<void> | undefined;
  #isDraining = false;
  #isClosed = false;

  constructor(options: ConsumerStreamsOptions, events: ConsumerStreamsEvents) {
    this.#options = options;
    this.#events = events;
    this.#reach = new ConsumerReach(this.#links, options.unavailableTimeoutMs);
  }

  get isDraining(): boolean {
    return this.#isDraining;
  }

  /** Every live stream was drained and everything is confirmed. */
  get isQuiet(): boolean {
    for (const { stream } of this.#links.values()) {
      if (stream !== undefined && !(stream.isDrained && stream.isSettled)) return false;
    }
    return [...this.held()].length === 0;
  }

  /** All that was received and is not over, with and without a leader. */
  *held(): Generator<HeldDelivery> {
    for (const { stream } of this.#links.values()) {
      for (const channel of stream?.channels() ?? []) yield* channel.held();
    }
    yield* this.#orphans.all();
  }

  /** Connects; returns at once. */
  start(): void {
    this.#reach.begins(this.#nowMs());
    void this.#follow(FOLLOW_MS / 2);
  }

  /** No more deliveries. */
  drain(): void {
    this.#isDraining = true;
    this.#cancelFollow?.();
    for (const link of this.#links.values()) {
      link.stream?.drain();
      if (link.stream === undefined && this.#orphans.all().length === 0) link.cancelOpen?.();
    }
  }

  flush(): void {
    for (const { stream } of this.#links.values()) stream?.flush();
  }

  expire(): void {
    this.#orphans.expire(this.#nowMs());
  }

  overdue(delivery: HeldDelivery): void {
    for (const { stream } of this.#links.values()) {
      if (stream?.isOf(delivery) === true) stream.overdue();
    }
  }

  /** Ends all streams. What is held is lost at once; resolves when the streams have ended. */
  close(): Promise<void> {
    this.#isClosed = true;
    this.#cancelFollow?.();
    for (const link of this.#links.values()) {
      link.cancelOpen?.();
      link.stream?.close();
    }
    this.#links.clear();
    this.#orphans.giveUpAll();
    const closed = deferred<void>();
    this.#closed = closed;
    if (this.#slots.size === 0) closed.resolve();
    return closed.promise;
  }

  // --- ConsumerStreamEvents

  onChannel(stream: ConsumerStream, channel: ConsumerChannel): void {
    for (const link of this.#links.values()) {
      if (link.stream !== stream) link.stream?.retire(channel.key, channel.leaderEpoch);
    }
  }

  orphansOf(channel: ConsumerChannel): readonly HeldDelivery[] {
    return this.#orphans.of(channel.key);
  }

  onDelivery(stream: ConsumerStream, channel: ConsumerChannel, delivery: HeldDelivery): void {
    this.#reach.accepted(stream);
    this.#orphans.replaced(channel, delivery);
    this.#events.onDelivery(channel, delivery);
  }

  onResumed(channel: ConsumerChannel, number: number, ranges: readonly number[]): boolean {
    const isResumed = this.#orphans.resume(channel, number, ranges, this.#nowMs());
    if (isResumed) this.#events.onResumed();
    return isResumed;
  }

  onHeldAnswered(channel: ConsumerChannel): void {
    if (!this.#isDeposed(channel)) this.#orphans.giveUp(channel.key, channel.leaderEpoch);
  }

  onLeft(delivery: HeldDelivery, count: number): void {
    this.#events.onLeft(delivery, count);
  }

  onFreed(channel: ConsumerChannel): void {
    this.#events.onFreed(channel);
  }

  onOrphans(deliveries: readonly HeldDelivery[]): void {
    if (this.#isClosed) for (const delivery of deliveries) delivery.giveUp(undefined);
    else this.#orphans.add(deliveries);
  }

  onPaused(untilMs: number): void {
    this.#events.onPaused(untilMs);
  }

  onAckDeadline(ms: number): void {
    this.#events.onAckDeadline(ms);
  }

  onAnswer(stream: ConsumerStream, isRouteStale: boolean): void {
    this.#reach.answered(stream, this.#nowMs());
    if (isRouteStale && !this.#isDraining) this.#followIn(0, FRESH_MS);
    this.#events.onTurn();
  }

  onClosed(stream: ConsumerStream): void {
    this.#slots.get(stream)?.release();
    this.#slots.delete(stream);
    if (this.#slots.size === 0) this.#closed?.resolve();
  }

  onEnd(stream: ConsumerStream, error: BrokerError): void {
    this.onClosed(stream);
    const link = this.#links.get(stream.endpoint);
    if (this.#isClosed || link?.stream !== stream) return;
    link.stream = undefined;
    const { endpoint } = link;
    const { reason } = error;
    this.#options.deps.log.debug({ endpoint, reason }, "subscribe stream ended");
    const failure = this.#reach.ended(link, stream, error, this.#nowMs());
    if (failure !== undefined) {
      this.#events.onFailed(failure);
      return;
    }
    this.#openLater(link, error);
    this.#events.onTurn();
  }

  /** The partition has a newer leader, which is asked what is held. */
  #isDeposed({ key, leaderEpoch }: ConsumerChannel): boolean {
    for (const { stream } of this.#links.values()) {
      for (const other of stream?.channels() ?? []) {
        if (other.key === key && other.leaderEpoch > leaderEpoch) return true;
      }
    }
    return false;
  }

  // --- which brokers

  #followIn(delayMs: number, maxAgeMs: number): void {
    this.#cancelFollow?.();
    this.#cancelFollow = this.#options.deps.clock.schedule(delayMs, () => {
      void this.#follow(maxAgeMs);
    });
  }

  async #follow(maxAgeMs: number): Promise<void> {
    const { metadata, random } = this.#options.deps;
    let pauseMs = FOLLOW_MS * (0.8 + 0.4 * random.next());
    try {
      if (metadata.brokersInService.length === 0) await metadata.refresh();
      else await metadata.refreshOlderThan(maxAgeMs);
      if (metadata.brokersInService.length === 0 && this.#links.size === 0) {
        // Whoever answered has just joined: another one is asked.
        metadata.avoid();
        throw new BrokerError("UNREACHABLE", "the broker that answered knows no broker in service");
      }
    } catch (error) {
      if (this.#isClosed) return;
      if (!isBrokerError(error) || !error.retryable) {
        this.#events.onFailed(asFlotillaError(error, "not-applied"));
        return;
      }
      pauseMs = ROUTING_PAUSE_MS_MAX;
      const failure = this.#reach.unreachable(error, this.#nowMs());
      if (failure !== undefined) {
        this.#events.onFailed(failure);
        return;
      }
    }
    if (this.#isClosed || this.#isDraining) return;
    this.#reconcile();
    this.#followIn(pauseMs, FOLLOW_MS / 2);
  }

  /** Brokers that joined are opened; those that left are forgotten when their streams end. */
  #reconcile(): void {
    const joined = this.#options.deps.metadata.brokersInService.filter(
      (endpoint) => !this.#links.has(endpoint),
    );
    if (joined.length === 0) return;
    const links = joined.map((endpoint) => {
      const link = newLink(endpoint);
      this.#links.set(endpoint, link);
      return link;
    });
    this.#shareAnew();
    for (const link of links) this.#open(link);
  }

  /** The number of brokers has changed. */
  #shareAnew(): void {
    const share = this.#share();
    for (const { stream } of this.#links.values()) stream?.setShare(share);
  }

  #share(): Credit {
    const { bytes, messages } = this.#options.prefetch;
    const count = Math.max(1, this.#links.size);
    return { messages: Math.ceil(messages / count), bytes: Math.ceil(bytes / count) };
  }

  // --- opening

  #open(link: BrokerLink): void {
    if (this.#isClosed || link.stream !== undefined) return;
    const { consumerId, deps, expectedFilter, isVerified, subscription } = this.#options;
    let slot: StreamSlot;
    try {
      slot = deps.connections.slot(link.endpoint);
    } catch (error) {
      this.#events.onFailed(asFlotillaError(error, "not-applied"));
      return;
    }
    const open = {
      subscription,
      consumerId,
      protocolVersion: PROTOCOL_VERSION_MAX,
      form: "batches" as const,
      reportsBegun: true,
      expectedFilter,
    };
    const { clock } = deps;
    const held = this.#orphans.all();
    const settings = { clock, open, held, share: this.#share(), isVerified };
    const isDraining = this.#isDraining;
    const stream = new ConsumerStream(slot.connection, { ...settings, isDraining }, this);
    link.stream = stream;
    this.#slots.set(stream, slot);
  }

  #openLater(link: BrokerLink, error: BrokerError): void {
    const { clock, metadata, random } = this.#options.deps;
    const isKnown = metadata.brokersInService.includes(link.endpoint);
    if (!isKnown || (this.#isDraining && this.#orphans.all().length === 0)) {
      this.#links.delete(link.endpoint);
      this.#shareAnew();
      return;
    }
    const isLoad = error.retry === "later";
    // A broker that is down for long is not asked four times a second by every consumer.
    const maxMs = isLoad || link.attempt > 5 ? LOAD_PAUSE_MS_MAX : ROUTING_PAUSE_MS_MAX;
    const { retryAfterMs } = error.fields;
    const pauseMs = typeof retryAfterMs === "number" ? retryAfterMs : 0;
    const delayMs = Math.max(pauseMs, backoffMs(random, link.attempt, maxMs));
    link.attempt += 1;
    link.cancelOpen = clock.schedule(delayMs, () => this.#open(link));
    if (!this.#isDraining) this.#followIn(delayMs, FRESH_MS);
  }

  #nowMs(): number {
    return this.#options.deps.clock.monotonicMs();
  }
}
