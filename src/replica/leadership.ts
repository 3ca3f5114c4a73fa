// What the events of the core mean for those around the replica: listeners, waiting proposals, transfers and membership
// changes. "Elected" is not "ready": listeners hear of a leadership when everything committed before is applied.
import type { Deferred } from "../base/deferred.ts";
import { deferred } from "../base/deferred.ts";
import { BrokerError } from "../model/errors.ts";
import { type NodeId, nodeOfReplica, type ReplicaId } from "../model/ids.ts";
import type { Term } from "../model/positions.ts";
import type { Membership } from "../raft/messages.ts";
import type { ReplicaProgress } from "../raft/raft.ts";
import type { RaftEvent } from "../raft/ready.ts";
import type { GroupContext } from "./group-context.ts";
import type { LinearizableReads } from "./linearizable-read.ts";
import type { ReplicaListener } from "./ports.ts";
import { leadershipLost, type Proposals } from "./proposals.ts";

interface PendingChange extends Deferred<void> {
  readonly target: Membership;
}

export class Leadership {
  readonly #context: GroupContext;
  readonly #proposals: Proposals;
  readonly #reads: LinearizableReads;
  readonly #listeners = new Set<ReplicaListener>();
  /** Term that this replica was elected in and has not reported as ended. */
  #leadingTerm: Term | undefined;
  #readyTerm: Term | undefined;
  #transfer: Deferred<void> | undefined;
  #change: PendingChange | undefined;

  constructor(context: GroupContext, proposals: Proposals, reads: LinearizableReads) {
    this.#context = context;
    this.#proposals = proposals;
    this.#reads = reads;
  }

  /** The core may have stepped down since the last round: asked every time, never remembered alone. */
  get isReady(): boolean {
    const { core } = this.#context;
    return core.role === "leader" && this.#readyTerm === core.term && this.#context.isLive();
  }

  listen(listener: ReplicaListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  advanced(): void {
    for (const listener of [...this.#listeners]) listener.onAdvance();
  }

  handle(event: RaftEvent): void {
    const { groupId, logger, metrics } = this.#context;
    switch (event.kind) {
      case "became-candidate":
        if (event.pre) metrics.count("elections_started");
        this.#ended();
        return;
      case "became-follower":
        this.#ended();
        return;
      case "became-leader":
        // A leader may be elected again without a follower event in between: the older term ended then.
        this.#ended();
        this.#leadingTerm = event.term;
        metrics.count("elections_won");
        logger.info({ groupId, term: event.term }, "elected leader");
        return;
      case "leader-ready":
        this.#readyTerm = event.term;
        logger.info({ groupId, term: event.term }, "leader is ready");
        for (const listener of [...this.#listeners]) listener.onLeaderReady(event.term);
        return;
      case "leader-changed":
        logger.debug({ groupId, term: event.term, leaderId: event.leaderId }, "leader changed");
        return;
      case "truncated":
        metrics.count("truncated_entries", event.to - event.from + 1);
        logger.warn({ groupId, term: event.term, from: event.from, to: event.to }, "log end cut");
        return;
      case "transfer-ended":
        this.#transferEnded(event.ok);
        return;
      case "caught-up":
        return;
    }
  }

  /** @throws BrokerError NOT_LEADER | LEADER_UNKNOWN | CHANGE_IN_PROGRESS | NOT_ENOUGH_REPLICAS | INVALID_REQUEST */
  transfer(to: NodeId | undefined): Promise<void> {
    const { core } = this.#context;
    if (core.role !== "leader") return Promise.reject(this.#proposals.notLeader());
    const target = this.#transferTarget(to);
    if (target === this.#context.replicaId) return Promise.resolve();
    if (target === undefined) return Promise.reject(noTarget());
    const refusal = core.transferLeadership(target);
    if (refusal === "unknown-target") return Promise.reject(noTarget());
    if (refusal !== undefined) return Promise.reject(this.#proposals.refused(refusal));
    this.#transfer?.reject(noTarget());
    this.#transfer = deferred<void>();
    this.#context.wake();
    return this.#transfer.promise;
  }

  /** @throws BrokerError NOT_LEADER | LEADER_UNKNOWN | CHANGE_IN_PROGRESS | LEADERSHIP_LOST */
  changeMembership(target: Membership): Promise<void> {
    const { core } = this.#context;
    if (this.#change !== undefined) {
      return Promise.reject(this.#proposals.refused("change-in-progress"));
    }
    const refusal = core.proposeMembership(target);
    if (refusal !== undefined) return Promise.reject(this.#proposals.refused(refusal));
    this.#change = { target, ...deferred<void>() };
    this.#context.wake();
    return this.#change.promise;
  }

  membershipApplied(membership: Membership): void {
    if (this.#change === undefined || membership.outgoing !== undefined) return;
    if (!isSame(membership, this.#change.target)) return;
    this.#change.resolve();
    this.#change = undefined;
  }

  /** The replica closes or failed: nobody waits any longer. */
  close(error: () => BrokerError): void {
    this.#ended();
    this.#proposals.failAll(error);
    this.#reads.failAll(error);
    this.#transfer?.reject(error());
    this.#transfer = undefined;
    this.#listeners.clear();
  }

  #ended(): void {
    const term = this.#leadingTerm;
    if (term === undefined) return;
    this.#leadingTerm = undefined;
    this.#readyTerm = undefined;
    this.#context.metrics.count("leaderships_lost");
    this.#context.logger.info({ groupId: this.#context.groupId, term }, "leadership ended");
    this.#proposals.failAll(leadershipLost);
    this.#change?.reject(leadershipLost());
    this.#change = undefined;
    for (const listener of [...this.#listeners]) listener.onLeadershipLost(term);
  }

  #transferEnded(ok: boolean): void {
    const transfer = this.#transfer;
    this.#transfer = undefined;
    if (ok) transfer?.resolve();
    else transfer?.reject(noTarget());
  }

  #transferTarget(to: NodeId | undefined): ReplicaId | undefined {
    const { membership, progress } = this.#context.core.status();
    if (to !== undefined) return membership.voters.find((voter) => nodeOfReplica(voter) === to);
    let best: ReplicaProgress | undefined;
    for (const candidate of progress) {
      const { damaged, isLearner, isRecentlyActive, recovering } = candidate;
      if (isLearner || recovering || damaged || !isRecentlyActive) continue;
      if (best === undefined || candidate.matchIndex > best.matchIndex) best = candidate;
    }
    return best?.replicaId;
  }
}

function noTarget(): BrokerError {
  return new BrokerError("NOT_ENOUGH_REPLICAS", "no replica could take the leadership over");
}

function isSame(left: Membership, right: Membership): boolean {
  const text = (membership: Membership): string =>
    JSON.stringify([[...membership.voters].sort(byId), [...membership.learners].sort(byId)]);
  return text(left) === text(right);
}

function byId(left: number, right: number): number {
  return left - right;
}
