// The leader's receiving side: what answers to appends and heartbeats say about a follower, and what follows for the
// commit index, reads and a transfer. Answers of strangers and of former incarnations are never counted.
import { assert } from "../base/assert.ts";
import { advanceCommit } from "./commit.ts";
import type { LeaderState } from "./leader-state.ts";
import type { AppendResponse, HeartbeatResponse } from "./messages.ts";
import type { Progress } from "./progress.ts";
import { confirmReads } from "./read-index.ts";
import { noteRecovering } from "./recovering.ts";
import { retireWhenKnown } from "./retirement.ts";
import type { RaftState } from "./state.ts";
import { releaseTail } from "./tail-release.ts";
import { sendTimeoutNowWhenReady } from "./transfer.ts";

/** Silence on sent entries for this many heartbeats means that they were lost. */
const STALL_HEARTBEATS = 3;
/** Same for a catch-up, which is one request. */
const CATCH_UP_HEARTBEATS = 2;
const STALL_FACTOR_MAX = 8;

export function handleAppendResponse<H>(state: RaftState<H>, message: AppendResponse): void {
  const admitted = admit(state, message);
  if (admitted === undefined) return;
  const { leader, peer } = admitted;
  if (message.ok) learn(state, leader, peer, message);
  else backUp(state, peer, message);
  leader.isSendDue = true;
  advanceCommit(state);
  releaseTail(state);
  sendTimeoutNowWhenReady(state);
  retireWhenKnown(state);
}

export function handleHeartbeatResponse<H>(state: RaftState<H>, message: HeartbeatResponse): void {
  const admitted = admit(state, message);
  if (admitted === undefined) return;
  const { leader, peer } = admitted;
  peer.readRound = Math.max(peer.readRound, message.readRound);
  learn(state, leader, peer, message);
  resumeWhenStalled(state, leader, peer);
  if (leader.flushIndex > peer.durable) peer.flushAskedTo = 0;
  leader.isSendDue = true;
  advanceCommit(state);
  confirmReads(state);
  sendTimeoutNowWhenReady(state);
  retireWhenKnown(state);
}

/** The sender's progress, unless the message must not count. A new incarnation starts from nothing. */
function admit<H>(
  state: RaftState<H>,
  message: AppendResponse | HeartbeatResponse,
): { readonly leader: LeaderState; readonly peer: Progress } | undefined {
  const { leader } = state;
  const peer = leader?.find(message.from);
  if (leader === undefined || peer === undefined || message.incarnation < peer.incarnation) {
    return undefined;
  }
  if (peer.incarnation === 0) peer.incarnation = message.incarnation;
  else if (message.incarnation > peer.incarnation) {
    peer.restart(message.incarnation, state.log.lastIndex + 1);
    peer.movedAtTick = leader.ticks;
  }
  peer.heardAtTick = leader.ticks;
  peer.damaged = message.damaged;
  noteRecovering(state, leader, peer, message.recovering);
  return { leader, peer };
}

/** The follower holds our log up to `matchIndex`, flushed up to `durableIndex`. */
function learn<H>(
  state: RaftState<H>,
  leader: LeaderState,
  peer: Progress,
  message: AppendResponse | HeartbeatResponse,
): void {
  const { matchIndex: match, durableIndex: durable } = message;
  assert(durable <= match, "what is flushed was written", { match, durable });
  // A follower that holds more than we do: we lost acknowledged entries (power loss of an async group). Not counted.
  if (match > state.log.lastIndex) return;
  const { next } = peer;
  if (match > peer.match) {
    peer.match = match;
    peer.movedAtTick = leader.ticks;
    peer.stallFactor = 1;
  }
  peer.durable = Math.max(peer.durable, durable);
  if (peer.state === "probe") {
    if (match < next - 1) return;
    // A heartbeat's answer shows where we agree too, but not that the probe arrived.
    if (message.kind === "append-response") peer.acceptProbe();
    else peer.becomeReplicate();
    return;
  }
  if (peer.state === "snapshot") {
    // Whatever connects to our log will do, also an older image than the one we sent.
    if (peer.match + 1 >= state.log.firstIndex) peer.becomeReplicate();
    return;
  }
  peer.inflights.freeTo(peer.match);
  if (match >= next) {
    peer.next = Math.max(next, match + 1);
    peer.isPaused = false;
  }
}

/** A refusal: continue at the last point where the logs can agree, skipping whole terms (paper §5.3, end). */
function backUp<H>(state: RaftState<H>, peer: Progress, message: AppendResponse): void {
  const { log } = state;
  const rejected = message.rejectedPrevIndex;
  const isProbed = peer.state === "probe" && rejected === peer.next - 1;
  // A late refusal says nothing new. To the probe that is out it is believed even below match: installing an image may
  // have shortened the follower's log. Should it be late after all, some entries are sent twice.
  const isNews = peer.state === "replicate" && rejected > peer.match && rejected < peer.next;
  if (!isProbed && !isNews) return;
  const guess = log.lastWithTermAtMost(message.hintIndex, message.hintTerm);
  peer.match = Math.min(peer.match, guess);
  peer.durable = Math.min(peer.durable, peer.match);
  peer.becomeProbe(Math.min(rejected, guess + 1));
}

/** Nothing is lost for ever: when sent entries bring no answer while heartbeats do, they are sent again. */
function resumeWhenStalled<H>(state: RaftState<H>, leader: LeaderState, peer: Progress): void {
  const { heartbeatTicks } = state.options;
  const waited = leader.ticks - peer.pausedAtTick;
  if (peer.state === "probe") {
    if (!peer.isPaused || waited < heartbeatTicks) return;
    peer.isPaused = false;
    peer.probeEmpty = true;
    return;
  }
  if (peer.state !== "replicate") return;
  if (peer.isPaused) {
    if (waited >= CATCH_UP_HEARTBEATS * heartbeatTicks) peer.isPaused = false;
    return;
  }
  const silent = leader.ticks - peer.movedAtTick;
  if (peer.match >= peer.next - 1) return;
  if (silent < STALL_HEARTBEATS * heartbeatTicks * peer.stallFactor) return;
  peer.stallFactor = Math.min(STALL_FACTOR_MAX, peer.stallFactor * 2);
  peer.movedAtTick = leader.ticks;
  peer.becomeProbe(peer.match + 1);
}
