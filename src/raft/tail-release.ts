// Which of the newest entries may leave memory. What is kept outlives several scavenges of the host's heap, and memory
// that dies old is only freed by a full collection: holding 16 MiB per group cost a broker a third of its processor time
// (docs/adr/0009). So entries stay for the peers that are about to get them, and a little for readers that keep up.
import { isRecentlyActive } from "./leadership.ts";
import type { RaftState } from "./state.ts";

/** To be called after the written, applied or matched index moved. */
export function releaseTail<H>(state: RaftState<H>): void {
  const { log, options, appliedIndex } = state;
  log.release(Math.min(appliedIndex, awaitedFrom(state) - 1), options.tailBytesKept);
  log.release(appliedIndex, options.tailBytesMax);
}

/** First entry that a peer which is served from memory has not confirmed. Others read from disk anyway. */
function awaitedFrom<H>(state: RaftState<H>): number {
  const { leader, log } = state;
  let from = log.lastIndex + 1;
  if (leader === undefined) return from;
  for (const peer of leader.peers) {
    if (peer.state !== "replicate" || peer.next < log.tail.first) continue;
    if (isRecentlyActive(state, leader, peer)) from = Math.min(from, peer.match + 1);
  }
  return from;
}
