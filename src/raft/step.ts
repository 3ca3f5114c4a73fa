// One message in: the rules about terms that hold for all kinds (paper §5.1), then dispatch to the phase.
import { assert, unreachable } from "../base/assert.ts";
import {
  handleNotMember,
  handleVoteRequest,
  handleVoteResponse,
  hasLiveLeader,
  isStranger,
} from "./election.ts";
import { handleAppendRequest, handleHeartbeat } from "./follower.ts";
import type { Message } from "./messages.ts";
import { handleAppendResponse, handleHeartbeatResponse } from "./responses.ts";
import { becomeFollower } from "./roles.ts";
import { handleInstallSnapshot } from "./snapshot.ts";
import type { RaftState } from "./state.ts";
import { handleTimeoutNow } from "./transfer.ts";

export function step<H>(state: RaftState<H>, message: Message<H>): void {
  // Replica ids are never reused: a message for another one is for a replica that is gone.
  if (message.to !== state.id || message.from === state.id) return;
  if (message.kind === "not-member") {
    handleNotMember(state);
    return;
  }
  if (message.kind === "vote-request") {
    if (isStranger(state, message)) {
      const { id: from, term } = state;
      state.out.messages.push({ kind: "not-member", from, to: message.from, term });
      return;
    }
    const isNewElection = message.pre || message.term > state.term;
    if (isNewElection && !message.transfer && hasLiveLeader(state)) return;
  }
  if (message.term < state.term) {
    stepOlderTerm(state, message);
    return;
  }
  if (message.term > state.term && !isAboutFutureTerm(message)) {
    const leaderId = isFromLeader(message) ? message.from : 0;
    becomeFollower(state, message.term, leaderId, "higher term");
  }
  dispatch(state, message);
}

/** Pre-vote requests and grants speak of a term that may never begin. */
function isAboutFutureTerm<H>(message: Message<H>): boolean {
  if (message.kind === "vote-request") return message.pre;
  return message.kind === "vote-response" && message.pre && message.granted;
}

function isFromLeader<H>(message: Message<H>): boolean {
  switch (message.kind) {
    case "append-request":
    case "heartbeat":
    case "install-snapshot":
    case "timeout-now":
      return true;
    default:
      return false;
  }
}

/**
 * The sender is behind. Leaders and pre-candidates are told our term: a pre-candidate, or a group whose leader has a
 * lower term than one of its voters, would be stuck otherwise. Everything else is forgotten.
 */
function stepOlderTerm<H>(state: RaftState<H>, message: Message<H>): void {
  const { id: from, term, recovering } = state;
  const to = message.from;
  switch (message.kind) {
    case "vote-request":
      if (!message.pre) return;
      state.sendInTerm({
        kind: "vote-response",
        from,
        to,
        term,
        pre: true,
        granted: false,
        recovering,
      });
      return;
    case "vote-response":
      // A refusing voter may have a lower term than the pre-candidate.
      if (message.pre && !message.granted) handleVoteResponse(state, message);
      return;
    case "append-request":
    case "heartbeat":
    case "install-snapshot":
      state.sendInTerm({
        kind: "append-response",
        from,
        to,
        term,
        ok: false,
        matchIndex: 0,
        durableIndex: 0,
        rejectedPrevIndex: 0,
        hintIndex: 0,
        hintTerm: 0,
        incarnation: state.options.incarnation,
        recovering,
        damaged: state.damaged,
      });
      return;
    default:
      return;
  }
}

/** The sender leads this very term. */
function followLeader<H>(state: RaftState<H>, message: Message<H>): void {
  assert(state.role !== "leader", "one leader per term", { term: state.term, other: message.from });
  assert(state.leaderId === 0 || state.leaderId === message.from, "one leader per term", {
    term: state.term,
    leaderId: state.leaderId,
    other: message.from,
  });
  state.notMemberTicks = 0;
  if (state.role !== "follower" || state.leaderId === 0) {
    becomeFollower(state, state.term, message.from, "leader found");
  } else state.resetElectionTimer();
}

function dispatch<H>(state: RaftState<H>, message: Message<H>): void {
  if (isFromLeader(message)) followLeader(state, message);
  switch (message.kind) {
    case "vote-request":
      handleVoteRequest(state, message);
      return;
    case "vote-response":
      handleVoteResponse(state, message);
      return;
    case "append-request":
      handleAppendRequest(state, message);
      return;
    case "append-response":
      handleAppendResponse(state, message);
      return;
    case "heartbeat":
      handleHeartbeat(state, message);
      return;
    case "heartbeat-response":
      handleHeartbeatResponse(state, message);
      return;
    case "install-snapshot":
      handleInstallSnapshot(state, message);
      return;
    case "timeout-now":
      handleTimeoutNow(state, message);
      return;
    case "not-member":
      return;
    default:
      unreachable(message);
  }
}
