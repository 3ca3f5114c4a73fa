// Takes the dead messages of one subscription and partition to their topic, a few at a time, and lets the dispatcher settle
// what arrived. A message that was moved and not settled before a leader died is moved again: the topic knows its id.
import type { Cancel, Clock } from "../base/clock.ts";
import { BrokerError, isBrokerError } from "../model/errors.ts";
import type { Offset } from "../model/positions.ts";
import { readBatchHeader } from "../model/record-batch.ts";
import { decodeBatch } from "../model/record-batch-decoder.ts";
import { type DeadCause, type DeadRecord, deadLetterOf } from "./dead-letter.ts";
import type { DeliveryMetrics } from "./delivery-metrics.ts";
import type { DeliveryRunner } from "./delivery-runner.ts";
import type { Failure } from "./failure-table.ts";
import type { DeadLetterSink } from "./ports.ts";
import { RecordFeed } from "./record-feed.ts";

const MOVES_MAX = 4;
/** Messages whose move failed and waits; beyond, the others wait, too. Those that can not be moved must not hold them up. */
const WAITING_MAX = 64;
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
  /** On their way, or there and not settled yet; since the last seek. */
  readonly #known = new Set<Offset>();
  #seeks: number;
  /** Whose move failed and is not to be tried yet. */
  readonly #waiting = new Map<Offset, Cancel>();
  /** Goes round, so that those that fail come last. */
  #turn: Iterator<Offset, undefined> | undefined;
  #underWay = 0;
  /** Grows once per delay, however many fail meanwhile; until a move succeeds. */
  #delayMs = 0;
  #delayGrowsMs = 0;
  #isClosed = false;

  constructor(runner: DeliveryRunner, deps: MoverDeps) {
    this.#runner = runner;
    this.#deps = deps;
    this.#seeks = runner.state.seeks;
  }

  /**
   * Something was applied: perhaps messages died, or those that were moved are settled. Or the definition is another one:
   * without a topic they stay where they are, until there is one.
   */
  look(): void {
    const { failures } = this.#runner.state;
    if (this.#isClosed || (failures.deadCount === 0 && this.#known.size === 0)) return;
    this.#followSeek();
    for (const offset of this.#known) {
      if (failures.get(offset)?.isDead !== true) this.#known.delete(offset);
    }
    if (this.#runner.row.definition.deadLetterTopic === undefined) return;
    while (this.#underWay < MOVES_MAX && this.#waiting.size < WAITING_MAX) {
      const failure = this.#next();
      if (failure === undefined) return;
      this.#start(failure);
    }
  }

  close(): void {
    this.#isClosed = true;
    for (const cancel of this.#waiting.values()) cancel();
    this.#waiting.clear();
  }

  /** What is dead since then died anew: its former letter, there or on its way, is none of this death. */
  #followSeek(): void {
    const { seeks } = this.#runner.state;
    if (seeks === this.#seeks) return;
    this.#seeks = seeks;
    this.#known.clear();
  }

  /** The next dead message that nothing is done about; at most once round. */
  #next(): Failure | undefined {
    const { failures } = this.#runner.state;
    let ends = 0;
    if (failures.deadCount <= this.#known.size) return undefined;
    while (ends < 2) {
      this.#turn ??= failures.deadOffsets();
      const offset = this.#turn.next().value;
      if (offset === undefined) {
        this.#turn = undefined;
        ends += 1;
        continue;
      }
      if (this.#known.has(offset) || this.#waiting.has(offset)) continue;
      const failure = failures.get(offset);
      if (failure?.isDead === true) return failure;
    }
    return undefined;
  }

  #start(failure: Failure): void {
    const { offset } = failure;
    const { seeks } = this.#runner.state;
    const isCurrent = (): boolean => this.#runner.state.seeks === seeks;
    this.#known.add(offset);
    this.#underWay += 1;
    this.#move({ ...failure, seeks }).then(
      () => {
        this.#underWay -= 1;
        if (this.#isClosed) return;
        this.#delayMs = 0;
        this.#delayGrowsMs = 0;
        this.#deps.metrics.deadLetter(this.#runner.row.definition.name, "moved");
        if (isCurrent()) this.#runner.deadMoved(offset);
        this.look();
      },
      (error: unknown) => {
        this.#underWay -= 1;
        if (isCurrent()) this.#known.delete(offset);
        if (!this.#isClosed) this.#failed(offset, error);
      },
    );
  }

  async #move(failure: Failure & DeadCause): Promise<void> {
    const { partition, row } = this.#runner;
    const feed = new RecordFeed(partition);
    const { batches } = await feed.offsets([failure.offset], 1);
    const [batch] = batches;
    // Dropped by retention meanwhile: nothing is left to be moved.
    if (batch === undefined || this.#isClosed) return;
    const letter = deadLetterOf(row, partition, recordAt(batch, failure.offset), failure);
    if (letter === undefined) throw noTopic();
    await this.#deps.sink.publish(letter);
  }

  #failed(offset: Offset, error: unknown): void {
    this.#deps.metrics.deadLetter(this.#runner.row.definition.name, "failed");
    this.#deps.onFailure(error);
    const nowMs = this.#deps.clock.monotonicMs();
    if (nowMs >= this.#delayGrowsMs) {
      this.#delayMs = Math.min(Math.max(2 * this.#delayMs, RETRY_MIN_MS), RETRY_MAX_MS);
      this.#delayGrowsMs = nowMs + this.#delayMs;
    }
    const cancel = this.#deps.clock.schedule(this.#delayMs, () => {
      this.#waiting.delete(offset);
      this.look();
    });
    this.#waiting.set(offset, cancel);
    this.look();
  }
}

/** The definition changed while the message was read. */
function noTopic(): BrokerError {
  return new BrokerError("UNKNOWN_TOPIC_OR_PARTITION", "the subscription has no dead letter topic");
}

/** Of a batch that can not be decoded the first message's letter has all bytes: each would multiply them. */
function recordAt(batch: Buffer, offset: Offset): DeadRecord {
  try {
    const record = decodeBatch(batch).find((one) => one.offset === offset);
    if (record !== undefined) return { ...record, timestampMs: Math.max(0, record.timestampMs) };
  } catch (error) {
    if (!isBrokerError(error)) throw error;
  }
  const header = readBatchHeader(batch);
  const timestampMs = Math.max(0, header?.baseTimestampMs ?? 0);
  const value = offset === header?.baseOffset ? batch : undefined;
  return { offset, timestampMs, key: undefined, value, headers: [], isUndecoded: true };
}
