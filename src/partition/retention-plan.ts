// Where a partition's log may start, by age, size and what everybody has settled. Pure. The unit is the sealed segment: nothing smaller is ever
// dropped, and the active segment never. The retention runner proposes the result as AdvanceLogStart.
import type { SegmentInfo } from "../log/ports.ts";
import type { LogIndex, Offset } from "../model/positions.ts";

export interface RetentionInput {
  /** Oldest first. */
  readonly segments: readonly SegmentInfo[];
  /** Age at which a segment's newest entry may go, ms; −1: never. */
  readonly retentionMs: number;
  /** What shall be kept at least of a log that is larger, bytes; −1: everything. */
  readonly retentionBytes: number;
  /** Everything below was settled by everybody who may want it, and may go whatever its age; undefined: not known. */
  readonly ackedOffset?: Offset | undefined;
  /** Wall clock, ms since 1970. */
  readonly nowMs: number;
  /** Entries after this may still be taken back or are not on a majority's disks: they stay. Inclusive. */
  readonly durableIndex: LogIndex;
  readonly logStartIndex: LogIndex;
}

export interface LogStartPlan {
  readonly index: LogIndex;
  readonly offset: Offset;
  /** Some of it goes only because it was settled. */
  readonly acked: boolean;
}

/** @returns the new log start, or undefined when it need not move */
export function planLogStart(input: RetentionInput): LogStartPlan | undefined {
  const { segments, retentionMs, retentionBytes, nowMs, durableIndex, logStartIndex } = input;
  const ackedOffset = input.ackedOffset ?? -1;
  let keptBytes = 0;
  for (const segment of segments) {
    if (segment.lastIndex >= logStartIndex) keptBytes += segment.bytes;
  }
  let plan: LogStartPlan | undefined;
  for (const segment of segments) {
    if (segment.lastIndex < logStartIndex) continue;
    if (!segment.sealed || segment.lastIndex > durableIndex) break;
    const isOld = retentionMs >= 0 && segment.newestAppendTimeMs <= nowMs - retentionMs;
    const isSurplus = retentionBytes >= 0 && keptBytes - segment.bytes >= retentionBytes;
    const isAcked = segment.endOffset <= ackedOffset;
    if (!isOld && !isSurplus && !isAcked) break;
    keptBytes -= segment.bytes;
    const acked = plan?.acked === true || !(isOld || isSurplus);
    plan = { index: segment.lastIndex + 1, offset: segment.endOffset, acked };
  }
  return plan;
}
