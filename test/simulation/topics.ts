// The topics of a simulated cluster: one per flush class, and one whose old records go, so that logs are cut and replicas
// that were away for long need images.
import type { Flush } from "../../src/model/durability.ts";

export interface SimTopic {
  readonly name: string;
  readonly partitions: number;
  readonly flush: Flush;
  readonly isRolling: boolean;
  /** Values are at least so long. */
  readonly valueBytes: number;
  readonly settings: Readonly<Record<string, string>>;
}

export const LEDGER: SimTopic = {
  name: "ledger",
  partitions: 2,
  flush: "sync",
  isRolling: false,
  valueBytes: 0,
  settings: { flush: "sync" },
};

export const FEED: SimTopic = {
  name: "feed",
  partitions: 2,
  flush: "async",
  isRolling: false,
  valueBytes: 0,
  settings: { flush: "async" },
};

export const ROLLING: SimTopic = {
  name: "rolling",
  partitions: 1,
  flush: "sync",
  isRolling: true,
  valueBytes: 8000,
  settings: { flush: "sync", "segment.bytes": "65536", "retention.bytes": "65536" },
};

export const TOPICS: readonly SimTopic[] = [LEDGER, FEED, ROLLING];
