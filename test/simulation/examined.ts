// How much the judge of histories looked at, by kind of anomaly, added up over topics and seeds. Used by judge.ts, totals.ts
// and shard.ts.
import { type AnomalyKind, CATALOGUE } from "../../src/testkit/index.ts";

export type Examined = Readonly<Partial<Record<AnomalyKind, number>>>;

export const ANOMALY_KINDS: readonly AnomalyKind[] = Object.keys(CATALOGUE).filter(isAnomalyKind);

export function addExamined(sum: Partial<Record<AnomalyKind, number>>, more: Examined): void {
  for (const kind of ANOMALY_KINDS) {
    const looked = more[kind];
    if (looked !== undefined) sum[kind] = (sum[kind] ?? 0) + looked;
  }
}

function isAnomalyKind(text: string): text is AnomalyKind {
  return text in CATALOGUE;
}
