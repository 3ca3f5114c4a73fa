// Regular upkeep of the partitions that this node leads: log start by retention, expiry of idle producers, flush mode.
// Every step is a replicated command; a replica never drops anything on its own (architecture §7.5). One timer per node.
import type { Cancel, Clock } from "../base/clock.ts";
import { TaskGroup } from "../base/task-group.ts";
import { isBrokerError } from "../model/errors.ts";
import type { Offset } from "../model/positions.ts";
import type { Partition } from "./partition.ts";
import { noPartitionMetrics, type PartitionMetrics } from "./partition-metrics.ts";
import { planLogStart } from "./retention-plan.ts";

export interface RetentionOptions {
  /** Between two rounds, ms. Default 10 000. */
  readonly intervalMs?: number;
  /** A producer without a batch for so long is forgotten, ms. Default 24 h. */
  readonly producerIdleMs?: number;
}

export interface RetentionDeps {
  readonly clock: Clock;
  readonly partitions: () => Iterable<Partition>;
  /** False while this node's wall clock is not to be trusted: then nothing is decided by time (architecture §7.13). */
  readonly isClockTrusted?: () => boolean;
  /**
   * Every subscription that wants the partition's messages has a cursor in it, as far as this node can know. Without it
   * nothing is dropped because it was settled: somebody may be about to come.
   */
  readonly isFullyAttached?: (partition: Partition) => boolean;
  readonly metrics?: PartitionMetrics;
}

const INTERVAL_MS = 10_000;
const PRODUCER_IDLE_MS = 24 * 3600 * 1000;
/** Producers named by one command; the rest follows in the next round. */
const EXPIRED_PER_COMMAND_MAX = 1000;

export class RetentionRunner {
  readonly #deps: RetentionDeps;
  readonly #metrics: PartitionMetrics;
  readonly #intervalMs: number;
  readonly #producerIdleMs: number;
  readonly #tasks: TaskGroup;
  /** Partitions whose round is not over; a slow one is not asked twice. */
  readonly #busy = new Set<Partition>();
  #timer: Cancel | undefined;
  #isClosed = false;

  constructor(deps: RetentionDeps, options: RetentionOptions = {}) {
    this.#deps = deps;
    this.#metrics = deps.metrics ?? noPartitionMetrics;
    this.#intervalMs = options.intervalMs ?? INTERVAL_MS;
    this.#producerIdleMs = options.producerIdleMs ?? PRODUCER_IDLE_MS;
    this.#tasks = new TaskGroup(() => this.#metrics.count("maintenance_failed"));
  }

  /** Starts the timer. Idempotent. */
  start(): void {
    if (this.#timer !== undefined || this.#isClosed) return;
    this.#timer = this.#deps.clock.schedule(this.#intervalMs, () => {
      this.#timer = undefined;
      this.runOnce();
      this.start();
    });
  }

  /** One round over all partitions led here. */
  runOnce(): void {
    for (const partition of this.#deps.partitions()) {
      if (!partition.isLeaderReady || this.#busy.has(partition)) continue;
      partition.alignFlush();
      this.#busy.add(partition);
      this.#tasks.spawn("maintain", async (signal) => {
        try {
          await this.#maintain(partition, signal);
        } catch (error) {
          // Refused or lost with leadership: whoever leads tries again in its next round.
          if (!isBrokerError(error)) throw error;
          this.#metrics.count("maintenance_failed");
        } finally {
          this.#busy.delete(partition);
        }
      });
    }
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#timer?.();
    this.#timer = undefined;
    await this.#tasks.close();
  }

  #ackedOffset(partition: Partition): Offset | undefined {
    const isAsked = partition.settings.retentionAcked;
    if (!isAsked || this.#deps.isFullyAttached?.(partition) !== true) return undefined;
    return partition.state.lowestCursor();
  }

  async #maintain(partition: Partition, signal: AbortSignal): Promise<void> {
    const { replica, settings, state } = partition;
    const nowMs = this.#deps.clock.wallMs();
    // With a wrong clock nothing is old (architecture §7.13); size needs no clock, and a full disk cannot wait.
    const isAgeKnown = this.#deps.isClockTrusted?.() !== false;
    const plan = planLogStart({
      segments: replica.segments(),
      retentionMs: isAgeKnown ? settings.retentionMs : -1,
      retentionBytes: settings.retentionBytes,
      ackedOffset: this.#ackedOffset(partition),
      nowMs,
      durableIndex: replica.watermarks.durableCommitIndex,
      logStartIndex: state.logStartIndex,
    });
    if (plan !== undefined) await partition.advanceLogStart(plan, signal);
    if (!partition.isLeaderReady || !isAgeKnown) return;
    const idleBeforeMs = nowMs - this.#producerIdleMs;
    const ids = state.producers.idleSince(idleBeforeMs, EXPIRED_PER_COMMAND_MAX);
    if (ids.length === 0) return;
    await partition.propose({ type: "ExpireProducers", ids, idleBeforeMs }, signal);
    this.#metrics.count("producers_expired", ids.length);
  }
}
