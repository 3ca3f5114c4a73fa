// Takes the dead messages of one subscription and partition to their topic, a few at a time, and lets the dispatcher settle
// what arrived. A message that was moved and not settled before a leader died is moved again: the topic knows its id.
import type { Cancel, Clock } from "../base/clock.ts";
import { isBrokerError } from "../model/errors.ts";
import type { Offset } from "../model/positions.ts";
import { readBatchHeader } from "../model/record-batch.ts";
import { type DecodedRecord, decodeBatch } from "../model/record-batch-decoder.ts";
import { deadLetterOf } from "./dead-letter.ts";
import type { DeliveryMetrics } from "./delivery-metrics.ts";
import type { DeliveryRunner } from "./delivery-runner.ts";
import type { Failure } from "./failure-table.ts";
import type { DeadLetterSink } from "./ports.ts";
import { RecordFeed } from "./record-feed.ts";

const MOVES_MAX = 4;
const RETRY_MIN_MS = 200;
const RETRY_MAX_MS = 30_000;

export interface MoverDeps {
  readonly clock: Clock;
  readonly sink: DeadLetterSink;
  readonly metrics: DeliveryMetrics;
  readonly onFailure: (error: unknown) => void;
}

export class DeadLetterMover {
  readonly #runner: DeliveryRunner;
  readonly #deps: MoverDeps;
  /** On their way, or there and not settled yet. */
  readonly #known = new Set<Offset>();
  #underWay = 0;
  #failures = 0;
  #retry: Cancel | undefined;
  #isClosed = false;

  constructor(runner: DeliveryRunner, deps: MoverDeps) {
    this.#runner = runner;
    this.#deps = deps;
  }

  /** Something was applied: perhaps messages died, or those that were moved are settled. */
  look(): void {
    const { failures } = this.#runner.state;
    if (this.#isClosed || this.#retry !== undefined) return;
    if (failures.deadCount === 0 && this.#known.size === 0) return;
    for (const offset of this.#known) {
      if (failures.get(offset)?.isDead !== true) this.#known.delete(offset);
    }
    if (this.#underWay >= MOVES_MAX || failures.deadCount <= this.#known.size) return;
    for (const failure of failures.dead()) {
      if (this.#underWay >= MOVES_MAX) return;
      if (!this.#known.has(failure.offset)) this.#start(failure);
    }
  }

  close(): void {
    this.#isClosed = true;
    this.#retry?.();
  }

  #start(failure: Failure): void {
    const { offset } = failure;
    this.#known.add(offset);
    this.#underWay += 1;
    this.#move(failure).then(
      () => {
        this.#underWay -= 1;
        if (this.#isClosed) return;
        this.#failures = 0;
        this.#deps.metrics.deadLetter("moved");
        this.#runner.deadMoved(offset);
        this.look();
      },
      (error: unknown) => {
        this.#underWay -= 1;
        this.#known.delete(offset);
        if (!this.#isClosed) this.#failed(error);
      },
    );
  }

  async #move(failure: Failure): Promise<void> {
    const { partition, row } = this.#runner;
    // Whoever took the dead letter topic away does not want them.
    if (row.definition.deadLetterTopic === undefined) return;
    const feed = new RecordFeed(partition);
    const { batches } = await feed.offsets([failure.offset], 1);
    const [batch] = batches;
    // Dropped by retention meanwhile: nothing is left to be moved.
    if (batch === undefined || this.#isClosed) return;
    const letter = deadLetterOf(row, partition, recordAt(batch, failure.offset), failure);
    if (letter !== undefined) await this.#deps.sink.publish(letter);
  }

  #failed(error: unknown): void {
    this.#deps.metrics.deadLetter("failed");
    this.#deps.onFailure(error);
    if (this.#retry !== undefined) return;
    const delayMs = Math.min(RETRY_MIN_MS * 2 ** this.#failures, RETRY_MAX_MS);
    this.#failures += 1;
    this.#retry = this.#deps.clock.schedule(delayMs, () => {
      this.#retry = undefined;
      this.look();
    });
  }
}

/** What can not be decoded goes as it is stored: the whole batch is the value. */
function recordAt(batch: Buffer, offset: Offset): DecodedRecord {
  try {
    const record = decodeBatch(batch).find((one) => one.offset === offset);
    if (record !== undefined) return record;
  } catch (error) {
    if (!isBrokerError(error)) throw error;
  }
  const timestampMs = Math.max(0, readBatchHeader(batch)?.baseTimestampMs ?? 0);
  return { offset, timestampMs, key: undefined, value: batch, headers: [] };
}
