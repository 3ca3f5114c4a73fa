// The leader's sending side (paper §5.3): what goes to whom now. Called when output is collected, so that everything
// proposed or answered within one turn of the host shares requests. Answers are handled in responses.ts.
import { assert, defined } from "../base/assert.ts";
import type { LeaderState } from "./leader-state.ts";
import { isRecentlyActive } from "./leadership.ts";
import type { Entry } from "./messages.ts";
import type { Progress } from "./progress.ts";
import { fenceOf } from "./recovering.ts";
import { roundOfHeartbeats } from "./retirement.ts";
import type { RaftState } from "./state.ts";

/** Sends every follower what it may get. */
export function replicate<H>(state: RaftState<H>): void {
  const { leader } = state;
  if (leader === undefined) return;
  leader.isSendDue = false;
  for (const peer of leader.peers) sendTo(state, leader, peer);
  if (leader.isNewsDue) leader.toldCommit = state.commitIndex;
  leader.isNewsDue = false;
}

function sendTo<H>(state: RaftState<H>, leader: LeaderState, peer: Progress): void {
  if (peer.state === "snapshot" || peer.isPaused) return;
  if (peer.next < state.log.firstIndex) askForSnapshot(state, leader, peer);
  else if (peer.state === "probe") sendProbe(state, leader, peer);
  else pipeline(state, leader, peer);
}

/** One request, then silence until it is answered or a heartbeat is. */
function sendProbe<H>(state: RaftState<H>, leader: LeaderState, peer: Progress): void {
  const { log, options } = state;
  const canCarry = !peer.probeEmpty && peer.next <= log.lastIndex && peer.next >= log.tail.first;
  const bytesMax = Math.min(options.appendBytesMax, options.appendInflightBytesMax);
  const { entries, bytes } = canCarry
    ? log.tail.take(peer.next, bytesMax)
    : { entries: [], bytes: 0 };
  sendAppend(state, leader, peer, entries);
  peer.probeLast = entries.length === 0 ? 0 : peer.next + entries.length - 1;
  peer.probeBytes = bytes;
  peer.movedAtTick = leader.ticks;
  peer.pause(leader.ticks);
}

/** Fills the window; then, if nothing carried it, tells the commit index. */
function pipeline<H>(state: RaftState<H>, leader: LeaderState, peer: Progress): void {
  const { log, options } = state;
  while (peer.next <= log.lastIndex) {
    if (peer.next < log.tail.first) {
      // Requests from memory and from disk must not overtake each other: first everything is answered.
      if (peer.match === peer.next - 1) askForCatchUp(state, leader, peer);
      break;
    }
    const bytesMax = Math.min(options.appendBytesMax, peer.inflights.room);
    const { entries, bytes } = log.tail.take(peer.next, bytesMax);
    if (!peer.inflights.admits(bytes)) break;
    if (peer.match === peer.next - 1) peer.movedAtTick = leader.ticks;
    const last = peer.next + entries.length - 1;
    sendAppend(state, leader, peer, entries);
    peer.inflights.add(last, bytes);
    peer.next = last + 1;
  }
  if (peer.isPaused) return;
  const isNewsDue = leader.isNewsDue || options.commitNews === "at-once";
  const hasNews = isNewsDue && Math.min(state.commitIndex, peer.next - 1) > peer.sentCommit;
  const wantsFlush = leader.flushIndex > peer.flushAskedTo && leader.flushIndex < peer.next;
  if (hasNews || wantsFlush) sendAppend(state, leader, peer, []);
}

function sendAppend<H>(
  state: RaftState<H>,
  leader: LeaderState,
  peer: Progress,
  entries: readonly Entry<H>[],
): void {
  const prevIndex = peer.next - 1;
  const last = prevIndex + entries.length;
  const flush = leader.flushIndex > peer.flushAskedTo && leader.flushIndex <= last;
  if (flush) peer.flushAskedTo = leader.flushIndex;
  peer.sentCommit = Math.max(peer.sentCommit, Math.min(state.commitIndex, last));
  state.out.messages.push({
    kind: "append-request",
    from: state.id,
    to: peer.replicaId,
    term: state.term,
    prevIndex,
    prevTerm: defined(state.log.termAt(prevIndex), "term before a request"),
    entries,
    commitIndex: state.commitIndex,
    durableCommitIndex: state.durableCommitIndex,
    flush,
  });
}

/** The entries left memory: the host reads them. One at a time, so that nothing overtakes. */
function askForCatchUp<H>(state: RaftState<H>, leader: LeaderState, peer: Progress): void {
  const { log } = state;
  const prevIndex = peer.next - 1;
  state.out.catchUps.push({
    to: peer.replicaId,
    term: state.term,
    prevIndex,
    prevTerm: defined(log.termAt(prevIndex), "term before a catch-up"),
    // What is in memory too: the sooner it has caught up, the sooner memory will do.
    lastIndex: Math.max(log.tail.first - 1, log.storage.writtenIndex),
    commitIndex: state.commitIndex,
    durableCommitIndex: state.durableCommitIndex,
  });
  peer.pause(leader.ticks);
}

function askForSnapshot<H>(state: RaftState<H>, leader: LeaderState, peer: Progress): void {
  // An image is dear: not for somebody who may be down. Its next answer brings us back here.
  if (!isRecentlyActive(state, leader, peer)) return;
  assert(state.appliedIndex >= state.log.firstIndex - 1, "an image covers what left the log");
  peer.becomeSnapshot();
  state.out.snapshotsNeeded.push(peer.replicaId);
}

/** Heartbeats to all. Never more commit than the follower is known to hold. */
export function sendHeartbeats<H>(state: RaftState<H>): void {
  const { leader } = state;
  if (leader === undefined) return;
  leader.isHeartbeatDue = false;
  leader.heartbeatElapsed = 0;
  const readRound = roundOfHeartbeats(state);
  for (const peer of leader.peers) {
    state.out.messages.push({
      kind: "heartbeat",
      from: state.id,
      to: peer.replicaId,
      term: state.term,
      commitIndex: Math.min(peer.match, state.commitIndex),
      durableCommitIndex: Math.min(peer.match, state.durableCommitIndex),
      readRound,
      ...fenceOf(leader, peer),
    });
  }
}

/** A sync send in an async group: everybody flushes what was appended so far. */
export function requestFlush<H>(state: RaftState<H>): void {
  const { leader } = state;
  if (leader === undefined) return;
  leader.flushIndex = state.log.lastIndex;
  leader.isSendDue = true;
  state.out.flushRequested = true;
}
