// One partition of a reader: where it stands, and what came for it. Checks what brokers send before anybody sees it.
import { BrokerError } from "../model/errors.ts";
import { checkBatch } from "../model/record-batch.ts";
import { batchesIn } from "../model/record-batch-decoder.ts";
import type { CursorBatches } from "../rpc/generated/flotilla-v1.ts";
import { CursorReach } from "./cursor-reach.ts";
import { ReceivedBatch } from "./received-batch.ts";

/** The stream that serves a cursor (fetch-stream.ts). */
export interface CursorStream {
  /** The cursor wants nothing more from it. */
  leave(cursor: FetchCursor): void;
}

export class FetchCursor {
  readonly topic: string;
  readonly partition: number;
  /** First offset not received yet. */
  nextOffset: number;
  /** Of the last record received; 0 before the first. */
  lastEpoch = 0;
  highWatermark = 0;
  logStartOffset = 0;
  /** Exclusive end of what is wanted. */
  readonly endOffset: number;
  stream: CursorStream | undefined;
  /** Its number on the stream. */
  cursorId = -1;
  readonly reach: CursorReach = new CursorReach();

  constructor(topic: string, partition: number, nextOffset: number, endOffset: number) {
    this.topic = topic;
    this.partition = partition;
    this.nextOffset = nextOffset;
    this.endOffset = endOffset;
  }

  get isDone(): boolean {
    return this.nextOffset >= this.endOffset;
  }

  /**
   * Takes what a broker sent: in order, without repetition.
   * @returns the batches that hold something new
   * @throws BrokerError CORRUPT_BATCH, MALFORMED_BATCH; the batches before it were taken
   */
  receive(data: CursorBatches, into: ReceivedBatch[], isVerified: boolean): void {
    this.highWatermark = data.highWatermark;
    this.logStartOffset = data.logStartOffset;
    for (const chunk of data.batches) {
      for (const { position, header } of batchesIn(chunk)) {
        const bytes = chunk.subarray(position, position + header.bytes);
        const problem = isVerified ? checkBatch(bytes) : undefined;
        if (problem !== undefined) throw damaged(this, header.baseOffset, problem);
        const { baseOffset, recordCount, leaderEpoch } = header;
        const end = baseOffset + recordCount;
        if (end <= this.nextOffset || this.isDone) continue;
        const { topic, partition, highWatermark } = this;
        const firstOffset = Math.max(this.nextOffset, baseOffset);
        const endOffset = Math.min(end, this.endOffset);
        const place = { firstOffset, endOffset, highWatermark };
        const origin = { topic, partition, baseOffset, recordCount, leaderEpoch, ...place };
        into.push(new ReceivedBatch(origin, bytes));
        this.nextOffset = end;
        this.lastEpoch = leaderEpoch;
      }
    }
  }
}

function damaged(
  cursor: FetchCursor,
  offset: number,
  problem: { readonly reason: "CORRUPT_BATCH" | "MALFORMED_BATCH"; readonly field: string },
): BrokerError {
  const { topic, partition } = cursor;
  return new BrokerError(
    problem.reason,
    `the batch at offset ${offset} of ${topic}/${partition} arrived damaged: ${problem.field}`,
    { field: problem.field, offset },
  );
}
