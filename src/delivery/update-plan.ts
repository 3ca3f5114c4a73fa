// What a dispatcher wants to have replicated, and what of it is under way. Settlements wait here for the update that carries
// them, and are confirmed when it is applied. Pure.
import type { Offset } from "../model/positions.ts";
import type {
  DeadUpdate,
  FailedAttempt,
  FailUpdate,
  OffsetRange,
  ParkUpdate,
  ReleaseUpdate,
  SubscriptionUpdate,
} from "./delivery-commands.ts";
import type { ConsumerKey } from "./dispatch-types.ts";
import { isWithin } from "./offset-ranges.ts";
import { OffsetTable } from "./offset-table.ts";
import type { PresenceNote } from "./presence-table.ts";
import type { FailureFate } from "./retry-plan.ts";

/** Failures of one update; the rest follows with the next one. */
export const UPDATE_FAILURES_MAX = 500;
/** Filtered messages are settled with other things; alone after this time or number, whichever comes first. */
export const FILTERED_DELAY_MS = 1000;
export const FILTERED_MAX = 4096;

/** A settlement that is to be confirmed when `left` of its messages' failures are applied. */
export interface Receipt {
  readonly consumer: ConsumerKey;
  readonly number: number;
  left: number;
}

export interface PlannedFailure {
  readonly offset: Offset;
  readonly fate: FailureFate;
  readonly timeMs: number;
  /** undefined: it was counted before. */
  readonly attempt: FailedAttempt | undefined;
  /** Of "park". */
  readonly key: Buffer | undefined;
  readonly receipt: Receipt | undefined;
}

/** What one update carries, for when it is applied. */
export interface UnderWay {
  readonly acked: readonly OffsetRange[];
  readonly filtered: readonly OffsetRange[];
  readonly moved: readonly OffsetRange[];
  readonly failures: readonly PlannedFailure[];
  readonly releases: readonly ReleaseUpdate[];
  readonly receipts: Receipt[];
}

/** What an update is about. */
type Decided = Required<Pick<SubscriptionUpdate, "id" | "seeks">>;

export class UpdatePlan {
  readonly #acked = new OffsetTable();
  readonly #filtered = new OffsetTable();
  readonly #moved = new OffsetTable();
  #failures: PlannedFailure[] = [];
  #releases: ReleaseUpdate[] = [];
  #receipts: Receipt[] = [];
  #filteredSinceMs = 0;
  #underWay: UnderWay | undefined;
  #offsetsUnderWay = 0;

  get underWay(): UnderWay | undefined {
    return this.#underWay;
  }

  /** Settled and failed offsets that are not applied yet, filtered ones apart. */
  get offsets(): number {
    return this.#acked.size + this.#moved.size + this.#failures.length + this.#offsetsUnderWay;
  }

  /** Failures that are not applied yet. */
  get failing(): number {
    return this.#failures.length + (this.#underWay?.failures.length ?? 0);
  }

  ack(from: Offset, to: Offset): void {
    this.#acked.add(from, to);
  }

  /** Acknowledgements wait for the next update. */
  get hasAcks(): boolean {
    return this.#acked.size > 0;
  }

  /** Something is acknowledged and not applied yet. */
  get isAckingAny(): boolean {
    return this.hasAcks || (this.#underWay !== undefined && this.#underWay.acked.length > 0);
  }

  /** Acknowledged and not applied yet. */
  isAcking(offset: Offset): boolean {
    if (this.#acked.has(offset)) return true;
    return this.#underWay !== undefined && isWithin(this.#underWay.acked, offset);
  }

  filter(from: Offset, to: Offset, nowMs: number): void {
    if (this.#filtered.size === 0) this.#filteredSinceMs = nowMs;
    this.#filtered.add(from, to);
  }

  /** A dead letter arrived where it belongs. */
  move(offset: Offset): void {
    this.#moved.add(offset, offset + 1);
  }

  fail(failure: PlannedFailure): void {
    this.#failures.push(failure);
  }

  release(release: ReleaseUpdate): void {
    this.#releases.push(release);
  }

  /** Confirmed with the next update; with the one under way when that carries everything it names. */
  confirmLater(consumer: ConsumerKey, number: number, isUnderWay: boolean): void {
    const receipts = isUnderWay ? this.#underWay?.receipts : undefined;
    (receipts ?? this.#receipts).push({ consumer, number, left: 0 });
  }

  /** What was filtered out and is not under way; forgotten here. */
  takeFiltered(): OffsetRange[] {
    const ranges = this.#filtered.ranges();
    this.#filtered.clear();
    return ranges;
  }

  /** Forgets everything that is not under way, because the subscription went elsewhere. @returns what is to be confirmed */
  drop(): Receipt[] {
    const receipts = this.#receipts;
    for (const { receipt } of this.#failures) {
      if (receipt === undefined) continue;
      receipt.left -= 1;
      if (receipt.left === 0) receipts.push(receipt);
    }
    this.#acked.clear();
    this.#filtered.clear();
    this.#moved.clear();
    this.#failures = [];
    this.#releases = [];
    this.#receipts = [];
    return receipts;
  }

  /** @param note of consumers that came and left; undefined: nothing to note */
  take(
    state: Decided,
    nowMs: number,
    note: PresenceNote | undefined,
  ): SubscriptionUpdate | undefined {
    if (this.#underWay !== undefined) return undefined;
    if (note === undefined && this.#nextMs() > nowMs) return undefined;
    const failures = this.#failures.splice(0, UPDATE_FAILURES_MAX);
    const underWay: UnderWay = {
      acked: this.#acked.ranges(),
      filtered: this.#filtered.ranges(),
      moved: this.#moved.ranges(),
      failures,
      releases: this.#releases,
      receipts: this.#receipts,
    };
    this.#offsetsUnderWay = this.#acked.size + this.#moved.size + failures.length;
    this.#acked.clear();
    this.#filtered.clear();
    this.#moved.clear();
    this.#releases = [];
    this.#receipts = [];
    this.#underWay = underWay;
    return encodeUpdate(state, underWay, note);
  }

  /** What was under way is applied. */
  applied(): UnderWay | undefined {
    const underWay = this.#underWay;
    this.#underWay = undefined;
    this.#offsetsUnderWay = 0;
    return underWay;
  }

  /** When `take` would give something; Infinity: nothing waits, or only for what is under way. */
  dueMs(): number {
    return this.#underWay === undefined ? this.#nextMs() : Number.POSITIVE_INFINITY;
  }

  #nextMs(): number {
    const isUrgent =
      this.#acked.size + this.#moved.size + this.#failures.length > 0 ||
      this.#releases.length > 0 ||
      this.#filtered.size >= FILTERED_MAX;
    if (isUrgent) return 0;
    if (this.#filtered.size === 0) return Number.POSITIVE_INFINITY;
    return this.#filteredSinceMs + FILTERED_DELAY_MS;
  }
}

function encodeUpdate(
  { id, seeks }: Decided,
  underWay: UnderWay,
  note: PresenceNote | undefined,
): SubscriptionUpdate {
  const fail: FailUpdate[] = [];
  const dead: DeadUpdate[] = [];
  const park: ParkUpdate[] = [];
  for (const { offset, fate, attempt, key, timeMs } of underWay.failures) {
    if (fate.kind === "dead") {
      dead.push({ offset, attempt });
      continue;
    }
    const notBeforeMs = fate.kind === "retry" ? fate.notBeforeMs : timeMs;
    if (attempt !== undefined) fail.push({ offset, notBeforeMs, attempt });
    if (fate.kind === "park") park.push({ offset, key, scope: "key", sinceMs: timeMs });
    if (fate.kind === "stop") park.push({ offset, key, scope: "partition", sinceMs: timeMs });
  }
  const settle = [...underWay.acked, ...underWay.filtered, ...underWay.moved];
  return {
    id,
    ...(seeks > 0 && { seeks }),
    ...(settle.length > 0 && { settle }),
    ...(underWay.releases.length > 0 && { release: underWay.releases }),
    ...(fail.length > 0 && { fail }),
    ...(dead.length > 0 && { dead }),
    ...(park.length > 0 && { park }),
    ...note,
  };
}
