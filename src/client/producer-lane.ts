// One lane: the batches of one topic partition under one producer session, in order. This is where retries are decided, so
// that none duplicates and none overtakes:
//
//   queue  [ sent, unanswered … | waiting, earlier sent or full … ]   open: the batch being filled
//           ◄── #sentCount ───►
//
// * A batch gets its sequence at its first sending and keeps it and its bytes until its outcome is known.
// * A refusal or a lost stream puts everything unanswered back; it is sent again in the same order.
// * Batches that may be stored (isUnknown) form the queue's beginning. They stay with their partition until their outcome
//   is known, even when their callers were told of a passed deadline: dropping one would tear the sequence.
// * When all of those have been given up, the lane begins anew under another session; so does it after SEQUENCE_GAP and
//   UNKNOWN_PRODUCER. What may be stored is failed with outcome "unknown" first; the rest moves over.
import type { Cancel } from "../base/clock.ts";
import type { Acks, Flush } from "../model/durability.ts";
import { effectiveFlush } from "../model/durability.ts";
import { type BrokerError, ERROR_TABLE, type Outcome } from "../model/errors.ts";
import { PRODUCER_BATCH_WINDOW, PROTOCOL_VERSION_MAX } from "../model/limits.ts";
import { BatchBuilder, type RecordHeader } from "../model/record-batch-builder.ts";
import { sequenceAfter } from "../model/sequence.ts";
import type {
  LaneAck,
  LaneBatch,
  LaneRefusal,
  OpenLane,
  ResumeLane,
} from "../rpc/generated/flotilla-v1.ts";
import { errorOfReason } from "../rpc/status.ts";
import { backoffMs, LOAD_PAUSE_MS_MAX, ROUTING_PAUSE_MS_MAX } from "./backoff.ts";
import type { ClientDeps } from "./client-deps.ts";
import { FlotillaError } from "./flotilla-error.ts";
import type { LinkedLane, ProduceLink } from "./produce-link.ts";
import type { ProducerSession, SessionWaiter } from "./producer-session.ts";
import { SendBatch, type SendCallback } from "./send-batch.ts";
import type { TopicRoute } from "./topic-route.ts";

/** What lanes need of their producer. */
export interface LaneHost {
  readonly deps: ClientDeps;
  readonly deliveryTimeoutMs: number;
  /** Soft size of a batch, and what it may grow to under load; bytes. */
  readonly batchBytes: number;
  readonly batchBytesMax: number;
  linkTo(endpoint: string): ProduceLink;
  obtainSession(
    lane: ProducerLane,
    stale: ProducerSession | undefined,
    waiter: SessionWaiter,
  ): void;
  /** A batch's memory is free. */
  onReleased(batch: SendBatch): void;
  /** The layout changed: records that follow their keys find their lanes again. */
  reroute(lane: ProducerLane, batches: readonly SendBatch[]): void;
  /** Another session of the same name took over: this producer is at its end. */
  onFenced(error: FlotillaError): void;
}

export interface LanePlace {
  readonly route: TopicRoute;
  readonly partition: number;
  readonly acks: Acks;
  /** As the send asks for; undefined: the topic's. */
  readonly flush: Flush | undefined;
  /** Names the class of sends that shares a session. */
  readonly sessionSuffix: string;
}

/** Not full batches are sent only while fewer than this many are unanswered: under load they fill up meanwhile. */
const PARTIAL_BATCHES_IN_FLIGHT = 4;
/** So many unanswered full batches mean load: larger ones are cheaper for everybody. */
const LOADED_BATCHES_IN_FLIGHT = 8;
const NO_SESSION: ProducerSession = { producerId: 0, weakProducerId: 0, epoch: 0 };

export class ProducerLane implements LinkedLane {
  readonly place: LanePlace;
  laneId = 0;
  isQueued = false;
  readonly #host: LaneHost;
  readonly #isWeak: boolean;
  #queue: SendBatch[] = [];
  #sentCount = 0;
  #open: SendBatch | undefined;
  #spare: BatchBuilder | undefined;
  #targetBytes: number;
  #session: ProducerSession | undefined;
  /** The last session that this lane used and must not use again: its sequences begin at 0. */
  #staleSession: ProducerSession | undefined;
  #isAwaitingSession = false;
  #nextSequence = 0;
  #link: ProduceLink | undefined;
  /** On this stream: number of queue[0]. */
  #firstNumber = 0;
  #mustOpen = false;
  #mustResume = false;
  /** A pause or a metadata question is under way. */
  #isRouting = false;
  #cancelPause: Cancel | undefined;
  /** Failures since the last acknowledgement. */
  #attempt = 0;
  #lastError: BrokerError | undefined;

  constructor(host: LaneHost, place: LanePlace) {
    this.#host = host;
    this.place = place;
    this.#isWeak = place.acks !== "all";
    this.#targetBytes = host.batchBytes;
  }

  get hasPending(): boolean {
    return this.#queue.length > 0 || this.#open !== undefined;
  }

  /** Batches whose callers were not told yet, oldest first. */
  pending(): SendBatch[] {
    const all = this.#open === undefined ? this.#queue : [...this.#queue, this.#open];
    return all.filter((batch) => !batch.isSettled);
  }

  /**
   * Adds a record. @returns encoded bytes
   * @throws BrokerError INVALID_REQUEST as the batch builder
   */
  append(
    key: Uint8Array | undefined,
    value: Uint8Array | string | undefined,
    headers: readonly RecordHeader[] | undefined,
    timestampMs: number,
    isExplicit: boolean,
    done: SendCallback,
  ): number {
    let open = this.#open;
    if (open !== undefined && !this.#fits(open, key, value, isExplicit)) {
      this.#seal(open);
      open = undefined;
    }
    open ??= this.#begin(isExplicit);
    const { builder } = open;
    if (builder === undefined) return 0;
    const before = builder.bytes;
    builder.append(key, value, headers, timestampMs);
    const bytes = builder.bytes - before;
    open.chargedBytes += bytes;
    open.done.push(done);
    this.#open = open;
    if (!this.isQueued) this.ready();
    return bytes;
  }

  /** Something can be sent: finds a session, a leader and a link, whichever is missing. */
  ready(): void {
    if (this.isQueued || this.#isRouting || this.#isAwaitingSession || !this.hasPending) return;
    if (this.#session === undefined) this.#obtainSession();
    else if (this.#link === undefined) this.#findLeader(false);
    else this.#link.markReady(this);
  }

  openMessage(): OpenLane | undefined {
    if (!this.#mustOpen) return undefined;
    this.#mustOpen = false;
    const { route, partition, acks, flush } = this.place;
    return {
      lane: this.laneId,
      topicId: route.topicId,
      partition,
      layoutEpoch: route.layoutEpoch,
      protocolVersion: PROTOCOL_VERSION_MAX,
      acks,
      flush,
    };
  }

  resumeMessage(): ResumeLane | undefined {
    if (!this.#mustResume) return undefined;
    this.#mustResume = false;
    const { layoutEpoch } = this.place.route;
    // Asked for with the first batch after the refusal, which take() has counted already.
    return { lane: this.laneId, number: this.#firstNumber + this.#sentCount - 1, layoutEpoch };
  }

  take(): LaneBatch | undefined {
    const session = this.#session;
    const sent = this.#sentCount;
    if (session === undefined || this.#isRouting || sent >= PRODUCER_BATCH_WINDOW) return undefined;
    let batch = this.#queue[sent];
    if (batch === undefined) {
      const open = this.#open;
      if (open === undefined || sent >= PARTIAL_BATCHES_IN_FLIGHT) return undefined;
      this.#targetBytes = Math.max(this.#host.batchBytes, this.#targetBytes / 2);
      this.#seal(open);
      batch = open;
    } else if (sent >= LOADED_BATCHES_IN_FLIGHT) {
      this.#targetBytes = Math.min(this.#host.batchBytesMax, this.#targetBytes * 2);
    }
    if (batch.builder !== undefined) this.#encode(batch, session);
    this.#sentCount += 1;
    return { lane: this.laneId, number: this.#firstNumber + sent, batch: batch.bytes };
  }

  sent(): void {
    if (this.place.acks !== "none" || this.#link === undefined) return;
    const receipt = this.#receipt(-1, 0, false);
    while (this.#sentCount > 0) {
      const batch = this.#shift();
      this.#link.release(batch.bytes.length);
      this.#settle(batch, () => batch.acknowledge(receipt));
    }
  }

  acknowledged({ firstNumber, baseOffsets, leaderEpoch, duplicate }: LaneAck): boolean {
    if (firstNumber !== this.#firstNumber || baseOffsets.length > this.#sentCount) return false;
    this.#attempt = 0;
    this.#lastError = undefined;
    for (const baseOffset of baseOffsets) {
      const batch = this.#shift();
      this.#link?.release(batch.bytes.length);
      const receipt = this.#receipt(baseOffset, leaderEpoch, duplicate);
      this.#settle(batch, () => batch.acknowledge(receipt));
    }
    this.ready();
    return true;
  }

  refused({ number, reason, message, metadata }: LaneRefusal): boolean {
    const error = errorOfReason(reason, message, metadata);
    this.#lastError = error;
    if (this.place.acks === "none") {
      // Nobody waits; what was sent after the refused one is lost, as acks=none allows.
      this.#mustResume = true;
      if (error.reason === "PRODUCER_FENCED")
        this.#host.onFenced(new FlotillaError(error.reason, error.message));
      else this.#recover(error);
      return true;
    }
    if (number !== this.#firstNumber || this.#sentCount === 0) return false;
    const head = this.#queue[0];
    const isUnknown =
      ERROR_TABLE[error.reason].outcome === "unknown" && error.reason !== "UNKNOWN_PRODUCER";
    this.#putBack(isUnknown && error.reason !== "DUPLICATE_OUT_OF_WINDOW");
    this.#mustResume = true;
    if (head !== undefined) this.#decide(head, error);
    return true;
  }

  streamEnded(error: BrokerError, isUnknown: boolean): void {
    if (this.#link === undefined) return;
    this.place.route.disown(this.place.partition, this.#link.endpoint);
    this.#link = undefined;
    this.isQueued = false;
    this.#lastError = error;
    for (let i = 0; isUnknown && i < this.#sentCount; i += 1) {
      const batch = this.#queue[i];
      if (batch !== undefined) batch.isUnknown = true;
    }
    this.#sentCount = 0;
    this.#mustResume = false;
    if (this.hasPending && !this.#isAwaitingSession) this.#pauseAndRoute(ROUTING_PAUSE_MS_MAX);
  }

  /** Fails what has passed its deadline. Called every now and then. */
  expire(nowMs: number): void {
    const open = this.#open;
    // A batch that waits long takes no more records: its first one decides when all of them are failed.
    const ageMs = open === undefined ? 0 : nowMs - open.createdMs;
    if (open !== undefined && ageMs >= this.#host.deliveryTimeoutMs / 8) this.#seal(open);
    let isWhole = true;
    for (let i = 0; i < this.#queue.length; i += 1) {
      const batch = this.#queue[i];
      if (batch === undefined || batch.deadlineMs > nowMs) break;
      if (batch.isSettled) continue;
      if (i < this.#sentCount || batch.isUnknown) {
        this.#settle(batch, () => batch.fail(this.#deadlineError("unknown")), false);
        continue;
      }
      this.#queue.splice(i, 1);
      i -= 1;
      isWhole = false;
      this.#settle(batch, () => batch.fail(this.#deadlineError("not-applied")));
      if (batch.baseSequence >= 0 && !this.#isWeak) this.#renumber(i + 1, batch.baseSequence);
    }
    if (!isWhole || this.#queue.length > 0) this.#giveUpLost();
  }

  /** Fails everything. @param error its outcome is "not-applied" for what certainly is not stored */
  failAll(error: BrokerError): void {
    if (this.#open !== undefined) this.#seal(this.#open);
    for (let i = 0; i < this.#sentCount; i += 1) {
      const batch = this.#queue[i];
      if (batch !== undefined) batch.isUnknown = true;
    }
    const batches = this.#queue;
    this.#leaveLink();
    this.#queue = [];
    this.#forgetSession();
    for (const batch of batches) this.#settle(batch, () => batch.fail(finalError(error, batch)));
  }

  /** Ends pauses; nothing is sent any more. */
  close(error: BrokerError): void {
    this.failAll(error);
    this.#cancelPause?.();
    this.#isRouting = true;
  }

  // --- filling and sending

  #fits(
    open: SendBatch,
    key: Uint8Array | undefined,
    value: Uint8Array | string | undefined,
    isExplicit: boolean,
  ): boolean {
    const room = (key === undefined ? 0 : key.length) + (value === undefined ? 0 : value.length);
    if (open.isExplicit !== isExplicit) return false;
    return open.byteLength + room <= this.#targetBytes;
  }

  #begin(isExplicit: boolean): SendBatch {
    const builder = this.#spare ?? new BatchBuilder(4096);
    this.#spare = undefined;
    const { deps, deliveryTimeoutMs } = this.#host;
    const nowMs = deps.clock.monotonicMs();
    return new SendBatch(builder, isExplicit, nowMs, nowMs + deliveryTimeoutMs);
  }

  /** No more records for this batch. */
  #seal(open: SendBatch): void {
    this.#queue.push(open);
    this.#open = undefined;
  }

  #encode(batch: SendBatch, session: ProducerSession): void {
    const producerId = this.#producerId(session);
    const baseSequence = this.#nextSequence;
    this.#spare = batch.encode({ producerId, producerEpoch: session.epoch, baseSequence });
    this.#nextSequence = sequenceAfter(baseSequence, batch.recordCount);
  }

  #producerId(session: ProducerSession): number {
    return this.#isWeak ? session.weakProducerId : session.producerId;
  }

  #receipt(
    offset: number,
    leaderEpoch: number,
    duplicate: boolean,
  ): Parameters<SendBatch["acknowledge"]>[0] {
    const { route, partition, acks, flush } = this.place;
    return {
      topic: route.name,
      partition,
      offset,
      leaderEpoch,
      acks,
      flush: effectiveFlush(route.flush, flush),
      duplicate,
    };
  }

  #shift(): SendBatch {
    const batch = this.#queue.shift();
    this.#sentCount -= 1;
    this.#firstNumber += 1;
    if (batch === undefined) throw new RangeError("no batch is under way");
    return batch;
  }

  #settle(batch: SendBatch, tell: () => void, isReleased = true): void {
    tell();
    if (isReleased) this.#host.onReleased(batch);
  }

  // --- refusals

  /** What was sent comes back into the waiting part of the queue. */
  #putBack(isUnknown: boolean): void {
    let bytes = 0;
    for (let i = 0; i < this.#sentCount; i += 1) {
      const batch = this.#queue[i];
      if (batch === undefined) continue;
      bytes += batch.bytes.length;
      if (isUnknown) batch.isUnknown = true;
    }
    this.#sentCount = 0;
    this.#link?.release(bytes);
  }

  /** The first batch was refused; everything behind it is waiting again. */
  #decide(head: SendBatch, error: BrokerError): void {
    switch (error.reason) {
      case "DUPLICATE_OUT_OF_WINDOW":
        // It is stored; only its offset is forgotten. The sequence goes on behind it.
        this.#dropHead(head, error);
        this.ready();
        return;
      case "SEQUENCE_GAP":
        // It certainly is not stored; and with a gapless id, neither is anything behind it.
        head.isUnknown = false;
        if (!this.#isWeak) for (const batch of this.#queue) batch.isUnknown = false;
        this.#beginAnew(error);
        return;
      case "UNKNOWN_PRODUCER":
        this.#beginAnew(error);
        return;
      case "PRODUCER_FENCED":
        this.#host.onFenced(new FlotillaError(error.reason, error.message, error.fields));
        return;
      case "STALE_LAYOUT":
        this.#followLayout(error);
        return;
      default:
        if (error.retryable) this.#recover(error);
        else this.#failHead(head, error);
    }
  }

  /** A retryable refusal: here again after a pause, or elsewhere. */
  #recover(error: BrokerError): void {
    const { retryAfterMs } = error.fields;
    if (error.retry === "reroute") {
      this.#followLeader(error);
      return;
    }
    const maxMs = error.reason === "LEADER_UNKNOWN" ? ROUTING_PAUSE_MS_MAX : LOAD_PAUSE_MS_MAX;
    this.#pause(typeof retryAfterMs === "number" ? retryAfterMs : this.#nextPauseMs(maxMs), () =>
      this.ready(),
    );
  }

  #followLeader(error: BrokerError): void {
    const { route, partition } = this.place;
    const { leaderEndpoint, leaderEpoch } = error.fields;
    const refusedBy = this.#link?.endpoint;
    if (refusedBy !== undefined) route.disown(partition, refusedBy);
    this.#leaveLink();
    const isHint = error.reason === "NOT_LEADER" && typeof leaderEndpoint === "string";
    const epoch = typeof leaderEpoch === "number" ? leaderEpoch : 0;
    const isTaken =
      isHint && leaderEndpoint !== refusedBy && route.hint(partition, leaderEndpoint, epoch);
    // A fresh hint is followed at once, but two brokers that name each other are not asked for ever.
    if (isTaken && this.#attempt < 3) {
      this.#attempt += 1;
      this.ready();
    } else this.#pauseAndRoute(ROUTING_PAUSE_MS_MAX);
  }

  #failHead(head: SendBatch, error: BrokerError): void {
    const isLost = head.isUnknown;
    this.#dropHead(head, error);
    if (isLost) this.#beginAnew(error);
    else {
      // It certainly is not stored; without it nothing behind it is. Its numbers go to its followers.
      if (!this.#isWeak) this.#renumber(0, head.baseSequence);
      this.ready();
    }
  }

  #dropHead(head: SendBatch, error: BrokerError): void {
    this.#queue.shift();
    this.#firstNumber += 1;
    this.#settle(head, () => head.fail(finalError(error, head)));
  }

  #followLayout(error: BrokerError): void {
    const { metadata } = this.#host.deps;
    const { route } = this.place;
    this.#isRouting = true;
    const goOn = (): void => {
      this.#isRouting = false;
      const current = error.fields["layoutEpoch"];
      if (typeof current === "number" && route.layoutEpoch < current) {
        this.#pauseAndRoute(ROUTING_PAUSE_MS_MAX);
        return;
      }
      if (this.#open !== undefined) this.#seal(this.#open);
      const moving = this.#queue.filter((batch) => !batch.isUnknown && !batch.isExplicit);
      this.#queue = this.#queue.filter((batch) => batch.isUnknown || batch.isExplicit);
      const first = moving.find((batch) => batch.baseSequence >= 0);
      if (first !== undefined && !this.#isWeak) this.#renumber(0, first.baseSequence);
      this.#host.reroute(this, moving);
      this.ready();
    };
    metadata.refresh(route.name).then(goOn, goOn);
  }

  /** Gives consecutive sequences to what follows in the queue, all of which certainly is not stored. */
  #renumber(from: number, baseSequence: number): void {
    const session = this.#session ?? NO_SESSION;
    let next = baseSequence;
    for (const batch of this.#queue.slice(from)) {
      if (batch.builder !== undefined) break;
      if (batch.isUnknown) {
        next = sequenceAfter(batch.baseSequence, batch.recordCount);
        continue;
      }
      batch.moveTo(this.#producerId(session), session.epoch, next);
      next = sequenceAfter(next, batch.recordCount);
    }
    this.#nextSequence = next;
  }

  /** Batches that may be stored and that nobody waits for any more end the session. */
  #giveUpLost(): void {
    let lost = 0;
    for (const [i, batch] of this.#queue.entries()) {
      if (i >= this.#sentCount && !batch.isUnknown) break;
      if (!batch.isSettled) return;
      lost += 1;
    }
    if (lost === 0) return;
    for (const batch of this.#queue.slice(0, lost)) batch.isUnknown = true;
    this.#leaveLink();
    this.#beginAnew(this.#deadlineError("unknown"));
  }

  /** Another session, from sequence 0. What may be stored under the old one is failed: it cannot be sent again. */
  #beginAnew(error: BrokerError): void {
    const isLost = (batch: SendBatch): boolean => batch.isUnknown || batch.isSettled;
    const lost = this.#queue.filter(isLost);
    this.#queue = this.#queue.filter((batch) => !isLost(batch));
    this.#firstNumber += lost.length;
    for (const batch of lost) this.#settle(batch, () => batch.fail(finalError(error, batch)));
    this.#forgetSession();
    this.ready();
  }

  #forgetSession(): void {
    this.#staleSession = this.#session ?? this.#staleSession;
    this.#session = undefined;
  }

  #obtainSession(): void {
    this.#isAwaitingSession = true;
    this.#host.obtainSession(this, this.#staleSession, (session, error) => {
      this.#isAwaitingSession = false;
      if (session === undefined) {
        if (error !== undefined && !error.retryable) this.failAll(error);
        else this.#pause(this.#nextPauseMs(LOAD_PAUSE_MS_MAX), () => this.ready());
        this.#lastError = error;
        return;
      }
      this.#session = session;
      this.#nextSequence = 0;
      this.#renumber(0, 0);
      this.ready();
    });
  }

  // --- finding the leader

  #leaveLink(): void {
    const link = this.#link;
    if (link === undefined) return;
    this.#putBack(false);
    link.detach(this);
    this.#link = undefined;
    this.#mustResume = false;
  }

  #findLeader(isStale: boolean): void {
    const { route, partition } = this.place;
    const leader = isStale ? undefined : route.leaderOf(partition);
    if (leader !== undefined) {
      this.#attach(leader.endpoint);
      return;
    }
    this.#isRouting = true;
    const goOn = (error?: unknown): void => {
      this.#isRouting = false;
      if (!this.hasPending) return;
      if (error !== undefined) this.#lastError = error as BrokerError;
      const found = route.leaderOf(partition);
      if (route.isGone) this.failAll(goneError(route));
      else if (found === undefined) this.#pauseAndRoute(ROUTING_PAUSE_MS_MAX);
      else this.#attach(found.endpoint);
    };
    this.#host.deps.metadata.refresh(route.name).then(() => goOn(), goOn);
  }

  #attach(endpoint: string): void {
    const link = this.#host.linkTo(endpoint);
    this.#link = link;
    this.#firstNumber = 0;
    this.#mustOpen = true;
    this.#mustResume = false;
    link.attach(this);
    this.ready();
  }

  #pauseAndRoute(maxMs: number): void {
    const pauseMs = this.#attempt === 0 ? 0 : this.#nextPauseMs(maxMs);
    this.#attempt = Math.max(1, this.#attempt);
    this.#pause(pauseMs, () => {
      if (this.#link === undefined && this.#session !== undefined) this.#findLeader(true);
      else this.ready();
    });
  }

  #nextPauseMs(maxMs: number): number {
    this.#attempt += 1;
    return backoffMs(this.#host.deps.random, this.#attempt - 1, maxMs);
  }

  #pause(ms: number, run: () => void): void {
    this.#isRouting = true;
    this.#cancelPause?.();
    this.#cancelPause = this.#host.deps.clock.schedule(ms, () => {
      this.#cancelPause = undefined;
      this.#isRouting = false;
      if (this.hasPending) run();
    });
  }

  #deadlineError(outcome: Outcome): FlotillaError {
    const last = this.#lastError;
    const { route, partition } = this.place;
    const why = last === undefined ? "no answer yet" : `last: ${last.reason}: ${last.message}`;
    const text = `${route.name}/${partition} did not acknowledge in time (${why})`;
    const fields = last === undefined ? {} : { lastReason: last.reason };
    return new FlotillaError("DEADLINE", text, fields, outcome, { cause: last });
  }
}

/** What the callers of a batch are told. */
function finalError(error: BrokerError, batch: SendBatch): FlotillaError {
  const outcome = batch.isUnknown ? "unknown" : outcomeWithout(error);
  return new FlotillaError(error.reason, error.message, error.fields, outcome, { cause: error });
}

/** A batch that is not marked unknown certainly is not stored; only this reason says that it is. */
function outcomeWithout(error: BrokerError): Outcome {
  return error.reason === "DUPLICATE_OUT_OF_WINDOW" ? "unknown" : "not-applied";
}

function goneError(route: TopicRoute): FlotillaError {
  return new FlotillaError(
    "UNKNOWN_TOPIC_OR_PARTITION",
    `topic "${route.name}" was deleted`,
    { topic: route.name },
    "not-applied",
  );
}
