// The survivor's side of `unsafe-recover`: what this node's replica of a partition knows, and – when no quorum can
// answer – the order to go on from it alone. The metadata records the order, the replica reconciler carries it out.
// The Admin service calls it.
import type { Liveness } from "../cluster/liveness.ts";
import type { MetadataView } from "../cluster/metadata-image.ts";
import type { ControllerClient } from "../cluster/ports.ts";
import { placementsOf, replicaOfPlacement } from "../cluster/topic-table.ts";
import { BrokerError } from "../model/errors.ts";
import {
  type GroupId,
  type NodeId,
  nodeOfReplica,
  type ReplicaId,
  revisionOfReplica,
} from "../model/ids.ts";
import { type Ballot, tallyVotes } from "../raft/quorum.ts";
import type { Replica } from "../replica/replica.ts";
import { recoveringMembers } from "./led-groups.ts";

export interface ReplicaView {
  readonly nodeId: number;
  readonly replicaId: number;
  readonly term: number;
  readonly lastTerm: number;
  readonly lastIndex: number;
  readonly commitIndex: number;
  readonly endOffset: number;
  readonly highWatermark: number;
  readonly logStartOffset: number;
  readonly voters: readonly number[];
  readonly votersAlive: readonly number[];
  readonly leaderId: number;
  readonly quorumAnswers: boolean;
  readonly recovering: readonly number[];
}

export interface RecoverWish {
  readonly replicaId: number;
  readonly lastIndex: number;
  readonly acceptDataLoss: boolean;
}

/** What is asked of a replica. */
export type InspectedReplica = Pick<
  Replica,
  | "groupId"
  | "replicaId"
  | "status"
  | "termAt"
  | "endOffset"
  | "highWatermark"
  | "logStartOffset"
  | "leaderNode"
>;

export interface UnsafeRecoveryDeps {
  readonly nodeId: NodeId;
  readonly liveness: Liveness;
  readonly view: MetadataView;
  readonly controller: ControllerClient;
  readonly nowMs: () => number;
}

export class UnsafeRecovery {
  readonly #deps: UnsafeRecoveryDeps;

  constructor(deps: UnsafeRecoveryDeps) {
    this.#deps = deps;
  }

  /** What the replica knows now. */
  inspect(replica: InspectedReplica): ReplicaView {
    const { nodeId } = this.#deps;
    const status = replica.status();
    const { membership } = status;
    const isAlive = (id: ReplicaId): boolean => this.#isAlive(replica.groupId, id);
    const voters = [...new Set([...membership.voters, ...(membership.outgoing ?? [])])];
    const heard = voters.filter((id) => this.#saysRecovering(replica.groupId, id));
    const recovering = [...new Set([...recoveringMembers(replica.replicaId, status), ...heard])];
    const ballotOf = (id: ReplicaId): Ballot | undefined =>
      isAlive(id) ? { granted: true, recovering: recovering.includes(id) } : undefined;
    const canElect = tallyVotes(membership, ballotOf) === "won";
    return {
      nodeId,
      replicaId: replica.replicaId,
      term: status.term,
      lastTerm: replica.termAt(status.lastIndex) ?? 0,
      lastIndex: status.lastIndex,
      commitIndex: status.commitIndex,
      endOffset: replica.endOffset,
      highWatermark: replica.highWatermark,
      logStartOffset: replica.logStartOffset,
      voters: voters.map(nodeOfReplica),
      votersAlive: voters.filter(isAlive).map(nodeOfReplica),
      leaderId: replica.leaderNode,
      quorumAnswers: replica.leaderNode !== 0 || canElect,
      recovering: recovering.map(nodeOfReplica),
    };
  }

  #saysRecovering(groupId: GroupId, id: ReplicaId): boolean {
    return this.#deps.liveness.isRecovering(nodeOfReplica(id), groupId);
  }

  /** Its node is alive, and still has the directory that holds it, as far as this node's metadata goes. */
  #isAlive(groupId: GroupId, id: ReplicaId): boolean {
    const { liveness, nowMs, view } = this.#deps;
    const { nodes, partitions, version } = view.image;
    const nodeId = nodeOfReplica(id);
    if (!liveness.isAlive(nodeId, nowMs())) return false;
    // Placed after what is known here.
    if (revisionOfReplica(id) > version) return true;
    const row = partitions.get(groupId);
    const place =
      row === undefined
        ? undefined
        : placementsOf(row).find((one) => replicaOfPlacement(one) === id);
    return place !== undefined && nodes.get(nodeId)?.directoryId === place.directoryId;
  }

  /**
   * Orders the group to go on from this replica. What it was shown to hold must still be true.
   * @returns how many replicas the partition shall have, and from which metadata index on
   * @throws BrokerError INVALID_REQUEST | QUORUM_ANSWERS; as the metadata refuses; LEADER_UNKNOWN when the metadata group
   * itself has no leader
   */
  async recover(
    replica: Replica,
    wish: RecoverWish,
  ): Promise<{ readonly replicas: number; readonly metadataIndex: number }> {
    const view = this.inspect(replica);
    this.#check(view, wish);
    const { groupId, replicaId } = replica;
    const { nodeId } = this.#deps;
    const result = await this.#deps.controller.propose({
      type: "recover-group",
      groupId,
      nodeId,
      replicaId,
    });
    const { index, replicas } = result;
    return { replicas: Number(replicas ?? 0), metadataIndex: Number(index ?? 0) };
  }

  #check(view: ReplicaView, wish: RecoverWish): void {
    if (!wish.acceptDataLoss) throw refused("acceptDataLoss", "the loss of data must be accepted");
    if (view.quorumAnswers) {
      const alive = view.votersAlive.length;
      const total = view.voters.length;
      throw new BrokerError(
        "QUORUM_ANSWERS",
        view.leaderId === 0
          ? `${alive} of ${total} voters are alive and can elect a leader`
          : `node ${view.leaderId} leads the partition`,
        { voters: total, votersAlive: alive },
      );
    }
    if (view.replicaId !== wish.replicaId) throw refused("replicaId", "the replica is another one");
    if (view.lastIndex !== wish.lastIndex) throw refused("lastIndex", "the log's end has moved");
    if (view.commitIndex > view.lastIndex) {
      // An image without the log up to it: what is missing can come from another replica only.
      throw refused("replicaId", "the replica was still being filled when its leader was lost");
    }
  }
}

function refused(field: string, message: string): BrokerError {
  return new BrokerError("INVALID_REQUEST", message, { field });
}
