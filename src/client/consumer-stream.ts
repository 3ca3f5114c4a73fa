// One stream of a consumer to one broker: the channels of the partitions that the broker leads, their deliveries, credit and
// settlements. Once per turn it sends what that turn decided. It is over with its first error; the next one takes over.
import type { Clock } from "../base/clock.ts";
import { BrokerError, isBrokerError } from "../model/errors.ts";
import type {
  ChannelEnd,
  Delivery,
  DeliveryChannel,
  HeldMessages,
  LostMessages,
  SettleRefusal,
  SubscribeOpen,
  SubscribeRequest,
  SubscribeResponse,
} from "../rpc/generated/flotilla-v1.ts";
import { subscriptionService } from "../rpc/methods.ts";
import type { Connection, MessageStream } from "../rpc/ports.ts";
import { errorOfReason } from "../rpc/status.ts";
import { type ChannelEvents, ConsumerChannel } from "./consumer-channel.ts";
import { FlotillaError } from "./flotilla-error.ts";
import type { HeldDelivery } from "./held-delivery.ts";
import { elementsOf, HELD_ELEMENTS_MAX, heldMessages, nothingHeld } from "./held-messages.ts";
import { messagesOf, receivedDelivery } from "./received-delivery.ts";
import { SettlementQueue } from "./settlement-queue.ts";
import { type Credit, StreamCredit } from "./stream-credit.ts";

/** What a stream tells its consumer. */
export interface ConsumerStreamEvents {
  /** The broker leads a partition. */
  onChannel(stream: ConsumerStream, channel: ConsumerChannel): void;
  /** What is held of a partition from leaders that are gone. */
  orphansOf(channel: ConsumerChannel): readonly HeldDelivery[];
  onDelivery(stream: ConsumerStream, channel: ConsumerChannel, delivery: HeldDelivery): void;
  /** @returns false: some of it is not held any more */
  onResumed(channel: ConsumerChannel, number: number, ranges: readonly number[]): boolean;
  /** The leader said of everything that others gave whether it is held. */
  onHeldAnswered(channel: ConsumerChannel): void;
  /** Messages of the channel do not wait any more. */
  onLeft(delivery: HeldDelivery, count: number): void;
  onFreed(channel: ConsumerChannel): void;
  /** A channel or the stream is over; these are still worked on or not confirmed. */
  onOrphans(deliveries: readonly HeldDelivery[]): void;
  onPaused(untilMs: number): void;
  onAckDeadline(ms: number): void;
  /** A message of the broker was taken in; `isRouteStale`: the partition is led elsewhere. */
  onAnswer(stream: ConsumerStream, isRouteStale: boolean): void;
  onEnd(stream: ConsumerStream, error: BrokerError): void;
  /** A stream that was closed here has ended. */
  onClosed(stream: ConsumerStream): void;
}

export interface ConsumerStreamOptions {
  readonly clock: Clock;
  readonly open: Omit<SubscribeOpen, "held">;
  /** What is held from leaders that are gone. */
  readonly held: readonly HeldDelivery[];
  readonly share: Credit;
  readonly isDraining: boolean;
  readonly isVerified: boolean;
}

/** So long a broker has to answer the end of a stream. */
const END_MS = 1000;
/** A settlement that was refused for now is sent again after this. */
const REPEAT_MS = 250;

export class ConsumerStream implements ChannelEvents {
  readonly endpoint: string;
  readonly openedMs: number;
  hasAnswered = false;
  /** The broker has said that it delivers nothing more. */
  isDrained = false;
  readonly #options: ConsumerStreamOptions;
  readonly #events: ConsumerStreamEvents;
  readonly #stream: MessageStream<SubscribeRequest, SubscribeResponse>;
  readonly #channels = new Map<number, ConsumerChannel>();
  readonly #settlements: SettlementQueue;
  readonly #credit = new StreamCredit();
  #open: SubscribeOpen | undefined;
  /** Channels that are to be answered. */
  #introduced: ConsumerChannel[] = [];
  #drain: "no" | "wanted" | "sent" = "no";
  #isFlushDue = false;
  /** Something was lost by its deadline: a consumer that says nothing then counts as gone. */
  #mustSpeak = false;
  #isOver = false;

  constructor(
    connection: Connection,
    options: ConsumerStreamOptions,
    events: ConsumerStreamEvents,
  ) {
    this.endpoint = connection.endpoint;
    this.#options = options;
    this.#events = events;
    this.openedMs = options.clock.monotonicMs();
    this.#open = { ...options.open, held: heldMessages(options.held, false) };
    this.#settlements = new SettlementQueue((delivery) => this.#channelIdOf(delivery));
    this.#stream = connection.bidi(subscriptionService.subscribe);
    this.#stream.onMessage = (answer) => this.#onAnswer(answer);
    this.#stream.onEnd = (error) => {
      this.#end(error ?? new BrokerError("UNREACHABLE", `${this.endpoint} ended the stream`));
    };
    if (options.isDraining) this.#drain = "wanted";
    else this.#credit.setShare(options.share);
    this.#flush();
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  /** Everything that was sent is answered. */
  get isSettled(): boolean {
    return this.#settlements.isEmpty && this.#settlements.unanswered === 0;
  }

  isOf(delivery: HeldDelivery): boolean {
    return this.#channelIdOf(delivery) !== undefined;
  }

  channels(): Iterable<ConsumerChannel> {
    return this.#channels.values();
  }

  setShare(share: Credit): void {
    if (this.#drain !== "no") return;
    this.#credit.setShare(share);
    if (this.#credit.isDue) this.#flushSoon();
  }

  /** Asks for an end of deliveries. */
  drain(): void {
    if (this.#drain !== "no") return;
    this.#drain = "wanted";
    this.#flushSoon();
  }

  /** Sends at once what is to be sent. */
  flush(): void {
    this.#flush();
  }

  /** Another leader has this partition now. */
  retire(key: string, leaderEpoch: number): void {
    for (const channel of [...this.#channels.values()]) {
      if (channel.key === key && channel.leaderEpoch < leaderEpoch) this.#endChannel(channel);
    }
  }

  /**
   * A lease has ended, and the broker neither confirmed more time nor took the message back: it hangs, or cannot be reached.
   * What it hands out meanwhile may be out of order.
   */
  overdue(): void {
    const text = `${this.endpoint} did not say in time that a lease was extended`;
    this.#fail(new BrokerError("UNREACHABLE", text));
  }

  /** Ends the stream without telling anybody. What it held is lost. */
  close(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#endChannels();
    this.#settlements.end();
    // A normal end lets what was sent arrive; a broker that does not answer it is not waited for.
    const ended = (): void => {
      cancel();
      this.#events.onClosed(this);
    };
    const cancel = this.#options.clock.schedule(END_MS, () => {
      this.#stream.cancel();
      ended();
    });
    this.#stream.onEnd = ended;
    this.#stream.end();
  }

  // --- ChannelEvents

  touch(delivery: HeldDelivery): void {
    this.#settlements.touch(delivery);
    this.#flushSoon();
  }

  left(delivery: HeldDelivery, count: number): void {
    const bytes = delivery.waiting === 0 ? delivery.batch.bytes.length : 0;
    this.#credit.taken(count, bytes);
    if (this.#credit.isDue) this.#flushSoon();
    this.#events.onLeft(delivery, count);
  }

  freed(channel: ConsumerChannel): void {
    this.#events.onFreed(channel);
  }

  // --- sending

  #flushSoon(): void {
    if (this.#isFlushDue || this.#isOver) return;
    this.#isFlushDue = true;
    this.#options.clock.defer(() => {
      this.#isFlushDue = false;
      this.#flush();
    });
  }

  #flush(): void {
    while (!this.#isOver) {
      const settle = this.#settlements.take(this.#options.clock.monotonicMs());
      const credit = this.#drain === "no" ? this.#credit.take() : undefined;
      const held = this.#takeHeld();
      const drain = this.#drain === "wanted";
      const open = this.#open;
      const isNothing = settle.length === 0 && credit === undefined && held.length === 0 && !drain;
      if (isNothing && open === undefined && !this.#mustSpeak) return;
      this.#mustSpeak = false;
      this.#open = undefined;
      if (drain) this.#drain = "sent";
      const { messages: creditMessages = 0, bytes: creditBytes = 0 } = credit ?? {};
      this.#stream.send({ open, creditMessages, creditBytes, settle, drain, held });
      if (this.#settlements.isEmpty && this.#introduced.length === 0) return;
    }
  }

  /** A delivery may have gone to another stream meanwhile. */
  #channelIdOf({ place }: HeldDelivery): number | undefined {
    const isMine = place instanceof ConsumerChannel && this.#channels.get(place.id) === place;
    return isMine ? place.id : undefined;
  }

  // --- receiving

  #onAnswer(answer: SubscribeResponse): void {
    if (this.#isOver) return;
    this.hasAnswered = true;
    let isRouteStale = false;
    try {
      for (const introduction of answer.channels) this.#introduce(introduction);
      // Before the deliveries: what comes behind a settled failure may be worked on.
      this.#settlements.settled(answer.settled);
      for (const refusal of answer.refusals) this.#refused(refusal);
      if (answer.ackDeadlineMs !== undefined) this.#setAckDeadline(answer.ackDeadlineMs);
      for (const delivery of answer.deliveries) this.#deliver(delivery);
      // Behind them: it may be about what has come with it.
      for (const lost of answer.lost) this.#lose(lost);
      for (const number of answer.answered) this.#heldAnswered(number);
      for (const ended of answer.ended) isRouteStale = this.#channelEnded(ended) || isRouteStale;
    } catch (error) {
      if (!isBrokerError(error)) throw error;
      this.#fail(error);
      return;
    }
    if (answer.drained) this.isDrained = true;
    if (answer.pausedUntilMs !== undefined) this.#events.onPaused(answer.pausedUntilMs);
    this.#events.onAnswer(this, isRouteStale);
  }

  #setAckDeadline(ms: number): void {
    for (const channel of this.#channels.values()) channel.setAckDeadline(ms);
    this.#events.onAckDeadline(ms);
  }

  #introduce(introduction: DeliveryChannel): void {
    const channel = new ConsumerChannel(introduction, this);
    const former = this.#channels.get(channel.id);
    if (former !== undefined) this.#endChannel(former);
    this.#channels.set(channel.id, channel);
    this.#events.onChannel(this, channel);
    // At the end of the turn: what comes with the channel may be resumed already.
    this.#introduced.push(channel);
    this.#flushSoon();
  }

  /** Answers to introductions, as many as fit in one request. */
  #takeHeld(): HeldMessages[] {
    const held: HeldMessages[] = [];
    let elements = 0;
    for (let channel = this.#introduced[0]; channel !== undefined; channel = this.#introduced[0]) {
      const answer = this.#heldOf(channel);
      elements += elementsOf(answer);
      if (held.length > 0 && elements > HELD_ELEMENTS_MAX) break;
      held.push(...answer);
      this.#introduced.shift();
    }
    return held;
  }

  #heldOf(channel: ConsumerChannel): HeldMessages[] {
    if (channel.isOver) return [];
    const held = this.#events.orphansOf(channel);
    return held.length > 0 ? heldMessages(held, true) : [nothingHeld(channel)];
  }

  /** @throws BrokerError CORRUPT_BATCH, MALFORMED_BATCH */
  #deliver(delivery: Delivery): void {
    const channel = this.#channels.get(delivery.channel);
    const { batch: bytes, deliveryNumber, resumed } = delivery;
    if (channel === undefined) {
      // Of a former leader: its credit is free again.
      this.#credit.taken(messagesOf(delivery), bytes.length);
      if (this.#credit.isDue) this.#flushSoon();
      return;
    }
    if (resumed.length > 0 && !this.#events.onResumed(channel, deliveryNumber, resumed)) {
      // Its lease ended while the broker was asked. The broker believes it to be held, and may hand out what comes behind it.
      const fields = { deliveryNumber };
      throw new BrokerError("STALE_DELIVERY", "what was resumed is not held any more", fields);
    }
    if (bytes.length === 0) return;
    const { clock, isVerified } = this.#options;
    const received = receivedDelivery(channel, delivery, isVerified, clock.monotonicMs());
    this.#events.onDelivery(this, channel, received);
  }

  /** What the leader did not take is not held any more. */
  #heldAnswered(number: number): void {
    const channel = this.#channels.get(number);
    if (channel !== undefined) this.#events.onHeldAnswered(channel);
  }

  #refused(refusal: SettleRefusal): void {
    const repeat = this.#settlements.refused(refusal);
    if (repeat !== undefined) this.#options.clock.schedule(REPEAT_MS, repeat);
  }

  #lose({ cause, channel, deliveryNumber, ranges }: LostMessages): void {
    const deliveries = this.#channels.get(channel)?.deliveries.get(deliveryNumber) ?? [];
    const text = `the broker has taken the message back: ${cause}`;
    const error = new FlotillaError("STALE_DELIVERY", text, { cause, deliveryNumber });
    for (const delivery of [...deliveries])
      delivery.lose(ranges.length > 0 ? ranges : undefined, error);
    if (cause !== "deadline") return;
    this.#mustSpeak = true;
    this.#flushSoon();
  }

  /** @returns true when another broker leads now, or may soon */
  #channelEnded({ channel: id, message, metadata, reason }: ChannelEnd): boolean {
    const channel = this.#channels.get(id);
    if (channel === undefined) return false;
    const error = errorOfReason(reason, message, metadata);
    if (error.reason === "UNKNOWN_SUBSCRIPTION") {
      // Nobody will go on with it.
      for (const delivery of [...channel.held()]) delivery.giveUp(undefined);
    }
    this.#endChannel(channel);
    return error.reason !== "UNKNOWN_SUBSCRIPTION";
  }

  // --- ending

  #endChannel(channel: ConsumerChannel): void {
    this.#channels.delete(channel.id);
    this.#settlements.channelEnded(channel.id);
    this.#events.onOrphans(channel.end(this.#options.clock.monotonicMs()));
  }

  #endChannels(): void {
    const nowMs = this.#options.clock.monotonicMs();
    const orphans = [...this.#channels.values()].flatMap((channel) => channel.end(nowMs));
    this.#channels.clear();
    this.#events.onOrphans(orphans);
  }

  /** What the broker sent cannot be used. */
  #fail(error: BrokerError): void {
    if (this.#isOver) return;
    this.#end(error);
    this.#stream.cancel();
  }

  #end(error: BrokerError): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#settlements.end();
    this.#endChannels();
    this.#events.onEnd(this, error);
  }
}
