// Judges a run: lets the checker of flotilla/testkit look at its history.
import {
  type Anomaly,
  type AnomalyKind,
  type CheckReport,
  checkHistory,
  type HistoryEvent,
} from "../../src/testkit/index.ts";
import type { Ledger } from "./ledger.ts";

/** What a run that sends and reads everything back must have looked at, or it proves nothing about it. */
export const MUST_EXAMINE: readonly AnomalyKind[] = [
  ...(["lost-acknowledged-write", "duplicate-in-log", "offset-divergence"] as const),
  ...(["receipt-mismatch", "phantom", "skipped-offset", "send-reorder"] as const),
  ...(["two-leaders", "stuck-partition"] as const),
];
/** And one that also compares replicas and reads the brokers' logs. */
export const MUST_COMPARE: readonly AnomalyKind[] = [
  ...MUST_EXAMINE,
  ...(["replica-divergence", "dirty-log"] as const),
];

/** A history with its final reads: one per partition, complete from the log start to the end. */
export interface Judgeable {
  readonly ledger: Ledger;
  /** Records of the final reads. */
  readonly readCount: number;
  events(): Iterable<HistoryEvent>;
}

export interface Verdict {
  readonly sent: number;
  readonly acknowledged: number;
  readonly failed: number;
  /** Among the failed: those whose outcome the client did not learn. */
  readonly unknown: number;
  readonly read: number;
  /** Acknowledged after a retry that the broker recognized. */
  readonly duplicateReceipts: number;
  /** Those that are described; `counts` has all. */
  readonly anomalies: readonly Anomaly[];
  readonly counts: CheckReport["counts"];
  /** Facts that each check looked at. */
  readonly examined: CheckReport["examined"];
}

export function judge(history: Judgeable): Verdict {
  const { anomalies, counts, examined } = checkHistory(history.events());
  const { acknowledged, duplicates, failed, sent, unknown } = history.ledger;
  const ends = { sent, acknowledged, failed, unknown, duplicateReceipts: duplicates };
  return { ...ends, read: history.readCount, anomalies, counts, examined };
}

/** "3 × phantom", one per kind. */
export function problemsOf({ counts }: Verdict): string[] {
  return Object.entries(counts).map(([kind, count]) => `${count} × ${kind}`);
}

/** Kinds that nothing was looked at for, in words. */
export function emptinessOf(
  { examined }: Pick<Verdict, "examined">,
  wanted: readonly AnomalyKind[],
): string[] {
  return wanted
    .filter((kind) => (examined[kind] ?? 0) === 0)
    .map((kind) => `nothing was looked at for ${kind}`);
}

export function anomalyCount({ counts }: Verdict): number {
  return Object.values(counts).reduce((sum, count) => sum + count, 0);
}

/** Of runs with histories of their own. */
export function sumOfVerdicts(verdicts: readonly Verdict[]): Verdict | undefined {
  const [first, ...rest] = verdicts;
  if (first === undefined) return undefined;
  return rest.reduce((sum, one) => {
    return {
      sent: sum.sent + one.sent,
      acknowledged: sum.acknowledged + one.acknowledged,
      failed: sum.failed + one.failed,
      unknown: sum.unknown + one.unknown,
      read: sum.read + one.read,
      duplicateReceipts: sum.duplicateReceipts + one.duplicateReceipts,
      anomalies: [...sum.anomalies, ...one.anomalies],
      counts: added(sum.counts, one.counts),
      examined: added(sum.examined, one.examined),
    };
  }, first);
}

function added(
  a: Readonly<Record<string, number>>,
  b: Readonly<Record<string, number>>,
): Record<string, number> {
  const sum: Record<string, number> = { ...a };
  for (const [kind, count] of Object.entries(b)) sum[kind] = (sum[kind] ?? 0) + count;
  return sum;
}
