// What this node leads, as the cluster room's balancer and membership reconciler want to see it.
import type { LedGroup } from "../cluster/leader-balance-plan.ts";
import type { MetadataView } from "../cluster/metadata-image.ts";
import type {
  LedGroups,
  LedMembership,
  LedPartition,
  Memberships,
  MoveProgress,
} from "../cluster/ports.ts";
import { replicaOfPlacement } from "../cluster/topic-table.ts";
import { BrokerError } from "../model/errors.ts";
import {
  type GroupId,
  METADATA_GROUP,
  type NodeId,
  nodeOfReplica,
  type ReplicaId,
} from "../model/ids.ts";
import type { RaftStatus, ReplicaProgress } from "../raft/raft.ts";
import type { Replica } from "../replica/replica.ts";
import type { ReplicaSet } from "../replica/replica-set.ts";

/** A replica that lacks no more entries than this is in sync; a health word, never a substitute for the quorum. */
const IN_SYNC_ENTRIES_MAX = 1000;

export class LocalLeaderships implements LedGroups, Memberships {
  readonly #replicas: ReplicaSet;
  readonly #view: MetadataView;

  constructor(replicas: ReplicaSet, view: MetadataView) {
    this.#replicas = replicas;
    this.#view = view;
  }

  /** For the balancer: partitions led here and in no transfer. */
  readonly balanced: LedGroups = {
    list: () => this.#ledGroups(),
    transfer: (groupId, to) => this.transfer(groupId, to),
  };

  list(): LedGroup[] & LedMembership[] {
    return this.#led().map((replica) => {
      const status = replica.status();
      const row = this.#view.image.partitions.get(replica.groupId);
      const unfit = unfitMembers(replica.replicaId, status).map(nodeOfReplica);
      return {
        groupId: replica.groupId,
        replicas: row?.replicas.map((placement) => placement.nodeId) ?? [],
        // Leadership goes to none that may have forgotten what it acknowledged.
        inSync: inSyncNodes(replica.replicaId, status).filter((id) => !unfit.includes(id)),
        ...membershipOf(replica, status),
      };
    });
  }

  get(groupId: GroupId): LedMembership | undefined {
    const replica = this.#replicas.get(groupId);
    if (replica === undefined || !replica.isLeaderReady) return undefined;
    return { groupId, ...membershipOf(replica, replica.status()) };
  }

  async transfer(groupId: GroupId, to: NodeId): Promise<void> {
    await this.#require(groupId).transferLeadership(to);
  }

  async change(
    groupId: GroupId,
    target: { readonly voters: readonly ReplicaId[]; readonly learners: readonly ReplicaId[] },
  ): Promise<void> {
    await this.#require(groupId).changeMembership(target);
  }

  /** For DescribeTopic; undefined when the group is not led here. */
  describe(groupId: GroupId): LedPartition | undefined {
    const replica = this.#replicas.get(groupId);
    if (replica === undefined || !replica.isLeaderReady) return undefined;
    const status = replica.status();
    return {
      inSync: inSyncNodes(replica.replicaId, status),
      logStartOffset: replica.logStartOffset,
      highWatermark: replica.highWatermark,
      bytes: status.logBytes,
      commitIndex: status.commitIndex,
    };
  }

  /** Nodes whose replicas may have forgotten what they acknowledged, as far as this node's replica knows. */
  recoveringNodes(groupId: GroupId): readonly NodeId[] {
    const replica = this.#replicas.get(groupId);
    if (replica === undefined) return [];
    return recoveringMembers(replica.replicaId, replica.status()).map(nodeOfReplica);
  }

  /** For ListMoves; undefined when the group is not led here. */
  progressOf(groupId: GroupId): MoveProgress | undefined {
    const replica = this.#replicas.get(groupId);
    const row = this.#view.image.partitions.get(groupId);
    if (replica === undefined || row === undefined || !replica.isLeaderReady) return undefined;
    const status = replica.status();
    const close = new Set(caughtUp(replica.replicaId, status));
    const behind = row.replicas
      .map(replicaOfPlacement)
      .filter((wanted) => !close.has(wanted) || !status.membership.voters.includes(wanted));
    const firstIndex = replica.segments()[0]?.firstIndex ?? 1;
    const entries = Math.max(1, status.lastIndex - firstIndex + 1);
    let bytesLeft = 0;
    for (const wanted of behind) {
      const match = status.progress.find((peer) => peer.replicaId === wanted)?.matchIndex ?? 0;
      const missing = Math.max(0, status.lastIndex - Math.max(match, firstIndex - 1));
      bytesLeft += Math.round((status.logBytes * missing) / entries);
    }
    return { replicasBehind: behind.length, bytesLeft };
  }

  #led(): Replica[] {
    return this.#replicas.all().filter((replica) => replica.isLeaderReady);
  }

  #ledGroups(): LedGroup[] {
    return this.list().filter((group) => {
      if (group.groupId === METADATA_GROUP) return false;
      return this.#replicas.get(group.groupId)?.status().transferringTo === 0;
    });
  }

  #require(groupId: GroupId): Replica {
    const replica = this.#replicas.get(groupId);
    if (replica !== undefined) return replica;
    throw new BrokerError("NOT_LEADER", "this group is not on this node", { groupId });
  }
}

function membershipOf(replica: Replica, status: RaftStatus): Omit<LedMembership, "groupId"> {
  const { commitIndex, durableCommitIndex, membership, progress, term } = status;
  const close = caughtUp(replica.replicaId, status);
  return {
    self: replica.replicaId,
    term,
    voters: membership.voters,
    learners: membership.learners,
    isChanging: membership.outgoing !== undefined,
    caughtUp: close,
    lagging: progress
      .filter((peer) => peer.isLearner && peer.isRecentlyActive && !close.includes(peer.replicaId))
      .map((peer) => peer.replicaId),
    commitIndex,
    durableCommitIndex,
  };
}

/** Members that may have forgotten what they acknowledged, the replica itself among them, ascending. */
export function recoveringMembers(self: ReplicaId, status: RaftStatus): ReplicaId[] {
  const { membership, recovering, recoveringPeers } = status;
  const { learners, outgoing, voters } = membership;
  const members = [...voters, ...learners, ...(outgoing ?? [])];
  const others = recoveringPeers.filter((id) => members.includes(id));
  return [...others, ...(recovering ? [self] : [])].sort((a, b) => a - b);
}

/** Members that no leadership should be moved to: recovering or damaged. */
export function unfitMembers(self: ReplicaId, status: RaftStatus): ReplicaId[] {
  const damaged = status.progress.filter((peer) => peer.damaged).map((peer) => peer.replicaId);
  return [...new Set([...recoveringMembers(self, status), ...damaged])].sort((a, b) => a - b);
}

/** Nodes with an in-sync voter, this one included, ascending. */
export function inSyncNodes(self: ReplicaId, status: RaftStatus): NodeId[] {
  return caughtUp(self, status)
    .filter((replicaId) => status.membership.voters.includes(replicaId))
    .map((replicaId) => nodeOfReplica(replicaId))
    .sort((a, b) => a - b);
}

/** Fewer voters are in sync than there are, or than the topic wants: more may not even be placed. @param wanted 0: no topic */
export function isUnderReplicated(self: ReplicaId, status: RaftStatus, wanted: number): boolean {
  const due = Math.max(wanted, status.membership.voters.length);
  return inSyncNodes(self, status).length < due;
}

/** Members that hold nearly everything, the leader included. One that has just joined counts only once it has acknowledged. */
export function caughtUp(self: ReplicaId, status: RaftStatus): ReplicaId[] {
  const isClose = ({ isRecentlyActive, matchIndex }: ReplicaProgress): boolean =>
    isRecentlyActive && matchIndex > 0 && matchIndex + IN_SYNC_ENTRIES_MAX >= status.lastIndex;
  return [self, ...status.progress.filter(isClose).map((progress) => progress.replicaId)];
}
