// Elections (paper §5.2, §5.4.1; pre-vote: thesis §9.6). A replica whose timer runs out first asks whether it could
// win; only then does it raise the term. Called by tick.ts, step.ts and transfer.ts.
import { assert } from "../base/assert.ts";
import { isBlocked } from "./damage.ts";
import { becomeLeader } from "./leadership.ts";
import { isMember, votersBut } from "./membership.ts";
import type { VoteRequest, VoteResponse } from "./messages.ts";
import { tallyVotes } from "./quorum.ts";
import { notePeer } from "./recovering.ts";
import { becomeFollower } from "./roles.ts";
import type { RaftState } from "./state.ts";

/** How long a replica that was told that it is no member stays quiet, in election timeouts. */
const NOT_MEMBER_TIMEOUTS = 8;

/** Silence after which a non-voter stands in, in election timeouts. */
const CARETAKER_TIMEOUTS = 4;

/** A campaign waits at most so many times as long as the first one for its votes. */
const CAMPAIGN_FACTOR_MAX = 8;

/** May this replica stand for election now? */
export function isPromotable<H>(state: RaftState<H>): boolean {
  if (state.notMemberTicks > 0 || state.installing !== undefined) return false;
  if (isBlocked(state)) return false;
  if (!state.isSelfVoter && !isCaretaker(state)) return false;
  // A committed configuration that is not applied yet might name other voters.
  const hasUnappliedChange =
    (state.changeIndexes[0] ?? Number.POSITIVE_INFINITY) <= state.commitIndex;
  // After an image the log may not reach it yet: such a leader could not serve the entries between.
  return !hasUnappliedChange && state.log.lastIndex >= state.commitIndex;
}

/**
 * A replica that knows that it is no voter, but holds more than is known to be committed, may be what keeps the voters
 * from electing one of them: they may still need its vote and it must refuse logs shorter than its own. After a long
 * silence it stands itself, elected by the voters of its configuration like anybody, only to tell them what it knows
 * and retire (retirement.ts).
 */
function isCaretaker<H>(state: RaftState<H>): boolean {
  if (state.membership.outgoing !== undefined) return false;
  if (state.log.lastIndex <= state.commitIndex) return false;
  return state.electionElapsed >= CARETAKER_TIMEOUTS * state.electionTimeout;
}

/** Asks whether a majority would vote for us; changes nobody's term. */
export function startPreVote<H>(state: RaftState<H>): void {
  state.role = "pre-candidate";
  state.setLeader(0);
  state.resetCampaignTimer(1);
  state.campaign = { pre: true, transfer: false, ballots: new Map(), isOpen: false };
  state.out.events.push({ kind: "became-candidate", term: state.term, pre: true });
  openPoll(state);
}

/** Raises the term and votes for itself. The others are asked once that is durable; its time begins then, too. */
export function startElection<H>(state: RaftState<H>, transfer: boolean): void {
  assert(state.role !== "leader", "a leader does not campaign");
  state.beginTerm(state.term + 1, state.id);
  state.role = "candidate";
  state.setLeader(0);
  state.elections += 1;
  state.campaign = { pre: false, transfer, ballots: new Map(), isOpen: false };
  state.out.events.push({ kind: "became-candidate", term: state.term, pre: false });
}

/**
 * The newest vote became durable. The own one: count it and ask the others, unless the election is over by then. Another's:
 * only now does it hear of it, and gets as much time as if the disk had taken none.
 */
export function voteDurable<H>(state: RaftState<H>): void {
  const { campaign, leaderId, role, vote } = state;
  if (role === "follower" && vote !== 0 && leaderId === 0) state.resetElectionTimer();
  if (campaign === undefined || campaign.pre || campaign.isOpen) return;
  // The voters' disks may be slow as well, and candidates that are all slow to be heard tie again and again.
  state.resetCampaignTimer(Math.min(2 ** (state.elections - 1), CAMPAIGN_FACTOR_MAX));
  openPoll(state);
}

function openPoll<H>(state: RaftState<H>): void {
  const { campaign, log } = state;
  assert(campaign !== undefined, "a campaign is under way");
  campaign.isOpen = true;
  campaign.ballots.set(state.id, { granted: true, recovering: state.recovering });
  const { pre, transfer } = campaign;
  const term = pre ? state.term + 1 : state.term;
  const { lastIndex, lastTerm } = log;
  for (const to of votersBut(state.membership, state.id)) {
    const request = { kind: "vote-request", from: state.id, to, term, pre } as const;
    state.out.messages.push({ ...request, lastIndex, lastTerm, transfer });
  }
  countBallots(state);
}

export function handleVoteResponse<H>(state: RaftState<H>, message: VoteResponse): void {
  const { campaign } = state;
  notePeer(state, message.from, message.recovering);
  if (campaign === undefined || !campaign.isOpen || campaign.pre !== message.pre) return;
  if (message.pre && message.granted && message.term !== state.term + 1) return;
  const { granted, recovering } = message;
  // A first answer stands: a repeated message cannot take a vote back.
  if (!campaign.ballots.has(message.from))
    campaign.ballots.set(message.from, { granted, recovering });
  countBallots(state);
}

function countBallots<H>(state: RaftState<H>): void {
  const { campaign } = state;
  if (campaign === undefined) return;
  const tally = tallyVotes(state.membership, (id) => campaign.ballots.get(id));
  if (tally === "lost") becomeFollower(state, state.term, 0, "election lost");
  if (tally !== "won") return;
  if (campaign.pre) startElection(state, false);
  else becomeLeader(state);
}

/** A live leader was heard within the shortest election timeout: no vote for others meanwhile (thesis §4.2.3). */
export function hasLiveLeader<H>(state: RaftState<H>): boolean {
  if (state.role === "leader") return true;
  return state.leaderId !== 0 && state.electionElapsed < state.options.electionTicks;
}

/** True when the candidate's log holds everything that ours is known to need (paper §5.4.1). */
export function isUpToDate<H>(state: RaftState<H>, request: VoteRequest): boolean {
  const { log, floor } = state;
  return (
    !isBehind(request, log.lastTerm, log.lastIndex) && !isBehind(request, floor.term, floor.index)
  );
}

function isBehind(request: VoteRequest, lastTerm: number, lastIndex: number): boolean {
  if (request.lastTerm !== lastTerm) return request.lastTerm < lastTerm;
  return request.lastIndex < lastIndex;
}

/**
 * A request from a replica that is no member as far as we know, and whose log lacks what we know: it missed its own
 * removal. With a log as good as ours it may know a newer configuration than we do and is answered like any other.
 */
export function isStranger<H>(state: RaftState<H>, request: VoteRequest): boolean {
  if (isMember(state.membership, request.from)) return false;
  return state.changeIndexes.length === 0 && !isUpToDate(state, request);
}

/** Answers a vote request whose term is not below ours (or a pre-vote request). */
export function handleVoteRequest<H>(state: RaftState<H>, request: VoteRequest): void {
  const { pre } = request;
  const isFree =
    state.vote === request.from ||
    (state.vote === 0 && state.leaderId === 0) ||
    (pre && request.term > state.term);
  const granted = isFree && isUpToDate(state, request);
  const term = pre && granted ? request.term : state.term;
  const { recovering } = state;
  const to = request.from;
  const answer = { kind: "vote-response", from: state.id, to, term, pre } as const;
  if (pre || !granted) {
    state.sendInTerm({ ...answer, granted, recovering });
    return;
  }
  state.castVote(request.from);
  state.resetElectionTimer();
  state.sendAfterVote({ ...answer, granted, recovering });
}

export function handleNotMember<H>(state: RaftState<H>): void {
  // Not for ever: whoever told us may itself be behind. A leader's message ends the pause at once.
  if (state.role === "leader") return;
  state.notMemberTicks = NOT_MEMBER_TIMEOUTS * state.options.electionTicks;
  if (state.role !== "follower") becomeFollower(state, state.term, 0, "not a member");
}
