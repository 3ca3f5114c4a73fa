// One lane of a produce stream: one topic partition and one producer session. Keeps the order of answers, closes itself at
// a refusal and discards what follows until the client resumes, so that no retry is overtaken (architecture §7.7).
//
//   open ──refusal decided──► closed (discards; answers of earlier batches still go out, then the refusal)
//   closed ──ResumeLane, after the refusal went out──► open at the client's next number
import type { Acks, Flush } from "../model/durability.ts";
import { BrokerError } from "../model/errors.ts";
import type { PartitionIndex, TopicId } from "../model/ids.ts";
import type { Term } from "../model/positions.ts";
import { Fifo } from "./fifo.ts";
import type { Partition } from "./partition.ts";
import type { AppendObserver, AppendReceipt, PartitionLookup } from "./ports.ts";
import { asBrokerError, checkProtocolVersion, refusalOf, unknownPartition } from "./refusal.ts";

/** Shape of the protocol's OpenLane. */
export interface OpenLane {
  readonly lane: number;
  readonly topicId: string;
  readonly partition: number;
  readonly layoutEpoch: number;
  readonly protocolVersion: number;
  readonly acks?: Acks | undefined;
  readonly flush?: Flush | undefined;
}

/** Shape of the protocol's LaneAck. */
export interface LaneAck {
  readonly lane: number;
  readonly firstNumber: number;
  readonly baseOffsets: readonly number[];
  readonly leaderEpoch: number;
  readonly duplicate: boolean;
}

/** Shape of the protocol's LaneRefusal. */
export interface LaneRefusal {
  readonly lane: number;
  readonly number: number;
  readonly reason: string;
  readonly message: string;
  readonly metadata: Readonly<Record<string, string>>;
}

/** What a lane needs of its stream. */
export interface LaneHost {
  readonly lookup: PartitionLookup<Partition>;
  /** Something of the lane can be answered. */
  onAnswerable(lane: ProduceLane): void;
  /** Bytes of unanswered batches changed. */
  onBytes(change: number): void;
}

/** A batch that was given to the partition and is not answered yet. */
class PendingBatch implements AppendObserver {
  readonly #lane: ProduceLane;
  readonly bytes: number;
  receipt: AppendReceipt | undefined;
  error: BrokerError | undefined;
  /** An earlier batch of the lane failed: the outcome of this one concerns nobody any more. */
  isDiscarded = false;

  constructor(lane: ProduceLane, bytes: number) {
    this.#lane = lane;
    this.bytes = bytes;
  }

  onReceipt(receipt: AppendReceipt): void {
    this.receipt = receipt;
    this.#lane.settled(this);
  }

  onFailure(error: BrokerError): void {
    this.error = error;
    this.#lane.settled(this);
  }
}

export class ProduceLane {
  readonly id: number;
  readonly #host: LaneHost;
  readonly #open: OpenLane;
  #layoutEpoch: number;
  #partition: Partition | undefined;
  #acks: Acks = "all";
  /** Leadership that this lane appends under; 0: none yet. */
  #leaderEpoch: Term = 0;
  /** In number order. */
  #pending = new Fifo<PendingBatch>();
  /** Number of the oldest pending batch. */
  #firstNumber = 0;
  /** Number that the next batch must have. */
  #nextNumber = 0;
  /** After a refusal was decided, until ResumeLane. */
  #isClosed = false;
  /** The refusal that closed the lane stands behind all pending batches and did not go out yet. */
  #refusal: BrokerError | undefined;

  constructor(host: LaneHost, open: OpenLane) {
    this.id = open.lane;
    this.#host = host;
    this.#open = open;
    this.#layoutEpoch = open.layoutEpoch;
    this.#guard(() => this.#enter());
  }

  /** The next batch from the client. Ownership of the bytes goes to the lane. */
  receive(number: number, batch: Buffer, hints?: Buffer): void {
    if (this.#isClosed) return;
    if (number !== this.#nextNumber) {
      this.refuse(invalidNumber(number, this.#nextNumber));
      return;
    }
    this.#guard(() => this.#submit(batch, hints));
  }

  /** The client goes on with `number`. @param layoutEpoch 0: as before */
  resume(number: number, layoutEpoch: number): void {
    if (!this.#isClosed) {
      this.refuse(
        new BrokerError("INVALID_REQUEST", "the lane is open: nothing is to be resumed", {
          field: "resume.lane",
        }),
      );
      return;
    }
    // The client cannot know of a refusal that did not go out: it will see it and resume again.
    if (this.#refusal !== undefined || this.#pending.length > 0) return;
    this.#isClosed = false;
    this.#firstNumber = number;
    this.#nextNumber = number;
    if (layoutEpoch !== 0) this.#layoutEpoch = layoutEpoch;
    this.#guard(() => this.#enter());
  }

  /** Closes the lane behind the batches that are pending. Does nothing when it is closed already. */
  refuse(error: BrokerError): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#refusal = error;
    if (this.#pending.length === 0) this.#host.onAnswerable(this);
  }

  /** A pending batch has its outcome. */
  settled(batch: PendingBatch): void {
    if (batch.isDiscarded) return;
    // From the first failure on everything later is discarded, even while earlier batches still wait.
    if (batch.error !== undefined) this.#isClosed = true;
    if (this.#pending.peek() === batch) this.#host.onAnswerable(this);
  }

  /** Takes what can be answered, in order. At most one refusal, and it comes last. */
  takeAnswers(acks: LaneAck[], refusals: LaneRefusal[]): void {
    let run: { readonly ack: LaneAck; readonly baseOffsets: number[] } | undefined;
    for (;;) {
      const batch = this.#pending.peek();
      if (batch === undefined) break;
      if (batch.error !== undefined) {
        // Later ones may be stored or not, and are the client's to send again.
        this.#refusal = batch.error;
        this.#dropPending();
        break;
      }
      const { receipt } = batch;
      if (receipt === undefined) return;
      this.#pending.shift();
      this.#host.onBytes(-batch.bytes);
      const { baseOffset, leaderEpoch, duplicate } = receipt;
      if (run?.ack.leaderEpoch !== leaderEpoch || run.ack.duplicate !== duplicate) {
        const baseOffsets: number[] = [];
        const firstNumber = this.#firstNumber;
        const ack = { lane: this.id, firstNumber, baseOffsets, leaderEpoch, duplicate };
        run = { ack, baseOffsets };
        acks.push(ack);
      }
      run.baseOffsets.push(baseOffset);
      this.#firstNumber += 1;
    }
    if (this.#refusal === undefined) return;
    refusals.push({ lane: this.id, number: this.#firstNumber, ...refusalOf(this.#refusal) });
    this.#refusal = undefined;
  }

  /** The stream ended: whatever comes for its batches concerns nobody. */
  close(): void {
    this.#isClosed = true;
    this.#dropPending();
    this.#refusal = undefined;
  }

  #enter(): void {
    const { topicId, partition: number, protocolVersion, acks } = this.#open;
    checkProtocolVersion(protocolVersion);
    const partition = this.#host.lookup(topicId as TopicId, number as PartitionIndex);
    if (partition === undefined) throw unknownPartition(topicId, number);
    this.#partition = partition;
    this.#leaderEpoch = 0;
    this.#acks = acks ?? partition.settings.acks;
  }

  #submit(batch: Buffer, hints: Buffer | undefined): void {
    const partition = this.#partition;
    if (partition === undefined) throw unknownPartition(this.#open.topicId, this.#open.partition);
    const { flush } = this.#open;
    const acks = this.#acks;
    const layoutEpoch = this.#layoutEpoch;
    if (acks === "none") {
      partition.submit({ batch, hints, acks, flush, layoutEpoch }, NOBODY);
      this.#nextNumber += 1;
      this.#firstNumber = this.#nextNumber;
      return;
    }
    if (acks === "leader") this.#checkLeadership(partition);
    const pending = new PendingBatch(this, batch.length);
    this.#pending.push(pending);
    try {
      partition.submit({ batch, hints, acks, flush, layoutEpoch }, pending);
    } catch (error) {
      // It never was under way: the refusal stands behind those that are.
      this.#pending.pop();
      throw error;
    }
    this.#nextNumber += 1;
    this.#host.onBytes(pending.bytes);
  }

  /**
   * With acks=leader a change of leadership may take away what was acknowledged, perhaps in an answer that gets lost with
   * the stream. Were the next batch appended all the same, the producer could not send the lost one again in order.
   */
  #checkLeadership(partition: Partition): void {
    partition.requireLeader();
    const { leaderEpoch } = partition;
    if (this.#leaderEpoch === 0) this.#leaderEpoch = leaderEpoch;
    if (this.#leaderEpoch === leaderEpoch) return;
    throw new BrokerError("STALE_LEADER_EPOCH", "the partition was led by another one meanwhile", {
      leaderEpoch,
    });
  }

  #dropPending(): void {
    for (let batch = this.#pending.shift(); batch !== undefined; batch = this.#pending.shift()) {
      batch.isDiscarded = true;
      this.#host.onBytes(-batch.bytes);
    }
  }

  #guard(run: () => void): void {
    try {
      run();
    } catch (error) {
      this.refuse(asBrokerError(error));
    }
  }
}

const NOBODY: AppendObserver = { onReceipt: () => undefined, onFailure: () => undefined };

function invalidNumber(number: number, expected: number): BrokerError {
  return new BrokerError("INVALID_REQUEST", `batch number ${number} is not ${expected}`, {
    field: "batches.number",
    expected,
  });
}
