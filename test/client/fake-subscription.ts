// A subscription's double on the fake cluster: per partition what is settled, failed and out with whom, as a leader keeps it.
// Modes "shared" and "exclusive"; messages go out as batches. A new leader knows only what is settled and failed.
import { BrokerError, type ErrorReason } from "../../src/model/errors.ts";
import { decodeBatch } from "../../src/model/record-batch-decoder.ts";
import type {
  Delivery,
  HeldMessages,
  Settle,
  SubscribeOpen,
  SubscribeRequest,
  SubscribeResponse,
} from "../../src/rpc/generated/flotilla-v1.ts";
import type {
  FakeBroker,
  FakeCluster,
  FakePartition,
  FakeServerEnd,
  FakeSession,
  FakeTopic,
} from "./fake-cluster.ts";

interface Lease {
  readonly session: SubscribeSession;
  readonly number: number;
  untilMs: number;
  isBegun: boolean;
}

export interface SettledEvent {
  readonly offset: number;
  readonly kind: string;
  readonly error: string;
  readonly consumer: string;
  readonly retryAtMs: number;
}

/** One partition's leader. */
export class FakeDeliveries {
  readonly topic: FakeTopic;
  readonly index: number;
  readonly partition: FakePartition;
  readonly settled = new Set<number>();
  readonly failed = new Map<number, number>();
  readonly dueMs = new Map<number, number>();
  handedOut = new Map<number, number>();
  leases = new Map<number, Lease>();
  epoch: number;
  number = 0;

  constructor(topic: FakeTopic, index: number, partition: FakePartition) {
    this.topic = topic;
    this.index = index;
    this.partition = partition;
    this.epoch = partition.epoch;
  }
}

export class FakeSubscription {
  readonly cluster: FakeCluster;
  readonly mode: "shared" | "exclusive";
  ackDeadlineMs = 30_000;
  retryDelayMs = 1000;
  /** Messages of one delivery. */
  deliveryMax = 1000;
  /** A stream gets no message before it is so old. */
  deliveryDelayMs = 0;
  /** No settlement is confirmed. */
  holdsSettled = false;
  /** New leaders let nobody go on. */
  resumesNothing = false;
  /** Brokers hang: they take nothing in, and say nothing. */
  isSilent = false;
  /** So long it takes to look at what a consumer says it holds. */
  resumeDelayMs = 0;
  /** These brokers do not know yet that others lead now, and let nobody go on; by endpoint. */
  readonly deposed = new Set<string>();
  /** Streams are refused with it. */
  refusal: BrokerError | undefined;
  /** Streams to these brokers only are refused; by endpoint. */
  readonly refusalsAt = new Map<string, BrokerError>();
  /** Settlements are refused, in order. */
  readonly settleRefusals: ErrorReason[] = [];
  readonly partitions: FakeDeliveries[] = [];
  readonly sessions = new Set<SubscribeSession>();
  readonly events: SettledEvent[] = [];
  readonly requests: SubscribeRequest[] = [];
  readonly opens: SubscribeOpen[] = [];

  constructor(cluster: FakeCluster, topics: readonly FakeTopic[], mode: "shared" | "exclusive") {
    this.cluster = cluster;
    this.mode = mode;
    for (const topic of topics) {
      for (const [index, partition] of topic.partitions.entries()) {
        this.partitions.push(new FakeDeliveries(topic, index, partition));
        const before = partition.onAppend;
        partition.onAppend = () => {
          before();
          this.turn();
        };
      }
    }
    cluster.services.set("Subscribe", (broker, end) => new SubscribeSession(this, broker, end));
  }

  get nowMs(): number {
    return this.cluster.clock.monotonicMs();
  }

  /** Tells all consumers. */
  changeAckDeadline(ms: number): void {
    this.ackDeadlineMs = ms;
    for (const session of this.sessions) session.tellAckDeadline(ms);
  }

  acked(): number[] {
    return this.events.filter(({ kind }) => kind === "ack").map(({ offset }) => offset);
  }

  /** Everything that may happen now. */
  turn(): void {
    for (const state of this.partitions) {
      if (state.partition.epoch !== state.epoch) this.#newLeader(state);
      this.#expire(state);
      for (const session of this.#sessionsOf(state)) session.introduce(state);
      this.#dispatch(state);
    }
  }

  turnIn(delayMs: number): void {
    this.cluster.clock.schedule(delayMs, () => this.turn());
  }

  lost(session: SubscribeSession): void {
    this.sessions.delete(session);
    for (const state of this.partitions) {
      for (const [offset, lease] of [...state.leases]) {
        if (lease.session !== session) continue;
        state.leases.delete(offset);
        if (lease.isBegun) this.fail(state, offset, 0);
      }
    }
    this.turnIn(0);
  }

  fail(state: FakeDeliveries, offset: number, retryAtMs: number): void {
    state.failed.set(offset, (state.failed.get(offset) ?? 0) + 1);
    const delayMs = retryAtMs === 0 ? this.retryDelayMs : retryAtMs - this.cluster.clock.wallMs();
    state.dueMs.set(offset, this.nowMs + delayMs);
    this.turnIn(delayMs + 1);
  }

  #newLeader(state: FakeDeliveries): void {
    state.epoch = state.partition.epoch;
    state.number = 0;
    state.leases = new Map();
    state.handedOut = new Map();
    for (const session of this.sessions) session.endChannel(state);
  }

  #expire(state: FakeDeliveries): void {
    for (const [offset, lease] of [...state.leases]) {
      if (lease.untilMs > this.nowMs) continue;
      state.leases.delete(offset);
      if (lease.isBegun) this.fail(state, offset, 0);
      lease.session.tellLost(state, lease.number, [offset, 1], "deadline");
    }
  }

  #sessionsOf(state: FakeDeliveries): SubscribeSession[] {
    return [...this.sessions].filter(
      ({ broker }) => broker.endpoint === state.partition.leader && !broker.isDown,
    );
  }

  #dispatch(state: FakeDeliveries): void {
    const able = this.#sessionsOf(state).filter((session) => session.mayGet(state));
    const sessions =
      this.mode === "shared"
        ? able
        : able.sort((a, b) => (a.consumerId < b.consumerId ? -1 : 1)).slice(0, 1);
    for (let turn = 0; ; turn += 1) {
      const willing = sessions.filter(({ creditMessages }) => creditMessages > 0);
      const session = willing[turn % Math.max(1, willing.length)];
      if (session === undefined) return;
      const offsets = this.#nextOffsets(state, Math.min(session.creditMessages, this.deliveryMax));
      if (offsets.length === 0) return;
      session.deliver(state, offsets);
    }
  }

  /** A run of messages of one batch that may go out. */
  #nextOffsets(state: FakeDeliveries, max: number): number[] {
    for (const batch of state.partition.batches) {
      const offsets: number[] = [];
      for (let i = 0; i < batch.recordCount; i += 1) {
        const offset = batch.baseOffset + i;
        if (state.settled.has(offset)) continue;
        const isOut = state.leases.has(offset);
        const isDue = (state.dueMs.get(offset) ?? 0) <= this.nowMs;
        if (!isOut && isDue && offsets.length < max) offsets.push(offset);
        else if (!isDue && this.mode === "exclusive") return offsets;
      }
      if (offsets.length > 0) return offsets;
    }
    return [];
  }
}

export class SubscribeSession implements FakeSession {
  readonly broker: FakeBroker;
  consumerId = "";
  creditMessages = 0;
  creditBytes = 0;
  isDraining = false;
  readonly #subscription: FakeSubscription;
  readonly #end: FakeServerEnd;
  readonly #channels: {
    readonly state: FakeDeliveries;
    readonly epoch: number;
    isOver: boolean;
  }[] = [];
  readonly #ready = new Set<number>();
  #out: Partial<{ -readonly [K in keyof SubscribeResponse]: SubscribeResponse[K] }> = {};
  #isOpen = false;
  #readyMs = 0;

  constructor(subscription: FakeSubscription, broker: FakeBroker, end: FakeServerEnd) {
    this.#subscription = subscription;
    this.broker = broker;
    this.#end = end;
  }

  close(): void {
    if (this.#isOpen) this.#subscription.lost(this);
    this.#isOpen = false;
  }

  receive(request: SubscribeRequest): void {
    const subscription = this.#subscription;
    if (subscription.isSilent) return;
    subscription.requests.push(request);
    if (request.open !== undefined) {
      subscription.opens.push(request.open);
      const refusal = subscription.refusal ?? subscription.refusalsAt.get(this.broker.endpoint);
      if (refusal !== undefined) {
        this.#end.fail(refusal);
        return;
      }
      this.consumerId = request.open.consumerId;
      for (const other of [...subscription.sessions]) {
        if (other.broker !== this.broker || other.consumerId !== this.consumerId) continue;
        other.replaced();
      }
      this.#isOpen = true;
      this.#readyMs = subscription.nowMs + subscription.deliveryDelayMs;
      if (subscription.deliveryDelayMs > 0) subscription.turnIn(subscription.deliveryDelayMs);
      subscription.sessions.add(this);
      for (const state of subscription.partitions) {
        if (state.partition.leader !== this.broker.endpoint) {
          if (subscription.deposed.has(this.broker.endpoint)) this.#claimToLead(state);
          continue;
        }
        const channel = this.introduce(state);
        const isHeld = request.open.held.some(({ partition }) => partition === state.index);
        if (!isHeld) this.#ready.add(channel);
      }
      for (const held of request.open.held) this.#resumeSoon(held);
    }
    for (const held of request.held) this.#resumeSoon(held);
    this.creditMessages += request.creditMessages;
    this.creditBytes += request.creditBytes;
    for (const settle of request.settle) this.#settle(settle);
    if (request.drain) {
      this.isDraining = true;
      this.#say({ drained: true });
    }
    subscription.turn();
  }

  replaced(): void {
    this.#isOpen = false;
    this.#subscription.lost(this);
    this.#end.fail(new BrokerError("CONSUMER_REPLACED", "a later stream took over"));
  }

  mayGet(state: FakeDeliveries): boolean {
    if (this.#subscription.nowMs < this.#readyMs) return false;
    return !this.isDraining && this.#ready.has(this.#channelOf(state));
  }

  /** @returns the channel */
  introduce(state: FakeDeliveries): number {
    const known = this.#channelOf(state);
    return known >= 0 ? known : this.#introduceAs(state, state.epoch);
  }

  #claimToLead(state: FakeDeliveries): void {
    this.#say({ answered: [this.#introduceAs(state, state.epoch - 1)] });
  }

  #introduceAs(state: FakeDeliveries, leaderEpoch: number): number {
    const channel = this.#channels.length;
    this.#channels.push({ state, epoch: leaderEpoch, isOver: false });
    const { ackDeadlineMs, mode } = this.#subscription;
    const { name: topic, topicId, layoutEpoch } = state.topic;
    const place = { topic, topicId, partition: state.index, layoutEpoch };
    this.#say({ channels: [{ channel, ...place, leaderEpoch, ackDeadlineMs, mode }] });
    return channel;
  }

  endChannel(state: FakeDeliveries): void {
    const channel = this.#channels.findIndex((one) => one.state === state && !one.isOver);
    const found = this.#channels[channel];
    if (found === undefined) return;
    found.isOver = true;
    this.#say({ ended: [{ channel, reason: "NOT_LEADER", message: "elsewhere", metadata: {} }] });
  }

  deliver(state: FakeDeliveries, offsets: readonly number[]): void {
    const subscription = this.#subscription;
    state.number += 1;
    const deliveryNumber = state.number;
    const batch = state.partition.batches.find(
      ({ baseOffset, recordCount }) =>
        baseOffset <= (offsets[0] ?? 0) && (offsets[0] ?? 0) < baseOffset + recordCount,
    );
    if (batch === undefined) throw new Error("no such batch");
    if (decodeBatch(batch.bytes).length !== batch.recordCount) throw new Error("not a batch");
    const redeliveries: Delivery["redeliveries"][number][] = [];
    for (const offset of offsets) {
      const handedOut = (state.handedOut.get(offset) ?? 0) + 1;
      state.handedOut.set(offset, handedOut);
      const failed = state.failed.get(offset) ?? 0;
      if (handedOut > 1 || failed > 0) redeliveries.push({ offset, handedOut, failed });
      const untilMs = subscription.nowMs + subscription.ackDeadlineMs;
      state.leases.set(offset, { session: this, number: deliveryNumber, untilMs, isBegun: false });
    }
    subscription.turnIn(subscription.ackDeadlineMs + 1);
    this.creditMessages -= offsets.length;
    this.creditBytes -= batch.bytes.length;
    const channel = this.#channelOf(state);
    const ranges = offsets.flatMap((offset) => [offset, 1]);
    const content = { batch: batch.bytes, ranges, messages: [], redeliveries, resumed: [] };
    this.#say({ deliveries: [{ channel, deliveryNumber, ...content }] });
  }

  tellAckDeadline(ms: number): void {
    this.#say({ ackDeadlineMs: ms });
  }

  tellLost(state: FakeDeliveries, deliveryNumber: number, ranges: number[], cause: string): void {
    const channel = this.#channelOf(state);
    this.#say({ lost: [{ channel, deliveryNumber, ranges, cause }] });
  }

  #channelOf(state: FakeDeliveries): number {
    return this.#channels.findIndex(
      (one) => one.state === state && !one.isOver && one.epoch === state.epoch,
    );
  }

  #resumeSoon(held: HeldMessages): void {
    const { cluster, resumeDelayMs } = this.#subscription;
    if (resumeDelayMs === 0) this.#resume(held);
    else {
      cluster.clock.schedule(resumeDelayMs, () => {
        this.#resume(held);
        this.#subscription.turn();
      });
    }
  }

  #resume({ partition, ranges, topicId }: HeldMessages): void {
    const subscription = this.#subscription;
    const state = subscription.partitions.find(
      (one) => one.topic.topicId === topicId && one.index === partition,
    );
    if (state === undefined || state.partition.leader !== this.broker.endpoint) return;
    const channel = this.#channelOf(state);
    this.#ready.add(channel);
    if (ranges.length > 0 && !subscription.resumesNothing) this.#adopt(state, channel, ranges);
    this.#say({ answered: [channel] });
  }

  #adopt(state: FakeDeliveries, channel: number, ranges: readonly number[]): void {
    const subscription = this.#subscription;
    state.number += 1;
    const resumed: number[] = [];
    for (const offset of offsetsIn(ranges)) {
      if (state.settled.has(offset) || state.leases.has(offset)) continue;
      resumed.push(offset, 1);
      state.dueMs.delete(offset);
      const untilMs = subscription.nowMs + subscription.ackDeadlineMs;
      state.leases.set(offset, { session: this, number: state.number, untilMs, isBegun: false });
    }
    if (resumed.length === 0) return;
    const nothing = { batch: Buffer.alloc(0), ranges: [], messages: [], redeliveries: [] };
    this.#say({ deliveries: [{ channel, deliveryNumber: state.number, ...nothing, resumed }] });
  }

  #settle(settle: Settle): void {
    const subscription = this.#subscription;
    const { deliveryNumber, kind, number, ranges } = settle;
    const state = this.#channels[settle.channel]?.state;
    const refusal = kind === "begun" ? undefined : subscription.settleRefusals.shift();
    if (refusal !== undefined) {
      this.#say({ refusals: [{ number, reason: refusal, message: "as told", metadata: {} }] });
      return;
    }
    if (state === undefined || this.#channelOf(state) !== settle.channel) return;
    const offsets = [...offsetsIn(ranges)];
    const isHeld = (offset: number): boolean => {
      const lease = state.leases.get(offset);
      return lease?.session === this && lease.number === deliveryNumber;
    };
    if (!offsets.every((offset) => isHeld(offset) || state.settled.has(offset))) {
      if (kind === "begun") return;
      const text = "not held";
      this.#say({ refusals: [{ number, reason: "STALE_DELIVERY", message: text, metadata: {} }] });
      return;
    }
    for (const offset of offsets) if (isHeld(offset)) this.#apply(state, offset, settle);
    if (kind === "begun" || subscription.holdsSettled) return;
    subscription.cluster.clock.schedule(subscription.cluster.latencyMs, () =>
      this.#say({ settled: [number] }),
    );
  }

  #apply(state: FakeDeliveries, offset: number, settle: Settle): void {
    const subscription = this.#subscription;
    const { error, kind = "", retryAtMs } = settle;
    const lease = state.leases.get(offset);
    if (lease === undefined) return;
    subscription.events.push({ offset, kind, error, consumer: this.consumerId, retryAtMs });
    if (kind === "begun") {
      lease.isBegun = true;
      return;
    }
    if (kind === "extend") {
      lease.untilMs = subscription.nowMs + subscription.ackDeadlineMs;
      subscription.turnIn(subscription.ackDeadlineMs + 1);
      return;
    }
    state.leases.delete(offset);
    if (kind === "ack" || kind === "reject") state.settled.add(offset);
    if (kind !== "nack") return;
    subscription.fail(state, offset, retryAtMs);
    if (subscription.mode === "exclusive") this.#revokeBehind(state, offset);
  }

  #revokeBehind(state: FakeDeliveries, failed: number): void {
    for (const [offset, lease] of [...state.leases]) {
      if (offset <= failed) continue;
      state.leases.delete(offset);
      lease.session.tellLost(state, lease.number, [offset, 1], "revoked");
    }
  }

  /** Coalesced, as a broker does. */
  #say(part: Partial<SubscribeResponse>): void {
    if (this.#subscription.isSilent) return;
    const isFirst = Object.keys(this.#out).length === 0;
    for (const [name, value] of Object.entries(part)) {
      const known: unknown = Reflect.get(this.#out, name);
      const joined: unknown = Array.isArray(known)
        ? [...(known as unknown[]), ...(value as unknown[])]
        : value;
      Reflect.set(this.#out, name, joined);
    }
    if (!isFirst) return;
    this.#subscription.cluster.clock.schedule(0, () => {
      const out = this.#out;
      this.#out = {};
      this.#end.answer({
        channels: [],
        deliveries: [],
        settled: [],
        refusals: [],
        lost: [],
        ended: [],
        drained: false,
        answered: [],
        ...out,
      });
    });
  }
}

function* offsetsIn(ranges: readonly number[]): Generator<number> {
  for (let i = 0; i + 1 < ranges.length; i += 2) {
    for (let n = 0; n < (ranges[i + 1] ?? 0); n += 1) yield (ranges[i] ?? 0) + n;
  }
}
