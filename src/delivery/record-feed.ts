// Reads a partition for one dispatcher: on from where it stopped, or the batches of single messages that are tried again.
// What is in memory is read without waiting; entries without records (our own updates stand in the same log) are passed over.

import type { Offset } from "../model/positions.ts";
import { readBatchHeader } from "../model/record-batch.ts";
import type { BatchRun, DeliveryPartition, RecordReader } from "./ports.ts";

/** Reads from memory that gave no records, one after the other; after so many, others' turn comes first. */
const EMPTY_READS_MAX = 64;

const NOTHING: BatchRun = { batches: [], appendTimesMs: [], hints: [] };

export class RecordFeed {
  readonly #partition: DeliveryPartition;
  #reader: RecordReader | undefined;

  constructor(partition: DeliveryPartition) {
    this.#partition = partition;
  }

  /**
   * From the batch that holds `from` on.
   * @returns a promise when it takes I/O
   * @throws BrokerError NOT_LEADER | LEADER_UNKNOWN | OFFSET_OUT_OF_RANGE | SHUTTING_DOWN | STORAGE_FAILED | LOG_CORRUPT
   */
  run(from: Offset, bytesMax: number): BatchRun | Promise<BatchRun> {
    if (from >= this.#partition.highWatermark) return NOTHING;
    const reader = this.#readerAt(from);
    for (let count = 0; count < EMPTY_READS_MAX; count += 1) {
      const run = reader.readTail(bytesMax);
      if (run === undefined) break;
      if (run.batches.length > 0 || this.#isAtEnd(reader)) return run;
    }
    return this.#read(reader, bytesMax);
  }

  /**
   * The batches that hold these messages, each once, about `bytesMax` but at least the first.
   * @param offsets ascending; those that retention dropped are left out
   * @throws BrokerError as run()
   */
  async offsets(offsets: readonly Offset[], bytesMax: number): Promise<BatchRun> {
    const batches: Buffer[] = [];
    const appendTimesMs: number[] = [];
    let end = 0;
    let bytes = 0;
    for (const offset of offsets) {
      const { highWatermark, logStartOffset } = this.#partition;
      if (offset < end || offset < logStartOffset || offset >= highWatermark) continue;
      if (bytes >= bytesMax) break;
      const run = await this.#read(this.#partition.reader(offset), 1);
      const [batch] = run.batches;
      if (batch === undefined) continue;
      batches.push(batch);
      appendTimesMs.push(run.appendTimesMs[0] ?? 0);
      bytes += batch.length;
      const header = readBatchHeader(batch);
      end = header === undefined ? end : header.baseOffset + header.recordCount;
    }
    // They were wanted before: hints would say nothing new.
    return { batches, appendTimesMs, hints: [] };
  }

  /** A read failed: nothing that was known of the position is trusted. */
  reset(): void {
    this.#reader = undefined;
  }

  #readerAt(from: Offset): RecordReader {
    const reader = this.#reader;
    if (reader?.offset === from) return reader;
    const fresh = this.#partition.reader(from);
    this.#reader = fresh;
    return fresh;
  }

  async #read(reader: RecordReader, bytesMax: number): Promise<BatchRun> {
    for (;;) {
      const run = await reader.read(bytesMax);
      if (run.batches.length > 0 || this.#isAtEnd(reader)) return run;
    }
  }

  #isAtEnd(reader: RecordReader): boolean {
    return reader.offset >= this.#partition.highWatermark;
  }
}
