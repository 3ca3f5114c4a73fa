// What a run of mixed faults found out: one record per fault, one summary per act, and their sum.
import type { Verdict } from "../verdict.ts";

export interface FaultRecord {
  readonly kind: string;
  readonly brokers: 3 | 5;
  readonly nodes: readonly number[];
  /** What showed that it bit; undefined: nothing did. */
  readonly proof: string | undefined;
  /** Partitions that the first victim led, and how many of them lost their leader. */
  readonly led: number;
  readonly lost: number;
  /** From the fault to the first acknowledgement of a send begun after it, per partition that lost its leader, ms. */
  readonly failOverMs: readonly number[];
  /** From the end of the fault until every partition had acknowledged a send begun after it, ms. */
  readonly resumedMs: number;
  /** Sends begun and acknowledged while it lasted. */
  readonly acknowledged: number;
  readonly seconds: number;
}

export interface ActResult {
  readonly brokers: 3 | 5;
  readonly faults: readonly FaultRecord[];
  readonly verdict: Verdict | undefined;
  /** By readers that never stopped. */
  readonly liveReads: number;
  readonly replicasCompared: number;
  readonly worstStallMs: number;
}

export interface MixedResult {
  readonly transport: "namespaces" | "proxies";
  readonly acts: readonly ActResult[];
  readonly seconds: number;
}

/** A fault bit when it can be proved, and cost the leaders that it was made for. */
export function hasBitten({ proof }: FaultRecord): boolean {
  return proof !== undefined;
}
