// One consumer's stream to one broker, whatever carries it: credit and settlements in, messages out, from every partition of
// the subscription that this broker leads. Settlements are taken and answered while the transport is full; only messages
// wait. Made by the broker's service for each stream; delivery-host.ts connects it with runners.
import type { Clock } from "../base/clock.ts";
import { BrokerError, isBrokerError } from "../model/errors.ts";
import { CHANNELS_PER_SESSION_MAX, REFUSED_SETTLES_MAX } from "../model/limits.ts";
import type { MemoryBudget } from "../model/memory-budget.ts";
import type { Offset } from "../model/positions.ts";
import type { SubscriptionRow } from "../model/subscription.ts";
import {
  asBatch,
  asMessages,
  costOf,
  type DeliveryContent,
  NOTHING,
  pairsOf,
} from "./delivery-form.ts";
import type { DeliveryRunner } from "./delivery-runner.ts";
import { OUTSTANDING_MAX } from "./dispatch-core.ts";
import type { ConsumerInfo, LostDelivery, OutgoingDelivery } from "./dispatch-types.ts";
import { AnswerDraft, type PushAnswer } from "./push-answer.ts";
import { type Channel, PushChannels } from "./push-channels.ts";
import { PushCredit } from "./push-credit.ts";
import {
  type CheckedHeld,
  type CheckedOpen,
  checkHeld,
  heldBy,
  type SubscribeMessage,
  takeForHeld,
} from "./push-request.ts";
import type { RunnerConsumer } from "./runner-parts.ts";
import {
  checkSettle,
  invalid,
  SETTLES_PER_MESSAGE_MAX,
  type SettleMessage,
} from "./settle-request.ts";

/** Answers without messages that a full transport is given nevertheless; beyond, the stream is not read. */
const BLOCKED_ANSWERS_MAX = 256;

/** The stream that carries a session. */
export interface PushOutput {
  /** False: the transport's buffer is full; drained() must be called when it is not any more. */
  send(answer: PushAnswer): boolean;
  end(error?: BrokerError): void;
  /** Stops and restarts delivery of incoming messages. Called alternately. */
  pause(): void;
  resume(): void;
}

export interface PushSessionDeps {
  readonly clock: Clock;
  readonly memory: MemoryBudget | undefined;
  readonly onRefused: (error: BrokerError) => void;
  /** The session is over, for whatever reason. */
  readonly onClosed: (session: PushSession) => void;
}

export class PushSession implements RunnerConsumer {
  readonly info: ConsumerInfo;
  readonly #open: CheckedOpen;
  readonly #deps: PushSessionDeps;
  readonly #output: PushOutput;
  readonly #credit = new PushCredit();
  readonly #draft = new AnswerDraft();
  readonly #channels: PushChannels;
  #row: SubscriptionRow;
  #isFlushDue = false;
  #isDraining = false;
  /** The consumer lost something by its deadline, and has said nothing since. */
  #isSilent = false;
  #isClosed = false;
  /** The transport, or the node's memory for answers, is full. */
  #isBlocked = false;
  #blockedAnswers = 0;
  #isPaused = false;
  /** Refused settlements since one was confirmed, without one for each message that went out. */
  #refusedCount = 0;
  readonly #congested = new Map<DeliveryRunner, () => void>();
  #leaveMemory: (() => void) | undefined;
  readonly #heldBytes: number;

  /** @throws BrokerError OVERLOADED: there is no room for what `open` says is held */
  constructor(open: CheckedOpen, row: SubscriptionRow, output: PushOutput, deps: PushSessionDeps) {
    this.#heldBytes = takeForHeld(open.held, deps.memory);
    this.#open = open;
    this.#channels = new PushChannels(open.held);
    this.#row = row;
    this.#output = output;
    this.#deps = deps;
    const { consumerId: id, reportsBegun } = open;
    this.info = { id, reportsBegun, credit: this.#credit.visible };
    if (row.definition.pausedUntilMs !== 0) this.#draft.paused(row.definition.pausedUntilMs);
    this.#scheduleFlush();
  }

  get row(): SubscriptionRow {
    return this.#row;
  }

  get consumerId(): string {
    return this.#open.consumerId;
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** @throws BrokerError INVALID_REQUEST | OVERLOADED, which ends the stream */
  receive(message: SubscribeMessage): void {
    if (this.#isClosed) return;
    if (message.open !== undefined) throw invalid("open", "only in the first message");
    this.proceed(message);
  }

  /** What a message says besides `open`. @throws BrokerError INVALID_REQUEST | OVERLOADED, which ends the stream */
  proceed({ creditBytes, creditMessages, drain, held, settle }: SubscribeMessage): void {
    if (this.#isSilent) this.#setSilent(false);
    if (held.length > 0) this.#answered(checkHeld(held, "held"));
    if (creditMessages > 0 || creditBytes > 0) {
      this.#credit.add(creditMessages, creditBytes);
      this.#offer();
    }
    for (const [at, item] of settle.entries()) {
      if (at < SETTLES_PER_MESSAGE_MAX) this.#settle(item);
      else this.refused(item.number, invalid("settle", `${SETTLES_PER_MESSAGE_MAX} per message`));
      this.#requireSense();
    }
    if (drain) this.#drain();
    this.#adjustReading();
  }

  /**
   * A partition of the subscription is led here.
   * @param isComplete what `open` says about held messages is all, unless the last leader's are awaited: the partition was led
   *   here when it came
   */
  addChannel(runner: DeliveryRunner, isComplete: boolean): void {
    if (this.#isClosed) return;
    const number = this.#channels.next();
    this.#introduce(number, runner);
    if (this.#channels.isFull) {
      const fields = { limit: "channels", max: CHANNELS_PER_SESSION_MAX };
      this.#end(number, new BrokerError("OVERLOADED", "the stream has too many channels", fields));
      return;
    }
    const key = runner.join(this, number);
    const channel: Channel = { number, runner, key, awaiting: undefined };
    this.#channels.add(channel);
    const { partition, topicId } = runner.partition;
    const named = this.#channels.takeNamed(topicId, partition);
    // What the last leader gave the consumer is not said before it knows that there is another one: with the introduction.
    if (!isComplete || runner.isAwaited(key)) this.#await(channel);
    else this.#resume(channel, named);
    if (this.#isDraining) runner.drain(key);
    if (this.#isSilent) runner.setSilent(key, true);
  }

  /** The transport takes messages again. */
  drained(): void {
    this.#isBlocked = false;
    this.#blockedAnswers = 0;
    this.#flush();
    this.#offer();
    this.#adjustReading();
  }

  /** The subscription's definition is another one. */
  update(row: SubscriptionRow): void {
    const before = this.#row.definition;
    const { ackDeadlineMs, pausedUntilMs } = row.definition;
    this.#row = row;
    if (pausedUntilMs !== before.pausedUntilMs) this.#draft.paused(pausedUntilMs);
    if (ackDeadlineMs !== before.ackDeadlineMs) this.#draft.ackDeadline(ackDeadlineMs);
    if (!this.#draft.isEmpty) this.#scheduleFlush();
  }

  /** Ends the stream from this side. */
  end(error: BrokerError): void {
    if (this.#isClosed) return;
    this.#flush();
    this.close();
    this.#output.end(error);
  }

  /** The stream ended: what is out is lost. Idempotent. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#credit.hide();
    this.#leaveMemory?.();
    this.#deps.memory?.give("streams", this.#heldBytes);
    for (const leave of this.#congested.values()) leave();
    this.#congested.clear();
    for (const { key, runner } of this.#channels.all()) runner.leave(key);
    this.#channels.clear();
    this.#deps.onClosed(this);
  }

  deliver(number: number, delivery: OutgoingDelivery<Buffer>): void {
    const { batch, cost, redeliveries } = delivery;
    const content = this.#contentOf(number, delivery);
    this.#mayBeRefused(cost.messages);
    this.#credit.refund(0, cost.bytes - costOf(content));
    const head = { channel: number, deliveryNumber: delivery.number, resumed: [] };
    const bytes = this.#open.form === "batches" ? content.batch.length : batch.bytes;
    this.#draft.delivery({ ...head, ...content, redeliveries }, bytes);
    this.#scheduleFlush();
  }

  /** @throws BrokerError MALFORMED_BATCH: nothing is sent, and costs nothing */
  #contentOf(number: number, { batch, cost, ranges }: OutgoingDelivery<Buffer>): DeliveryContent {
    try {
      if (this.#open.form === "batches") return asBatch(batch.handle, ranges);
      const partition = this.#channels.get(number)?.runner.partition.partition ?? 0;
      return asMessages(partition, batch.handle, ranges);
    } catch (error) {
      this.#credit.refund(cost.messages, cost.bytes);
      this.#offerSoon();
      throw error;
    }
  }

  resumed(
    number: number,
    deliveryNumber: number,
    ranges: readonly (readonly [Offset, Offset])[],
  ): void {
    const content = { batch: NOTHING, ranges: [], messages: [], redeliveries: [] };
    const resumed = pairsOf(ranges);
    for (const [from, to] of ranges) this.#mayBeRefused(to - from);
    this.#draft.delivery({ channel: number, deliveryNumber, resumed, ...content }, 0);
    this.#scheduleFlush();
  }

  lost(number: number, { cause, number: deliveryNumber, ranges }: LostDelivery): void {
    this.#draft.lost({ channel: number, deliveryNumber, ranges: pairsOf(ranges), cause });
    this.#scheduleFlush();
    if (cause === "deadline" && !this.#isSilent) this.#setSilent(true);
  }

  settled(number: number): void {
    this.#refusedCount = Math.min(this.#refusedCount, 0);
    this.#draft.settled(number);
    this.#scheduleFlush();
  }

  refused(number: number, error: BrokerError): void {
    this.#refusedCount += 1;
    this.#deps.onRefused(error);
    this.#draft.refused(number, error);
    this.#scheduleFlush();
  }

  ended(number: number, error: BrokerError): void {
    if (!this.#isClosed) this.#end(number, error);
  }

  #introduce(channel: number, runner: DeliveryRunner): void {
    const { layoutEpoch, partition, term, topicId, topicName } = runner.partition;
    const { ackDeadlineMs, mode } = runner.row.definition;
    const place = { topic: topicName, topicId, partition, leaderEpoch: term, layoutEpoch };
    this.#draft.channel({ channel, ...place, ackDeadlineMs, mode });
    this.#scheduleFlush();
  }

  #end(number: number, error: BrokerError): void {
    this.#channels.end(number, error);
    this.#draft.ended(number, error);
    this.#scheduleFlush();
  }

  /** What the consumer holds of partitions that this broker leads since the stream was opened. */
  #answered(held: readonly CheckedHeld[]): void {
    for (const channel of this.#channels.all()) {
      if (channel.awaiting === undefined) continue;
      const { partition, topicId } = channel.runner.partition;
      const own = heldBy(held, topicId, partition);
      if (own.length > 0) this.#resume(channel, own);
    }
  }

  /** After an ack deadline nothing is held any more, whatever the consumer says: one that says nothing goes on. */
  #await(channel: Channel): void {
    const { ackDeadlineMs } = channel.runner.row.definition;
    channel.awaiting = this.#deps.clock.schedule(ackDeadlineMs, () => this.#resume(channel, []));
  }

  #resume(channel: Channel, held: readonly CheckedHeld[]): void {
    channel.awaiting?.();
    channel.awaiting = undefined;
    const ranges = held.filter((one) => one.ranges.length > 0);
    channel.runner.resume(channel.key, ranges);
    this.#draft.answered(channel.number);
    this.#scheduleFlush();
  }

  #settle(message: SettleMessage): void {
    try {
      const request = checkSettle(message);
      const channel = this.#channels.require(request.channel);
      channel.runner.settle(channel.key, request);
      this.#watchCongestion(channel.runner);
    } catch (error) {
      if (!isBrokerError(error)) throw error;
      this.refused(message.number, error);
    }
  }

  /** What is taken back makes a settlement of each of its messages stale, through no fault of the consumer. */
  #mayBeRefused(messages: number): void {
    this.#refusedCount = Math.max(this.#refusedCount - messages, -OUTSTANDING_MAX);
  }

  /** To refuse costs more than to settle: a client that only ever settles what it does not have is not served for ever. */
  #requireSense(): void {
    if (this.#refusedCount <= REFUSED_SETTLES_MAX) return;
    throw new BrokerError("OVERLOADED", "the stream's settlements are refused again and again", {
      limit: "refusedSettlements",
      max: REFUSED_SETTLES_MAX,
    });
  }

  #watchCongestion(runner: DeliveryRunner): void {
    if (!runner.isCongested || this.#congested.has(runner)) return;
    const leave = runner.whenRelieved(() => {
      this.#congested.delete(runner);
      this.#adjustReading();
    });
    this.#congested.set(runner, leave);
  }

  /** All its partitions: one that is gone would keep the others as well. */
  #setSilent(isSilent: boolean): void {
    this.#isSilent = isSilent;
    for (const { key, runner } of this.#channels.all()) runner.setSilent(key, isSilent);
  }

  #drain(): void {
    this.#isDraining = true;
    this.#credit.hide();
    for (const { key, runner } of this.#channels.all()) runner.drain(key);
    this.#draft.drained();
    this.#scheduleFlush();
  }

  /** Dispatchers may take from the credit; whoever was first the last time is last now. */
  #offer(): void {
    if (this.#isBlocked || this.#isDraining || this.#isClosed) return;
    // Those that saw some left go on by themselves.
    const wasUsedUp = this.#credit.isUsedUp;
    if (!this.#credit.show() || !wasUsedUp) return;
    for (const { key, runner } of this.#channels.all()) runner.creditAdded(key);
    this.#channels.rotate();
  }

  /** Dispatchers are at work now: they look again afterwards. */
  #offerSoon(): void {
    this.#deps.clock.defer(() => this.#offer());
  }

  #scheduleFlush(): void {
    if (this.#isFlushDue || this.#isClosed) return;
    this.#isFlushDue = true;
    this.#deps.clock.defer(() => {
      this.#isFlushDue = false;
      this.#flush();
    });
  }

  #flush(): void {
    if (this.#isClosed || this.#draft.isEmpty) return;
    if (this.#isBlocked) {
      if (this.#blockedAnswers >= BLOCKED_ANSWERS_MAX) return;
      this.#blockedAnswers += 1;
    }
    const hadMessages = this.#draft.bytes > 0;
    if (!this.#output.send(this.#draft.take())) this.#block();
    else if (hadMessages && !this.#waitForMemory()) this.#offer();
    this.#adjustReading();
  }

  #block(): void {
    this.#isBlocked = true;
    this.#credit.hide();
  }

  /** Nothing more is handed out while what all clients have not taken fills the node's memory for answers. */
  #waitForMemory(): boolean {
    const { memory } = this.#deps;
    if (memory === undefined || memory.free("send") > 0) return false;
    this.#block();
    this.#leaveMemory ??= memory.whenFree("send", () => {
      this.#leaveMemory = undefined;
      this.drained();
    });
    return true;
  }

  #adjustReading(): void {
    const isFull = this.#isBlocked && this.#blockedAnswers >= BLOCKED_ANSWERS_MAX;
    const mustPause = isFull || this.#congested.size > 0;
    if (this.#isClosed || mustPause === this.#isPaused) return;
    this.#isPaused = mustPause;
    if (mustPause) this.#output.pause();
    else this.#output.resume();
  }
}
