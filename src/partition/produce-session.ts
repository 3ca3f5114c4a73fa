// One produce stream, whatever carries it: sorts what arrives into lanes, answers once per turn for all of them, and stops
// reading while too much is unanswered. The broker's produce service gives it decoded messages.
import type { Clock } from "../base/clock.ts";
import { BrokerError } from "../model/errors.ts";
import { LANES_PER_STREAM_MAX, PRODUCE_INFLIGHT_BYTES_MAX } from "../model/limits.ts";
import { LANE_BYTES, type MemoryBudget } from "../model/memory-budget.ts";
import type { Partition } from "./partition.ts";
import type { PartitionLookup } from "./ports.ts";
import {
  type LaneAck,
  type LaneHost,
  type LaneRefusal,
  type OpenLane,
  ProduceLane,
} from "./produce-lane.ts";
import { refusalOf } from "./refusal.ts";

/** Shape of the protocol's ProduceRequest. */
export interface ProduceMessage {
  readonly open: readonly OpenLane[];
  readonly resume: readonly {
    readonly lane: number;
    readonly number: number;
    readonly layoutEpoch: number;
  }[];
  /** Ownership: the batches' bytes go to the session. */
  readonly batches: readonly {
    readonly lane: number;
    readonly number: number;
    readonly batch: Buffer;
    readonly hints?: Buffer | undefined;
  }[];
}

/** Shape of the protocol's ProduceResponse. */
export interface ProduceAnswer {
  readonly acks: readonly LaneAck[];
  readonly refusals: readonly LaneRefusal[];
}

/** The stream that carries a session. */
export interface ProduceOutput {
  /** False: the transport's buffer is full; drained() must be called when it is not any more. */
  send(answer: ProduceAnswer): boolean;
  /** Stops and restarts delivery of messages. Called alternately. */
  pause(): void;
  resume(): void;
}

export interface ProduceSessionDeps {
  readonly clock: Clock;
  /** Lanes are counted as open streams are. */
  readonly memory?: MemoryBudget;
  readonly lookup: PartitionLookup<Partition>;
}

/** Refusals of lanes that do not exist, per answer. More: the stream ends. */
const STRAY_REFUSALS_MAX = LANES_PER_STREAM_MAX;

export class ProduceSession implements LaneHost {
  readonly lookup: PartitionLookup<Partition>;
  readonly #clock: Clock;
  readonly #memory: MemoryBudget | undefined;
  readonly #output: ProduceOutput;
  readonly #lanes = new Map<number, ProduceLane>();
  readonly #bytesMax: number;
  #answerable = new Set<ProduceLane>();
  /** Refusals of lanes that do not exist. */
  #strayRefusals: LaneRefusal[] = [];
  #unansweredBytes = 0;
  #isFlushDue = false;
  #isPaused = false;
  #isBlocked = false;
  #isClosed = false;

  /** @param bytesMax unanswered bytes beyond which the stream is not read, until half of them are answered */
  constructor(
    deps: ProduceSessionDeps,
    output: ProduceOutput,
    bytesMax: number = PRODUCE_INFLIGHT_BYTES_MAX,
  ) {
    this.#clock = deps.clock;
    this.#memory = deps.memory;
    this.lookup = deps.lookup;
    this.#output = output;
    this.#bytesMax = bytesMax;
  }

  get unansweredBytes(): number {
    return this.#unansweredBytes;
  }

  /** @throws BrokerError INVALID_REQUEST, which ends the stream, when it asks for too much of what does not exist */
  receive(message: ProduceMessage): void {
    if (this.#isClosed) return;
    for (const open of message.open) this.#open(open);
    for (const { lane: id, number, layoutEpoch } of message.resume) {
      const lane = this.#lanes.get(id);
      if (lane === undefined) this.#refuseStray(id, number, unknownLane("resume.lane"));
      else lane.resume(number, layoutEpoch);
    }
    for (const { lane: id, number, batch, hints } of message.batches) {
      const lane = this.#lanes.get(id);
      if (lane === undefined) this.#refuseStray(id, number, unknownLane("batches.lane"));
      else lane.receive(number, batch, hints);
    }
    this.#adjustReading();
  }

  /** The transport takes messages again. */
  drained(): void {
    this.#isBlocked = false;
    this.#adjustReading();
    if (this.#answerable.size > 0 || this.#strayRefusals.length > 0) this.#scheduleFlush();
  }

  /** The stream ended: lanes are dropped, later outcomes concern nobody. */
  close(): void {
    this.#isClosed = true;
    for (const lane of this.#lanes.values()) lane.close();
    this.#memory?.give("streams", this.#lanes.size * LANE_BYTES);
    this.#lanes.clear();
    this.#answerable.clear();
    this.#strayRefusals = [];
  }

  onAnswerable(lane: ProduceLane): void {
    this.#answerable.add(lane);
    this.#scheduleFlush();
  }

  onBytes(change: number): void {
    this.#unansweredBytes += change;
  }

  #open(open: OpenLane): void {
    const { lane: id } = open;
    const existing = this.#lanes.get(id);
    if (existing !== undefined) {
      existing.refuse(invalid("open.lane", "the lane is open already"));
      return;
    }
    const isInRange = id >= 0 && id < LANES_PER_STREAM_MAX && Number.isInteger(id);
    if (!isInRange) {
      const error = invalid("open.lane", `lanes are 0 to ${LANES_PER_STREAM_MAX - 1}`);
      this.#refuseStray(id, 0, error);
      return;
    }
    if (this.#memory?.tryTake("streams", LANE_BYTES) === false) {
      this.#refuseStray(id, 0, this.#memory.refusal("streams"));
      return;
    }
    this.#lanes.set(id, new ProduceLane(this, open));
  }

  /** Each costs far more here than at the client, and is kept until the client takes it. */
  #refuseStray(lane: number, number: number, error: BrokerError): void {
    if (this.#strayRefusals.length >= STRAY_REFUSALS_MAX) {
      throw invalid("lane", `more than ${STRAY_REFUSALS_MAX} refusals of lanes that are not open`);
    }
    this.#strayRefusals.push({ lane, number, ...refusalOf(error) });
    this.#scheduleFlush();
  }

  /** One answer per turn, however many batches were acknowledged in it. */
  #scheduleFlush(): void {
    if (this.#isFlushDue || this.#isClosed || this.#isBlocked) return;
    this.#isFlushDue = true;
    this.#clock.defer(() => {
      this.#isFlushDue = false;
      if (!this.#isClosed && !this.#isBlocked) this.#flush();
    });
  }

  #flush(): void {
    const acks: LaneAck[] = [];
    const refusals = this.#strayRefusals;
    this.#strayRefusals = [];
    const lanes = this.#answerable;
    this.#answerable = new Set();
    for (const lane of lanes) lane.takeAnswers(acks, refusals);
    if (acks.length === 0 && refusals.length === 0) return;
    this.#isBlocked = !this.#output.send({ acks, refusals });
    this.#adjustReading();
  }

  /** Reading stops when the client does not read its answers, or has sent too much that is unanswered. */
  #adjustReading(): void {
    if (this.#isClosed) return;
    const mark = this.#isPaused ? this.#bytesMax / 2 : this.#bytesMax;
    const mustPause = this.#isBlocked || this.#unansweredBytes > mark;
    if (mustPause === this.#isPaused) return;
    this.#isPaused = mustPause;
    if (mustPause) this.#output.pause();
    else this.#output.resume();
  }
}

function unknownLane(field: string): BrokerError {
  return invalid(field, "no such lane was opened on this stream");
}

function invalid(field: string, message: string): BrokerError {
  return new BrokerError("INVALID_REQUEST", message, { field });
}
