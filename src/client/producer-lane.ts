// One lane: the batches of one topic partition under one producer session. This is where failures are decided upon, so that
// no retry duplicates and none overtakes:
//
// * A refusal or a lost stream puts everything unanswered back; it is sent again in the same order, with the same sequences.
// * A batch that may be stored stays with its partition until its outcome is known, even when its callers were told of a
//   passed deadline: dropping it would tear the sequence.
// * A batch that certainly is not stored and is refused for good leaves; its followers take its numbers.
// * When nobody waits any more for any of the batches that may be stored, the lane begins anew under another session; so
//   does it after SEQUENCE_GAP and UNKNOWN_PRODUCER. What may be stored is failed with outcome "unknown" first.
import type { Cancel } from "../base/clock.ts";
import { effectiveFlush, type Flush } from "../model/durability.ts";
import type { BrokerError, Outcome } from "../model/errors.ts";
import { PROTOCOL_VERSION_MAX } from "../model/limits.ts";
import type { RecordHeader } from "../model/record-batch-builder.ts";
import type {
  LaneAck,
  LaneBatch,
  LaneRefusal,
  OpenLane,
  ResumeLane,
} from "../rpc/generated/flotilla-v1.ts";
import { errorOfReason } from "../rpc/status.ts";
import { backoffMs, LOAD_PAUSE_MS_MAX, ROUTING_PAUSE_MS_MAX } from "./backoff.ts";
import { FlotillaError } from "./flotilla-error.ts";
import { deadlineError, fenced, goneError, leavesUnknown } from "./lane-errors.ts";
import type { LaneHost, LanePlace } from "./lane-host.ts";
import { LaneQueue } from "./lane-queue.ts";
import type { LinkedLane, ProduceLink } from "./produce-link.ts";
import type { ProducerSession } from "./producer-session.ts";
import type { Receipt, SendBatch, SendCallback } from "./send-batch.ts";

/** Hints followed at once, one after the other; then there is a pause: two brokers may name each other. */
const HINTS_IN_A_ROW_MAX = 3;

export class ProducerLane implements LinkedLane {
  readonly place: LanePlace;
  laneId = 0;
  isQueued = false;
  readonly #host: LaneHost<ProducerLane>;
  readonly #queue: LaneQueue;
  #session: ProducerSession | undefined;
  /** The last session that this lane used and must not use again: its sequences begin at 0. */
  #staleSession: ProducerSession | undefined;
  #isAwaitingSession = false;
  #link: ProduceLink | undefined;
  /** On this stream: number of the oldest unanswered batch. */
  #firstNumber = 0;
  #mustOpen = false;
  /** Asked for when it was opened. */
  #flush: Flush = "async";
  #mustResume = false;
  /** A pause or a metadata question is under way. */
  #isRouting = false;
  #cancelPause: Cancel | undefined;
  /** Failures since the last acknowledgement. */
  #attempt = 0;
  #lastError: BrokerError | undefined;

  constructor(host: LaneHost<ProducerLane>, place: LanePlace) {
    this.#host = host;
    this.place = place;
    const { deliveryTimeoutMs, batchBytes, batchBytesMax, memory } = host;
    const isWeak = place.acks !== "all";
    const { clock } = host.deps;
    const sizes = { deliveryTimeoutMs, batchBytes, batchBytesMax };
    this.#queue = new LaneQueue({ clock, memory, ...sizes, isWeak });
  }

  get hasPending(): boolean {
    return !this.#queue.isEmpty;
  }

  /** Batches whose callers were not told yet, oldest first. */
  pending(): SendBatch[] {
    return this.#queue.pending();
  }

  /** Adds a record. @returns encoded bytes @throws BrokerError INVALID_REQUEST as the batch builder */
  append(
    key: Uint8Array | undefined,
    value: Uint8Array | string | undefined,
    headers: readonly RecordHeader[] | undefined,
    timestampMs: number,
    isExplicit: boolean,
    done: SendCallback,
  ): number {
    const bytes = this.#queue.append(key, value, headers, timestampMs, isExplicit, done);
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

  // --- LinkedLane

  take(): LaneBatch | undefined {
    if (this.#session === undefined || this.#isRouting) return undefined;
    const number = this.#firstNumber + this.#queue.sentCount;
    const batch = this.#queue.takeNext();
    if (batch === undefined) return undefined;
    const { bytes, hints } = batch;
    return { lane: this.laneId, number, batch: bytes, hints };
  }

  openMessage(): OpenLane | undefined {
    if (!this.#mustOpen) return undefined;
    this.#mustOpen = false;
    const { route, partition, acks } = this.place;
    const { topicId, layoutEpoch } = route;
    const protocolVersion = PROTOCOL_VERSION_MAX;
    // Said explicitly: a receipt must not promise more than the broker was asked for, even after the topic was altered.
    this.#flush = effectiveFlush(route.flush, this.place.flush);
    const flush = this.#flush;
    return { lane: this.laneId, topicId, partition, layoutEpoch, protocolVersion, acks, flush };
  }

  resumeMessage(): ResumeLane | undefined {
    if (!this.#mustResume) return undefined;
    this.#mustResume = false;
    const { layoutEpoch } = this.place.route;
    // Asked for with the first batch after the refusal, which take() has counted already.
    const number = this.#firstNumber + this.#queue.sentCount - 1;
    return { lane: this.laneId, number, layoutEpoch };
  }

  sent(): void {
    if (this.place.acks !== "none") return;
    const receipt = this.#receipt(-1, 0, false);
    while (this.#queue.sentCount > 0) this.#acknowledge(receipt);
  }

  acknowledged({ firstNumber, baseOffsets, leaderEpoch, duplicate }: LaneAck): boolean {
    const isExpected =
      firstNumber === this.#firstNumber && baseOffsets.length <= this.#queue.sentCount;
    if (!isExpected) return false;
    this.#attempt = 0;
    this.#lastError = undefined;
    for (const baseOffset of baseOffsets) {
      this.#acknowledge(this.#receipt(baseOffset, leaderEpoch, duplicate));
    }
    this.ready();
    return true;
  }

  refused({ number, reason, message, metadata }: LaneRefusal): boolean {
    const error = errorOfReason(reason, message, metadata);
    this.#lastError = error;
    if (this.place.acks === "none") {
      // Nobody waits; what was sent behind the refused batch is lost, as acks=none allows.
      this.#mustResume = true;
      if (error.reason === "PRODUCER_FENCED") this.#host.onFenced(fenced(error));
      else this.#recover(error);
      return true;
    }
    const { head } = this.#queue;
    if (number !== this.#firstNumber || this.#queue.sentCount === 0 || head === undefined) {
      return false;
    }
    this.#link?.release(this.#queue.putBack(leavesUnknown(error)));
    this.#mustResume = true;
    this.#decide(head, error);
    return true;
  }

  isLedElsewhere(endpoint: string): boolean {
    const leader = this.place.route.leaderOf(this.place.partition);
    return leader !== undefined && leader.endpoint !== endpoint;
  }

  streamEnded(error: BrokerError, isUnknown: boolean): void {
    if (this.#link === undefined) return;
    this.place.route.disown(this.place.partition, this.#link.endpoint);
    this.#link = undefined;
    this.isQueued = false;
    this.#lastError = error;
    this.#queue.putBack(isUnknown);
    this.#mustResume = false;
    if (this.hasPending && !this.#isAwaitingSession) this.#pauseAndRoute();
  }

  // --- time and the end

  /** Fails what has passed its deadline. Called every now and then. */
  expire(nowMs: number): void {
    const { removed, kept } = this.#queue.expire(nowMs);
    for (const batch of kept) batch.fail(this.#deadlineError("unknown"));
    for (const batch of removed) this.#fail(batch, this.#deadlineError("not-applied"));
    if (!this.#queue.isGivenUp) return;
    this.#leaveLink(true);
    this.#beginAnew(this.#deadlineError("unknown"));
  }

  /** Fails everything; what may be stored with outcome "unknown". */
  failAll(error: BrokerError): void {
    this.#leaveLink(true);
    const batches = this.#queue.takeAll();
    this.#forgetSession();
    for (const batch of batches) this.#fail(batch, error);
  }

  /** Fails everything and sends nothing any more. */
  close(error: BrokerError): void {
    this.failAll(error);
    this.#cancelPause?.();
    this.#isRouting = true;
  }

  #acknowledge(receipt: Receipt): void {
    const batch = this.#queue.shiftSent();
    this.#firstNumber += 1;
    this.#link?.release(batch.bytes.length);
    batch.acknowledge(receipt);
    this.#host.onReleased(batch);
  }

  #fail(batch: SendBatch, error: BrokerError): void {
    const { reason, message, fields } = error;
    // What is not marked unknown certainly is not stored; only this reason says that it is.
    const isUnknown = batch.isUnknown || reason === "DUPLICATE_OUT_OF_WINDOW";
    const outcome = isUnknown ? "unknown" : "not-applied";
    batch.fail(new FlotillaError(reason, message, fields, outcome, { cause: error }));
    this.#host.onReleased(batch);
  }

  #receipt(offset: number, leaderEpoch: number, duplicate: boolean): Receipt {
    const { route, partition, acks } = this.place;
    const flush = this.#flush;
    return { topic: route.name, partition, offset, leaderEpoch, acks, flush, duplicate };
  }

  #deadlineError(outcome: Outcome): FlotillaError {
    const { route, partition } = this.place;
    return deadlineError(`${route.name}/${partition}`, this.#lastError, outcome);
  }

  // --- refusals

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
        if (this.place.acks === "all") this.#queue.clearUnknown();
        this.#beginAnew(error);
        return;
      case "UNKNOWN_PRODUCER":
        this.#beginAnew(error);
        return;
      case "PRODUCER_FENCED":
        this.#host.onFenced(fenced(error));
        return;
      case "STALE_LAYOUT":
        this.#followLayout(error);
        return;
      default:
        if (error.retryable) this.#recover(error);
        else this.#failHead(head, error);
    }
  }

  #failHead(head: SendBatch, error: BrokerError): void {
    const isLost = head.isUnknown;
    this.#dropHead(head, error);
    if (isLost) {
      this.#beginAnew(error);
      return;
    }
    this.#queue.closeGap(0, head.baseSequence);
    this.ready();
  }

  #dropHead(head: SendBatch, error: BrokerError): void {
    this.#queue.dropHead();
    this.#firstNumber += 1;
    this.#fail(head, error);
  }

  /** A retryable refusal: here again after a pause, or elsewhere. */
  #recover(error: BrokerError): void {
    // Who does not know the leader may have been cut off from the others, who have elected one: somebody else is asked.
    if (error.retry === "reroute" || error.reason === "LEADER_UNKNOWN") {
      this.#followLeader(error);
      return;
    }
    const { retryAfterMs } = error.fields;
    const isTold = typeof retryAfterMs === "number";
    const pauseMs = isTold ? retryAfterMs : this.#nextPauseMs(LOAD_PAUSE_MS_MAX);
    this.#pause(pauseMs, () => this.ready());
  }

  #followLeader(error: BrokerError): void {
    const { route, partition } = this.place;
    const { leaderEndpoint, leaderEpoch } = error.fields;
    const refusedBy = this.#link?.endpoint;
    if (refusedBy !== undefined) route.disown(partition, refusedBy);
    this.#leaveLink(false);
    const isHint = error.reason === "NOT_LEADER" && typeof leaderEndpoint === "string";
    const epoch = typeof leaderEpoch === "number" ? leaderEpoch : 0;
    const isTaken =
      isHint && leaderEndpoint !== refusedBy && route.hint(partition, leaderEndpoint, epoch);
    if (isTaken && this.#attempt < HINTS_IN_A_ROW_MAX) {
      this.#attempt += 1;
      this.ready();
    } else this.#pauseAndRoute();
  }

  #followLayout(error: BrokerError): void {
    const { metadata } = this.#host.deps;
    const { route } = this.place;
    this.#isRouting = true;
    const goOn = (): void => {
      this.#isRouting = false;
      const current = error.fields["layoutEpoch"];
      if (typeof current === "number" && route.layoutEpoch < current) {
        this.#pauseAndRoute();
        return;
      }
      this.#host.reroute(this, this.#queue.takeMovable());
      this.ready();
    };
    metadata.refresh(route.name).then(goOn, goOn);
  }

  // --- sessions

  /** Another session, from sequence 0. What may be stored under the old one is failed: it cannot be sent again. */
  #beginAnew(error: BrokerError): void {
    for (const batch of this.#queue.takeLost()) {
      this.#firstNumber += 1;
      this.#fail(batch, error);
    }
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
        this.#lastError = error;
        if (error?.reason === "PRODUCER_FENCED") this.#host.onFenced(fenced(error));
        else if (error !== undefined && !error.retryable) this.failAll(error);
        else this.#pause(this.#nextPauseMs(LOAD_PAUSE_MS_MAX), () => this.ready());
        return;
      }
      this.#session = session;
      const { producerId, weakProducerId, epoch: producerEpoch } = session;
      const isGapless = this.place.acks === "all";
      this.#queue.beginSession({
        producerId: isGapless ? producerId : weakProducerId,
        producerEpoch,
      });
      this.ready();
    });
  }

  // --- finding the leader

  #leaveLink(isUnknown: boolean): void {
    const link = this.#link;
    const bytes = this.#queue.putBack(isUnknown);
    if (link === undefined) return;
    link.release(bytes);
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
    const goOn = (error?: BrokerError): void => {
      if (!this.hasPending) {
        this.#isRouting = false;
        return;
      }
      if (error !== undefined) this.#lastError = error;
      const found = route.leaderOf(partition);
      this.#isRouting = false;
      if (route.isGone) this.failAll(goneError(route));
      else if (found === undefined) this.#pauseAndRoute();
      else this.#attach(found.endpoint);
    };
    this.#host.deps.metadata.refresh(route.name).then(() => goOn(), goOn);
  }

  #attach(endpoint: string): void {
    if (this.#link !== undefined) {
      this.ready();
      return;
    }
    const link = this.#host.linkTo(endpoint);
    this.#link = link;
    this.#firstNumber = 0;
    this.#mustOpen = true;
    this.#mustResume = false;
    link.attach(this);
    this.ready();
  }

  #pauseAndRoute(): void {
    const pauseMs = this.#attempt === 0 ? 0 : this.#nextPauseMs(ROUTING_PAUSE_MS_MAX);
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
}
