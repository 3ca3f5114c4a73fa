// Drives the dispatcher of one subscription in one led partition: gives it time, records and what consumers say, and passes
// on what it decides. Made by PartitionDeliveries, which calls turn() once per turn of the event loop for those that have
// something to do, and replicates what takeUpdate() gives. Idle runners cost nothing: one timer when something is due.
import type { Cancel } from "../base/clock.ts";
import { filterOf } from "../filter/canonical-filter.ts";
import { type CompiledFilter, compileFilter } from "../filter/compile-filter.ts";
import { BrokerError, isBrokerError } from "../model/errors.ts";
import type { Offset } from "../model/positions.ts";
import { REDRIVE_PREFIX, type SubscriptionRow } from "../model/subscription.ts";
import type { SubscriptionUpdate } from "./delivery-commands.ts";
import type {
  ConsumerKey,
  DispatchProgress,
  Explanation,
  HeldDelivery,
  OutgoingDelivery,
  Output,
  Settlement,
} from "./dispatch-types.ts";
import type { Dispatcher } from "./dispatcher.ts";
import type { DeliveryPartition } from "./ports.ts";
import type { ReadAhead, ReadSource } from "./read-ahead.ts";
import { resumptionOf } from "./resumption.ts";
import type { RunnerConsumer, RunnerDeps, RunnerParts } from "./runner-parts.ts";
import type { SubscriptionState } from "./subscription-state.ts";

/** Offsets whose settlement waits to be replicated; beyond, the streams that settle are not read. */
const SETTLING_OFFSETS_MAX = 200_000;
/** Rounds of handing out and reading from memory in one turn; then others come first. */
const ROUNDS_MAX = 8;

interface Member {
  readonly consumer: RunnerConsumer;
  readonly channel: number;
}

export class DeliveryRunner implements ReadSource {
  readonly partition: DeliveryPartition;
  readonly state: SubscriptionState;
  readonly dispatcher: Dispatcher<Buffer>;
  readonly #deps: RunnerDeps;
  readonly #parts: RunnerParts;
  readonly #reads: ReadAhead;
  readonly #members = new Map<ConsumerKey, Member>();
  #row: SubscriptionRow;
  #filter: CompiledFilter;
  #lastKey = 0;
  #timer: { readonly atMs: number; readonly cancel: Cancel } | undefined;
  #isClosed = false;
  readonly #onRelief = new Set<() => void>();
  #onApplied: (() => void)[] = [];

  constructor(parts: RunnerParts, deps: RunnerDeps) {
    this.#parts = parts;
    this.#deps = deps;
    this.partition = parts.partition;
    this.state = parts.state;
    this.dispatcher = parts.dispatcher;
    this.#row = parts.row;
    this.#filter = filterIn(parts.partition, parts.row);
    this.#reads = parts.reads(this);
  }

  get row(): SubscriptionRow {
    return this.#row;
  }

  get filter(): CompiledFilter {
    return this.#filter;
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** The subscription was detached, and perhaps attached anew: what is done here is done to nothing. */
  get isOrphaned(): boolean {
    return this.partition.deliveries.get(this.state.id) !== this.state;
  }

  /** News of the partition matter to it. */
  get isWatching(): boolean {
    return this.#members.size > 0;
  }

  /** Too much waits to be replicated: the streams that settle must not be read. */
  get isCongested(): boolean {
    return this.dispatcher.settlingOffsets > SETTLING_OFFSETS_MAX;
  }

  get nowMs(): number {
    return this.#parts.nowMs();
  }

  /** `relieved` is called once, when it is congested no more or closed. Returns how to stop waiting. */
  whenRelieved(relieved: () => void): () => void {
    this.#onRelief.add(relieved);
    return () => this.#onRelief.delete(relieved);
  }

  /** @param channel number of the partition on the consumer's stream */
  join(consumer: RunnerConsumer, channel: number): ConsumerKey {
    this.#lastKey += 1;
    const key = this.#lastKey;
    this.#members.set(key, { consumer, channel });
    this.dispatcher.addConsumer(key, consumer.info, this.nowMs);
    this.markDirty();
    return key;
  }

  /** Nothing goes out before it has resumed. */
  isAwaited(key: ConsumerKey): boolean {
    return this.dispatcher.isAwaited(key);
  }

  /** What the consumer still holds, from leaders that are gone. Once for each consumer. */
  resume(key: ConsumerKey, held: readonly HeldDelivery[]): void {
    const member = this.#members.get(key);
    if (member === undefined) return;
    const resumed = this.dispatcher.resume(key, held, this.nowMs);
    for (const [at, one] of resumed.entries()) {
      const claim = held[at]?.ranges ?? [];
      const named = resumptionOf(claim, one, this.state.settled, this.partition.highWatermark);
      if (named !== undefined) member.consumer.resumed(member.channel, named.number, named.ranges);
    }
    this.markDirty();
  }

  creditAdded(key: ConsumerKey): void {
    if (!this.#members.has(key)) return;
    this.dispatcher.creditAdded(key);
    this.markDirty();
  }

  /** See Dispatcher.setSilent. */
  setSilent(key: ConsumerKey, isSilent: boolean): void {
    if (!this.#members.has(key)) return;
    this.dispatcher.setSilent(key, isSilent);
    this.markDirty();
  }

  drain(key: ConsumerKey): void {
    if (!this.#members.has(key)) return;
    this.dispatcher.drain(key);
    // In exclusive mode another one is chosen.
    this.markDirty();
  }

  /** Its stream is over. */
  leave(key: ConsumerKey): void {
    if (!this.#members.delete(key)) return;
    this.dispatcher.removeConsumer(key, this.nowMs, this.#deps.random.next());
    // What is read for nobody would be kept for as long as nobody comes.
    if (this.#members.size === 0) this.dispatcher.dropReadAhead();
    this.markDirty();
  }

  settle(key: ConsumerKey, settlement: Settlement): void {
    const member = this.#members.get(key);
    if (member === undefined) return;
    const { kind, number } = settlement;
    const random = this.#deps.random.next();
    const outcome = this.dispatcher.settle(key, settlement, this.nowMs, random);
    if (kind !== "begun") {
      if (outcome === "confirmed") member.consumer.settled(number);
      if (outcome === "stale") member.consumer.refused(number, staleDelivery(settlement));
      else this.#deps.metrics.settled(kind);
    }
    this.markDirty();
  }

  /** Hands out, passes on, reads. */
  turn(): void {
    if (this.#isClosed) return;
    this.#followLog();
    for (let round = 0; ; round += 1) {
      this.#passOn(this.dispatcher.takeOutput(this.nowMs, this.#deps.random.next()));
      if (!this.#reads.next()) break;
      if (round < ROUNDS_MAX) continue;
      this.markDirty();
      break;
    }
    this.#relieve();
    this.#setTimer();
  }

  /** See Dispatcher.takeUpdate. */
  takeUpdate(): SubscriptionUpdate | undefined {
    return this.#isClosed ? undefined : this.dispatcher.takeUpdate(this.nowMs);
  }

  /** What takeUpdate() gave last is in force. */
  updateApplied(): void {
    if (this.#isClosed) return;
    this.dispatcher.updateApplied(this.nowMs);
    this.#tellApplied();
    this.markDirty();
  }

  /** A seek was applied. */
  seeked(): void {
    if (this.#isClosed) return;
    this.dispatcher.seeked(this.nowMs);
    // Nothing is parked any more.
    this.#tellApplied();
    this.markDirty();
  }

  /**
   * Lets what this offset parked go on; resolves when that is in force.
   * @param skip the message itself is a dead letter then, or settled where there is no topic for those
   * @throws BrokerError INVALID_REQUEST when it parks nothing; LEADERSHIP_LOST
   */
  async release(offset: Offset, skip: boolean): Promise<void> {
    const hasTopic = this.#row.definition.deadLetterTopic !== undefined;
    const action = skip ? (hasTopic ? "dead" : "settle") : "retry";
    if (this.#isClosed || !this.dispatcher.releaseParked(offset, action)) {
      const message = "this offset parks nothing";
      throw new BrokerError("INVALID_REQUEST", message, { field: "offset" });
    }
    this.markDirty();
    while (this.state.parked.byOffset(offset) !== undefined) {
      await new Promise<void>((resolve) => this.#onApplied.push(resolve));
      if (!this.#isClosed) continue;
      throw new BrokerError("LEADERSHIP_LOST", "leadership ended before the release was applied");
    }
  }

  deadMoved(offset: Offset): void {
    if (this.#isClosed) return;
    this.dispatcher.deadMoved(offset);
    this.markDirty();
  }

  /** Another version of the same definition. */
  configure(row: SubscriptionRow): void {
    this.#row = row;
    this.#filter = filterIn(this.partition, row);
    this.dispatcher.configure(row.definition, this.nowMs);
    this.markDirty();
  }

  explain(offset: Offset, key?: { readonly value: Buffer | undefined }): Explanation {
    this.#followLog();
    return this.dispatcher.explain(offset, this.nowMs, key);
  }

  progress(): DispatchProgress {
    this.#followLog();
    return this.dispatcher.progress();
  }

  /** Leadership ended, or the subscription left the topic: everything in memory is void. */
  close(error: BrokerError): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#timer?.cancel();
    this.#reads.close();
    const members = [...this.#members.values()];
    this.#members.clear();
    for (const { channel, consumer } of members) consumer.ended(channel, error);
    this.#relieve();
    this.#tellApplied();
  }

  markDirty(): void {
    if (!this.#isClosed) this.#parts.onDirty();
  }

  /** Without consumers nobody else tells the dispatcher. */
  #followLog(): void {
    const { highWatermark, logStartOffset } = this.partition;
    this.dispatcher.logMoved(logStartOffset, highWatermark);
  }

  #passOn({ confirmed, deliveries, lost, released }: Output<Buffer>): void {
    for (const item of lost) {
      const member = this.#members.get(item.consumer);
      this.#deps.metrics.lost(item.cause, countOf(item.ranges));
      member?.consumer.lost(member.channel, item);
    }
    for (const { consumer: key, numbers } of confirmed) {
      const consumer = this.#members.get(key)?.consumer;
      // 0 was said here, on behalf of a consumer that could not be given the message.
      for (const number of numbers) if (number > 0) consumer?.settled(number);
    }
    for (const delivery of deliveries) this.#deliver(delivery);
    this.#reads.release(released);
  }

  #deliver(delivery: OutgoingDelivery<Buffer>): void {
    const { consumer: key, number, ranges, redeliveries } = delivery;
    const member = this.#members.get(key);
    if (member === undefined) return;
    const { name } = this.#row.definition;
    try {
      member.consumer.deliver(member.channel, delivery);
      this.#deps.metrics.delivered(name, countOf(ranges), redeliveries.length);
    } catch (error) {
      if (!isBrokerError(error)) throw error;
      // Nobody could make anything of these records: they are refused for good, as whoever got them would do.
      const reject = { number: 0, deliveryNumber: number, kind: "reject", ranges: [] } as const;
      const settlement = { ...reject, isCumulative: false, retryAtMs: 0, error: error.message };
      this.dispatcher.settle(key, settlement, this.nowMs, this.#deps.random.next());
      this.markDirty();
    }
  }

  #tellApplied(): void {
    const waiting = this.#onApplied;
    this.#onApplied = [];
    for (const applied of waiting) applied();
  }

  #relieve(): void {
    if (this.#onRelief.size === 0 || (this.isCongested && !this.#isClosed)) return;
    const waiting = [...this.#onRelief];
    this.#onRelief.clear();
    for (const relieved of waiting) relieved();
  }

  /** An earlier timer is left alone: when it fires, the next one is set. */
  #setTimer(): void {
    const atMs = this.dispatcher.wakeAtMs();
    if (atMs === Number.POSITIVE_INFINITY || this.#isClosed) return;
    if (this.#timer !== undefined) {
      if (this.#timer.atMs <= atMs) return;
      this.#timer.cancel();
    }
    const cancel = this.#deps.clock.schedule(Math.max(0, atMs - this.nowMs), () => {
      this.#timer = undefined;
      this.markDirty();
    });
    this.#timer = { atMs, cancel };
  }
}

/** What was redriven was wanted before, and somebody wants it to be tried again: no filter keeps it back. */
function filterIn(
  { topicName }: DeliveryPartition,
  { definition }: SubscriptionRow,
): CompiledFilter {
  const isRedriven = topicName.startsWith(REDRIVE_PREFIX);
  return compileFilter(isRedriven ? { kind: "all" } : filterOf(definition.filter));
}

function countOf(ranges: readonly (readonly [Offset, Offset])[]): number {
  let count = 0;
  for (const [from, to] of ranges) count += to - from;
  return count;
}

function staleDelivery({ deliveryNumber }: Settlement): BrokerError {
  const message = `the consumer does not hold what was named of delivery ${deliveryNumber}`;
  return new BrokerError("STALE_DELIVERY", message, { deliveryNumber });
}
