// Judges a run: lets the checker of flotilla/testkit look at its history.
import {
  type Anomaly,
  type CheckReport,
  checkHistory,
  type HistoryEvent,
} from "../../src/testkit/index.ts";
import type { Ledger } from "./ledger.ts";

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
}

export function judge(history: Judgeable): Verdict {
  const { anomalies, counts } = checkHistory(history.events());
  const { acknowledged, duplicates, failed, sent, unknown } = history.ledger;
  const ends = { sent, acknowledged, failed, unknown, duplicateReceipts: duplicates };
  return { ...ends, read: history.readCount, anomalies, counts };
}

/** "3 × phantom", one per kind. */
export function problemsOf({ counts }: Verdict): string[] {
  return Object.entries(counts).map(([kind, count]) => `${count} × ${kind}`);
}

export function anomalyCount({ counts }: Verdict): number {
  return Object.values(counts).reduce((sum, count) => sum + count, 0);
}

/** Of runs with histories of their own. */
export function sumOfVerdicts(verdicts: readonly Verdict[]): Verdict | undefined {
  const [first, ...rest] = verdicts;
  if (first === undefined) return undefined;
  return rest.reduce((sum, one) => {
    const counts: Record<string, number> = { ...sum.counts };
    for (const [kind, count] of Object.entries(one.counts)) {
      counts[kind] = (counts[kind] ?? 0) + count;
    }
    return {
      sent: sum.sent + one.sent,
      acknowledged: sum.acknowledged + one.acknowledged,
      failed: sum.failed + one.failed,
      unknown: sum.unknown + one.unknown,
      read: sum.read + one.read,
      duplicateReceipts: sum.duplicateReceipts + one.duplicateReceipts,
      anomalies: [...sum.anomalies, ...one.anomalies],
      counts,
    };
  }, first);
}
