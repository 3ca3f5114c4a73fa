// Whose wall clock is believed (architecture §7.13). A clock that differs too much from the median of those that are heard
// of leads nothing and decides nothing by age. Pure; leader-balancer.ts and retention ask. Nobody's clock decides who
// leads or what is committed: this only keeps wrong times out of messages and out of retention.
import type { NodeId } from "../model/ids.ts";

/** A larger difference from the median is not believed, ms (inclusive). */
export const CLOCK_ERROR_MS_MAX = 10_000;

/** A node whose clock differs by more than this gets no leaderships; less than above, so that none is handed to and fro. */
export const CLOCK_ERROR_MS_FIT = 5000;

/**
 * How far each node's wall clock is from the median of all, ms; positive: ahead.
 * @param offsetsMs each node's clock minus one and the same reference clock, e.g. the own one (whose offset is 0)
 */
export function clockErrors(offsetsMs: ReadonlyMap<NodeId, number>): ReadonlyMap<NodeId, number> {
  const sorted = [...offsetsMs.values()].sort((left, right) => left - right);
  const upper = sorted[Math.floor(sorted.length / 2)] ?? 0;
  const lower = sorted[Math.floor((sorted.length - 1) / 2)] ?? 0;
  const median = (lower + upper) / 2;
  return new Map([...offsetsMs].map(([nodeId, offset]) => [nodeId, offset - median]));
}
