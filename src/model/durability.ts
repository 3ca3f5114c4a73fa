// What a send waits for, and what its acknowledgement promises (docs/GUARANTEES.md).

/** What a send waits for: a majority, the leader alone, or nothing. */
export type Acks = "all" | "leader" | "none";
/** Whether the wait includes the disk. A topic's flush is a floor: a send may ask for `sync` on an `async` topic. */
export type Flush = "sync" | "async";

/** Rank of an acks class; a topic's `minAcks` refuses sends with a lower rank. */
export function acksRank(acks: Acks): number {
  return acks === "all" ? 2 : acks === "leader" ? 1 : 0;
}

/** The stronger of a topic's floor and a send's wish. */
export function effectiveFlush(topic: Flush, send: Flush | undefined): Flush {
  return topic === "sync" || send === "sync" ? "sync" : "async";
}

/** The four positions that an acknowledgement can wait for, per raft group. */
export type AckLevel = "leader-written" | "leader-flushed" | "committed" | "durably-committed";

/** The position that must reach an entry before a send of this class is acknowledged. */
export function ackLevel(acks: "all" | "leader", flush: Flush): AckLevel {
  if (acks === "all") return flush === "sync" ? "durably-committed" : "committed";
  return flush === "sync" ? "leader-flushed" : "leader-written";
}
