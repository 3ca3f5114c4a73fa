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

/**
 * First entry that a peer which is heard of has not confirmed. One that is being brought up from disk counts too: else the
 * tail would move on during each of its reads, and it would never be served from memory again while load lasts.
 */
function awaitedFrom<H>(state: RaftState<H>): number {
  const { leader, log } = state;
  let from = log.lastIndex + 1;
  if (leader === undefined) return from;
  for (const peer of leader.peers) {
    if (peer.state === "snapshot" || !isRecentlyActive(state, leader, peer)) continue;
    from = Math.min(from, peer.match + 1);
  }
  return from;
}
