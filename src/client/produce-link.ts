// One produce stream to one broker, shared by all lanes whose partitions it leads. Once per turn it puts what its lanes have
// ready into as few messages as possible; answers go to their lanes. When the stream ends, the lanes find their own way.
import type { Clock } from "../base/clock.ts";
import { BrokerError } from "../model/errors.ts";
import { BULK_MESSAGE_BYTES_TARGET, LANES_PER_STREAM_MAX } from "../model/limits.ts";
import type {
  LaneAck,
  LaneBatch,
  LaneRefusal,
  OpenLane,
  ProduceRequest,
  ProduceResponse,
  ResumeLane,
} from "../rpc/generated/flotilla-v1.ts";
import { produceService } from "../rpc/methods.ts";
import type { Connection, MessageStream } from "../rpc/ports.ts";
import type { ClientLogger } from "./client-deps.ts";

/** What a link needs of a lane. */
export interface LinkedLane {
  /** The lane's number on this stream, given by the link. */
  laneId: number;
  /** Waits in the link's queue. */
  isQueued: boolean;
  openMessage(): OpenLane | undefined;
  resumeMessage(): ResumeLane | undefined;
  /** The next batch that may be sent now; it counts as sent from here on. */
  take(): LaneBatch | undefined;
  /** Batches were given to the transport (acks=none needs no more than that). */
  sent(): void;
  acknowledged(ack: LaneAck): boolean;
  refused(refusal: LaneRefusal): boolean;
  /** @param isUnknown what was sent and not answered may be stored */
  streamEnded(error: BrokerError, isUnknown: boolean): void;
  /** Another endpoint leads the lane's partition, as far as is known. */
  isLedElsewhere(endpoint: string): boolean;
}

/** Sent and unanswered bytes per link; half of what a broker takes before it stops reading. */
const INFLIGHT_BYTES_MAX = 16 * 1024 * 1024;
/** No answer for so long while batches wait for one: the stream is given up. */
const ANSWER_TIMEOUT_MS = 30_000;

export interface LinkOptions {
  readonly connection: () => Connection;
  readonly endpoint: string;
  readonly clock: Clock;
  readonly log: ClientLogger;
  /** Something became ready outside a turn: schedule one. */
  readonly onReady: (link: ProduceLink) => void;
}

export class ProduceLink {
  readonly endpoint: string;
  readonly #options: LinkOptions;
  #stream: MessageStream<ProduceRequest, ProduceResponse> | undefined;
  /** By lane number; undefined where a lane has left. */
  #lanes: (LinkedLane | undefined)[] = [];
  #ready: LinkedLane[] = [];
  #isBlocked = false;
  #inflightBytes = 0;
  /** Since when the oldest answer is awaited. */
  #waitingSinceMs = 0;
  #hasAnswered = false;

  constructor(options: LinkOptions) {
    this.#options = options;
    this.endpoint = options.endpoint;
  }

  get isIdle(): boolean {
    return this.#inflightBytes === 0;
  }

  /** Takes a lane in. It is opened with its first batch. */
  attach(lane: LinkedLane): void {
    if (this.#lanes.length >= LANES_PER_STREAM_MAX) {
      // Numbers are not used twice on a stream; a new stream has all of them again.
      this.#end(new BrokerError("UNREACHABLE", "the stream's lane numbers are used up"), true);
    }
    lane.laneId = this.#lanes.length;
    lane.isQueued = false;
    this.#lanes.push(lane);
  }

  /** The lane goes elsewhere; answers for it are of no interest any more. */
  detach(lane: LinkedLane): void {
    if (this.#lanes[lane.laneId] === lane) this.#lanes[lane.laneId] = undefined;
    if (lane.isQueued) this.#ready = this.#ready.filter((other) => other !== lane);
    lane.isQueued = false;
  }

  markReady(lane: LinkedLane): void {
    if (lane.isQueued) return;
    lane.isQueued = true;
    this.#ready.push(lane);
    this.#options.onReady(this);
  }

  /** Bytes were answered, or will not be. */
  release(bytes: number): void {
    const wasFull = this.#inflightBytes >= INFLIGHT_BYTES_MAX;
    this.#inflightBytes -= bytes;
    if (wasFull && this.#ready.length > 0) this.#options.onReady(this);
  }

  /** Sends what is ready. Called once per turn. */
  pump(): void {
    while (this.#ready.length > 0 && !this.#isBlocked && this.#inflightBytes < INFLIGHT_BYTES_MAX) {
      const request = this.#collect();
      if (request === undefined) return;
      const stream = this.#openStream();
      if (stream === undefined) return;
      if (!stream.send(request.message)) this.#isBlocked = true;
      if (this.#stream !== stream) return;
      for (const lane of request.lanes) lane.sent();
    }
  }

  /** Gives up a stream that does not answer. */
  checkAnswers(nowMs: number): void {
    if (this.#inflightBytes === 0 || nowMs - this.#waitingSinceMs < ANSWER_TIMEOUT_MS) return;
    this.#end(new BrokerError("UNREACHABLE", `no answer from ${this.endpoint} in time`), true);
  }

  /** An answer is awaited and nothing came for so long: the broker may be paused, or its link cut. */
  isSilentFor(silenceMs: number, nowMs: number): boolean {
    return this.#inflightBytes > 0 && nowMs - this.#waitingSinceMs >= silenceMs;
  }

  /** Gives up the stream of a silent broker when one of its lanes is known to be led by another one meanwhile. */
  leaveIfReplaced(): void {
    const hasMoved = this.#lanes.some((lane) => lane?.isLedElsewhere(this.endpoint) === true);
    if (!hasMoved) return;
    this.#end(new BrokerError("UNREACHABLE", `${this.endpoint} is silent and was replaced`), true);
  }

  /** Ends the stream without telling the lanes. */
  close(): void {
    const stream = this.#stream;
    this.#stream = undefined;
    this.#lanes = [];
    this.#ready = [];
    silence(stream);
    stream?.cancel();
  }

  /** One message: of each lane in turn one batch, until nothing is ready or the message is large enough. */
  #collect(): { message: ProduceRequest; lanes: Set<LinkedLane> } | undefined {
    const open: OpenLane[] = [];
    const resume: ResumeLane[] = [];
    const batches: LaneBatch[] = [];
    const lanes = new Set<LinkedLane>();
    let bytes = 0;
    let turn = this.#ready;
    this.#ready = [];
    while (turn.length > 0) {
      const again: LinkedLane[] = [];
      for (const [place, lane] of turn.entries()) {
        if (bytes >= BULK_MESSAGE_BYTES_TARGET) {
          again.push(...turn.slice(place));
          break;
        }
        const batch = lane.take();
        if (batch === undefined) {
          lane.isQueued = false;
          continue;
        }
        const opening = lane.openMessage();
        if (opening !== undefined) open.push(opening);
        const resuming = lane.resumeMessage();
        if (resuming !== undefined) resume.push(resuming);
        batches.push(batch);
        bytes += batch.batch.length;
        lanes.add(lane);
        again.push(lane);
      }
      turn = again;
      if (bytes >= BULK_MESSAGE_BYTES_TARGET) break;
    }
    this.#ready = turn;
    if (batches.length === 0) return undefined;
    if (this.#inflightBytes === 0) this.#waitingSinceMs = this.#options.clock.monotonicMs();
    this.#inflightBytes += bytes;
    return { message: { open, resume, batches }, lanes };
  }

  #openStream(): MessageStream<ProduceRequest, ProduceResponse> | undefined {
    if (this.#stream !== undefined) return this.#stream;
    let stream: MessageStream<ProduceRequest, ProduceResponse>;
    try {
      stream = this.#options.connection().bidi(produceService.produce);
    } catch (error) {
      const text = error instanceof Error ? error.message : String(error);
      this.#end(new BrokerError("CLOSED", text), false);
      return undefined;
    }
    this.#hasAnswered = false;
    stream.onMessage = (answer) => this.#onAnswer(stream, answer);
    stream.onDrain = () => {
      this.#isBlocked = false;
      if (this.#ready.length > 0) this.#options.onReady(this);
    };
    stream.onEnd = (error) => {
      if (this.#stream !== stream) return;
      const reason = error ?? new BrokerError("UNREACHABLE", `${this.endpoint} ended the stream`);
      this.#end(reason, this.#hasAnswered || !isRefused(reason));
    };
    this.#stream = stream;
    return stream;
  }

  #onAnswer(stream: MessageStream<ProduceRequest, ProduceResponse>, answer: ProduceResponse): void {
    if (this.#stream !== stream) return;
    this.#hasAnswered = true;
    this.#waitingSinceMs = this.#options.clock.monotonicMs();
    for (const ack of answer.acks) {
      const lane = this.#lanes[ack.lane];
      if (lane !== undefined && !lane.acknowledged(ack)) this.#violated("ack");
      if (this.#stream !== stream) return;
    }
    for (const refusal of answer.refusals) {
      const lane = this.#lanes[refusal.lane];
      if (lane !== undefined && !lane.refused(refusal)) this.#violated("refusal");
      if (this.#stream !== stream) return;
    }
  }

  /** The broker answered what was not asked: nothing that it says on this stream can be trusted any more. */
  #violated(what: string): void {
    const { endpoint } = this;
    this.#options.log.warn({ endpoint, answer: what }, "broker broke the produce protocol");
    this.#end(new BrokerError("UNREACHABLE", `unexpected ${what} from ${endpoint}`), true);
  }

  #end(error: BrokerError, isUnknown: boolean): void {
    const stream = this.#stream;
    const lanes = this.#lanes;
    this.#stream = undefined;
    this.#lanes = [];
    this.#ready = [];
    this.#isBlocked = false;
    this.#inflightBytes = 0;
    silence(stream);
    stream?.cancel();
    const { endpoint } = this;
    const { reason } = error;
    this.#options.log.debug({ endpoint, reason }, "produce stream ended");
    for (const lane of lanes) lane?.streamEnded(error, isUnknown);
  }
}

/** The connection was never there: nothing was sent. */
function isRefused(error: BrokerError): boolean {
  return error.fields["refused"] === true;
}

function silence(stream: MessageStream<never, ProduceResponse> | undefined): void {
  if (stream === undefined) return;
  stream.onMessage = () => undefined;
  stream.onDrain = () => undefined;
  stream.onEnd = () => undefined;
}
