// One redrive: partition after partition, some letters per call, at a rate, up to what was there when it began. Part of
// DeadLetterAdmin.
import { type Clock, sleep } from "../base/clock.ts";
import type {
  ListDeadLettersResponse,
  RedriveDeadLettersResponse,
  RedrivenMessage,
} from "../rpc/generated/flotilla-v1.ts";

/** Questions about the dead letters of one subscription. */
export interface RedriveCalls {
  readonly topic: string;
  readonly partitions: readonly number[];
  list(
    partition: number,
    wish: {
      readonly fromOffset: number;
      readonly limit: number;
      readonly openOnly: boolean;
      readonly withValues: boolean;
    },
  ): Promise<ListDeadLettersResponse>;
  redrive(
    partition: number,
    wish: {
      readonly fromOffset: number;
      readonly toOffset: number;
      readonly limit: number;
      readonly dryRun: boolean;
    },
  ): Promise<RedriveDeadLettersResponse>;
  /** Of a redriven message, as explain() names it. */
  fateOf(partition: number, offset: number): Promise<string>;
}

/** What became of the first messages. */
export interface CanaryVerdict {
  readonly sent: number;
  readonly settled: number;
  /** Died again. */
  readonly died: number;
  /** Hold up their key or partition, because they failed for good. */
  readonly parked: number;
  /** Neither settled nor dead when the time was over. */
  readonly waiting: number;
}

export interface RedriveReport {
  /**
   * canary-died: one of the first died again or parked its key; canary-waiting: not all of them were settled in time. The rest
   * was left alone.
   */
  readonly outcome: "running" | "done" | "dry-run" | "canary-died" | "canary-waiting";
  /** Open letters that were looked at. */
  readonly lookedAt: number;
  /** Wanted by the filter. */
  readonly matching: number;
  readonly redriven: number;
  /** Of the redriven ones: sent before, by a redrive that was interrupted. */
  readonly duplicates: number;
  /** Left to consumers of "dlq/…" that work on them. */
  readonly held: number;
  readonly canary?: CanaryVerdict;
}

export interface RedrivePacing {
  readonly ratePerSecond?: number | undefined;
  readonly dryRun?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((report: RedriveReport) => void) | undefined;
}

/** Letters per call, also of a slow redrive: what is sent is sent within a moment. */
const CALL_LIMIT = 100;
/** A call sends what the rate allows in this time. */
const STEP_MS = 250;
/** Behind every offset. */
const NOWHERE = Number.MAX_SAFE_INTEGER;

export class DeadLetterRedrive {
  readonly #calls: RedriveCalls;
  readonly #clock: Clock;
  readonly #pacing: RedrivePacing;
  /** By partition: where to go on, and where this redrive ends. What dies again stands behind it. */
  readonly #places = new Map<number, { next: number; readonly end: number }>();
  readonly #counts = { lookedAt: 0, matching: 0, redriven: 0, duplicates: 0, held: 0 };
  #dueMs = 0;

  constructor(calls: RedriveCalls, clock: Clock, pacing: RedrivePacing) {
    this.#calls = calls;
    this.#clock = clock;
    this.#pacing = pacing;
  }

  /** By partition: end of what this redrive looks at. */
  get ends(): ReadonlyMap<number, number> {
    return new Map([...this.#places].map(([partition, { end }]) => [partition, end]));
  }

  async begin(): Promise<void> {
    const wish = { fromOffset: NOWHERE, limit: 1, openOnly: true, withValues: false };
    for (const partition of this.#calls.partitions) {
      const { highWatermark } = await this.#calls.list(partition, wish);
      this.#places.set(partition, { next: 0, end: highWatermark });
    }
    this.#dueMs = this.#clock.monotonicMs();
  }

  /** Goes on until so many more are sent (or would be), or nothing is left. @returns those that were sent */
  async take(countMax: number): Promise<readonly RedrivenMessage[]> {
    const { dryRun = false } = this.#pacing;
    const sent: RedrivenMessage[] = [];
    for (const [partition, place] of this.#places) {
      while (place.next < place.end && sent.length < countMax) {
        await this.#pause();
        const limit = Math.min(this.#callLimit(), countMax - sent.length);
        const { end: toOffset, next: fromOffset } = place;
        const wish = { fromOffset, toOffset, limit, dryRun };
        const answer = await this.#calls.redrive(partition, wish);
        place.next = answer.nextOffset;
        if (!dryRun) sent.push(...answer.messages);
        this.#count(answer);
      }
    }
    return sent;
  }

  report(outcome: RedriveReport["outcome"], canary?: CanaryVerdict): RedriveReport {
    return { outcome, ...this.#counts, ...(canary !== undefined && { canary }) };
  }

  #count(answer: RedriveDeadLettersResponse): void {
    const { duplicates, held, lookedAt, matching, redriven } = answer;
    const counts = this.#counts;
    counts.lookedAt += lookedAt;
    counts.matching += matching;
    counts.redriven += redriven;
    counts.duplicates += duplicates;
    counts.held += held;
    const { onProgress, ratePerSecond } = this.#pacing;
    if (ratePerSecond !== undefined) {
      // What was not used of the past is not made up for.
      const nowMs = this.#clock.monotonicMs();
      this.#dueMs = Math.max(this.#dueMs, nowMs - STEP_MS) + (redriven * 1000) / ratePerSecond;
    }
    onProgress?.(this.report("running"));
  }

  #callLimit(): number {
    const { dryRun = false, ratePerSecond } = this.#pacing;
    if (ratePerSecond === undefined || dryRun) return CALL_LIMIT;
    return Math.max(1, Math.min(CALL_LIMIT, Math.floor((ratePerSecond * STEP_MS) / 1000)));
  }

  async #pause(): Promise<void> {
    const { ratePerSecond, signal } = this.#pacing;
    const earlyMs = this.#dueMs - this.#clock.monotonicMs();
    if (ratePerSecond !== undefined && earlyMs >= 1) await sleep(this.#clock, earlyMs, signal);
  }
}
