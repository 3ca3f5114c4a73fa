// What a whole run never did or never looked at: a kind of fault that never bit, a path that was never taken, a check that had
// nothing to look at. A run of many seeds fails by it, because what it then shows is less than it seems. Used by run.ts and
// evidence.ts.
import type { AnomalyKind } from "../../src/testkit/index.ts";
import { FAULT_KINDS } from "./faults/kinds.ts";
import type { Counted } from "./simulate.ts";
import type { Totals } from "./totals.ts";

/** Fewer seeds need not draw everything. */
export const EVERYTHING_SEEDS_MIN = 300;

/** What must have happened, somewhere. */
const MUST_HAPPEN: readonly Counted[] = [
  ...(["elections", "truncations", "boots", "imagesSaved", "imagesInstalled", "rebuilds"] as const),
  ...([
    "acks",
    "reads",
    "verdicts",
    "metadataCompared",
    "damagedLeaders",
    "changesCompared",
    "divergences",
  ] as const),
  ...(["settlements", "redeliveries", "deadLetters", "provenConsumingSeeds"] as const),
];

/** What the judge must have looked at; the others need load, wall time or processes that only other tests have. */
const MUST_EXAMINE: readonly AnomalyKind[] = [
  ...(["lost-acknowledged-write", "unseen-tail", "duplicate-in-log", "offset-divergence"] as const),
  ...(["receipt-mismatch", "aborted-read", "non-monotonic-read", "skipped-offset"] as const),
  ...(["disordered-response", "send-reorder", "stale-read", "two-leaders", "phantom"] as const),
  ...(["truncated-after-recovery", "metadata-split", "wrong-outcome", "stuck-partition"] as const),
  ...(["redelivered-after-ack", "delivered-twice-at-once", "order-broken"] as const),
  ...(["cursor-regress", "forgotten-ack", "lost-dead-letter", "doubled-dead-letter"] as const),
  ...([
    "unwanted-delivery",
    "lost-message",
    "stale-settlement-accepted",
    "wrong-attempts",
  ] as const),
  ...(["wrong-death", "delivered-while-paused", "wrong-delivery", "stuck-consumer"] as const),
];

/** Names of what is missing. What some shard does not tell, because its simulator was older, is not taken for nothing. */
export function emptinessOf({ counts, examined, faults, untold }: Totals): string[] {
  const idle = FAULT_KINDS.filter((kind) => faults[kind].bit === 0);
  const missed = MUST_HAPPEN.filter((name) => counts[name] === 0);
  const unseen = MUST_EXAMINE.filter((kind) => (examined[kind] ?? 0) === 0);
  const isTold = (name: string): boolean => !untold.has(name);
  return [
    ...idle.filter(isTold).map((kind) => `the fault "${kind}" never bit`),
    ...missed.filter(isTold).map((name) => `there were no ${name}`),
    ...unseen.filter(isTold).map((kind) => `nothing was looked at for ${kind}`),
  ];
}
