// A follower's side of replication (paper §5.3, figure 2): the consistency check, the only place where a log is
// truncated, and the answers, which wait for the disk. Called by step.ts and, for the answers, when output is collected.
import { assert, defined } from "../base/assert.ts";
import type { LogIndex } from "../model/positions.ts";
import type { AppendRequest, Entry, Heartbeat } from "./messages.ts";
import { noteFence } from "./recovering.ts";
import type { RaftState } from "./state.ts";

export function handleAppendRequest<H>(state: RaftState<H>, request: AppendRequest<H>): void {
  if (state.installing !== undefined || !isWellFormed(request)) return;
  const { follower, log } = state;
  if (request.flush && state.commitRule === "appended") state.out.flushRequested = true;
  if (request.prevIndex < log.firstIndex - 1) {
    // What left our log is committed; say how far we are instead of comparing.
    agree(state, Math.min(state.commitIndex, log.lastIndex));
    follower.isAnswerDue = true;
    return;
  }
  if (log.termAt(request.prevIndex) !== request.prevTerm) {
    refuse(state, request);
    return;
  }
  const last = request.prevIndex + request.entries.length;
  insert(state, request.entries, request.prevIndex);
  agree(state, last);
  const commitBefore = state.commitIndex;
  state.commitTo(Math.min(request.commitIndex, follower.agreedIndex));
  state.raiseDurableCommit(request.durableCommitIndex);
  owe(state, last, request.entries.length === 0 && state.commitIndex > commitBefore);
}

/** A request that no honest leader sends (for example read from disk across a change of terms) is not answered. */
function isWellFormed<H>(request: AppendRequest<H>): boolean {
  let index = request.prevIndex;
  let term = request.prevTerm;
  for (const entry of request.entries) {
    index += 1;
    if (entry.index !== index || entry.term < term || entry.term > request.term) return false;
    term = entry.term;
  }
  return true;
}

/** Appends what is missing. Only a conflict of terms truncates: an overlap, however late, never does. */
function insert<H>(state: RaftState<H>, entries: readonly Entry<H>[], prevIndex: LogIndex): void {
  const { log } = state;
  const known = log.lastIndex;
  let skip = 0;
  if (prevIndex < known) {
    while (skip < entries.length) {
      const entry = defined(entries[skip], "entry in range");
      if (log.termAt(entry.index) !== entry.term) break;
      skip += 1;
    }
  }
  const first = entries[skip];
  if (first === undefined) return;
  if (first.index <= known) {
    assert(first.index > state.follower.agreedIndex, "entries of this leader are never replaced");
    state.truncateLog(first.index);
    const { term } = state;
    state.out.events.push({ kind: "truncated", from: first.index, to: known, term });
  }
  for (let at = skip; at < entries.length; at += 1) {
    state.appendToLog(defined(entries[at], "entry in range"));
  }
}

function agree<H>(state: RaftState<H>, index: LogIndex): void {
  if (index > state.follower.agreedIndex) state.follower.agreedIndex = index;
}

function refuse<H>(state: RaftState<H>, request: AppendRequest<H>): void {
  const { log } = state;
  const hintIndex = log.lastWithTermAtMost(request.prevIndex, request.prevTerm);
  state.sendInTerm({
    kind: "append-response",
    from: state.id,
    to: request.from,
    term: state.term,
    ok: false,
    matchIndex: 0,
    durableIndex: 0,
    rejectedPrevIndex: request.prevIndex,
    hintIndex,
    hintTerm: log.termAt(hintIndex) ?? 0,
    incarnation: state.options.incarnation,
    recovering: state.recovering,
  });
}

/** Notes what the answer to a request up to `last` has to wait for. `isNews`: it only told a new commit index. */
function owe<H>(state: RaftState<H>, last: LogIndex, isNews: boolean): void {
  const { follower } = state;
  const { writtenIndex, flushedIndex } = state.log.storage;
  const isDurableRule = state.commitRule === "durable";
  if (last > flushedIndex) follower.owedFlushed = Math.max(follower.owedFlushed, last);
  if (last > (isDurableRule ? flushedIndex : writtenIndex)) {
    follower.owedWritten = Math.max(follower.owedWritten, last);
    return;
  }
  // News needs no answer once everything up to there was acknowledged; anything else may be a probe.
  const acked = isDurableRule ? follower.ackedDurable : follower.ackedMatch;
  if (!isNews || last > acked) follower.isAnswerDue = true;
}

/**
 * What may be said to be here. Under the "durable" rule only what is flushed, even if the leader has the other rule by now
 * and would count it: this replica is not marked as one that acknowledges more (ADR 0012).
 */
function acknowledged<H>(state: RaftState<H>): {
  readonly matchIndex: LogIndex;
  readonly durableIndex: LogIndex;
} {
  const { agreedIndex } = state.follower;
  const { flushedIndex, writtenIndex } = state.log.storage;
  const durableIndex = Math.min(agreedIndex, flushedIndex);
  const isDurableRule = state.commitRule === "durable";
  return {
    matchIndex: isDurableRule ? durableIndex : Math.min(agreedIndex, writtenIndex),
    durableIndex,
  };
}

/**
 * Sends the answer that is due, if any: one for all requests since the last. Under the "durable" rule it speaks of
 * flushed entries only; under "appended" first of written ones, then again as the flush proceeds.
 */
export function answerAppends<H>(state: RaftState<H>): void {
  const { follower, leaderId } = state;
  if (leaderId === 0 || leaderId === state.id || !state.isTermDurable) return;
  const isDurableRule = state.commitRule === "durable";
  const { matchIndex: match, durableIndex: flushed } = acknowledged(state);
  const isDue =
    follower.isAnswerDue ||
    (follower.owedFlushed > 0 && flushed > follower.ackedDurable) ||
    (!isDurableRule && follower.owedWritten > 0 && match > follower.ackedMatch);
  if (!isDue) return;
  follower.isAnswerDue = false;
  follower.ackedMatch = match;
  follower.ackedDurable = flushed;
  if (match >= follower.owedWritten) follower.owedWritten = 0;
  if (flushed >= follower.owedFlushed) follower.owedFlushed = 0;
  state.out.messages.push({
    kind: "append-response",
    from: state.id,
    to: leaderId,
    term: state.term,
    ok: true,
    matchIndex: match,
    durableIndex: flushed,
    rejectedPrevIndex: 0,
    hintIndex: 0,
    hintTerm: 0,
    incarnation: state.options.incarnation,
    recovering: state.recovering,
  });
}

/** The leader lives. Its commit index counts only as far as our logs are known to agree; nothing is truncated. */
export function handleHeartbeat<H>(state: RaftState<H>, heartbeat: Heartbeat): void {
  const { follower } = state;
  if (state.installing === undefined) {
    state.commitTo(Math.min(heartbeat.commitIndex, follower.agreedIndex));
    state.raiseDurableCommit(heartbeat.durableCommitIndex);
  }
  noteFence(state, heartbeat);
  const { matchIndex, durableIndex } = acknowledged(state);
  state.sendInTerm({
    kind: "heartbeat-response",
    from: state.id,
    to: heartbeat.from,
    term: state.term,
    readRound: heartbeat.readRound,
    incarnation: state.options.incarnation,
    matchIndex,
    durableIndex,
    recovering: state.recovering,
  });
}
