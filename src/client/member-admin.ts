// Administration of who holds what: moves of replicas, nodes that leave for good, voters of the metadata group. Changes
// return when they are recorded; the groups follow by themselves, and listMoves tells how far they are.
import type {
  CancelDecommissionResponse,
  CancelMoveResponse,
  DecommissionNodeResponse,
  InspectReplicaResponse,
  MoveReplicaResponse,
  RebalanceResponse,
  ReplicaMove,
  UnsafeRecoverResponse,
} from "../rpc/generated/flotilla-v1.ts";
import { adminService } from "../rpc/methods.ts";
import type { CallSettings, UnaryCaller } from "./unary-caller.ts";

export interface PartitionName {
  readonly topic: string;
  readonly partition: number;
}

export interface ReplicaMoves {
  /** At most 1000. */
  readonly moves: readonly ReplicaMove[];
  readonly total: number;
  /** How new the answer is: changes name the index from which on they are known. */
  readonly metadataIndex: number;
}

/** How long a leader may take to say how far its moves are; without an answer the list stands without that. */
const PROGRESS_TIMEOUT_MS = 2000;

export class MemberAdmin {
  readonly #caller: UnaryCaller;

  constructor(caller: UnaryCaller) {
    this.#caller = caller;
  }

  /**
   * Gives a partition a replica on `toNode` in place of the one on `fromNode` (0: in addition, while there are too few).
   * @throws FlotillaError INVALID_REQUEST, UNKNOWN_TOPIC_OR_PARTITION; DEADLINE while another move of it is under way
   */
  moveReplica(
    move: PartitionName & { readonly fromNode: number; readonly toNode: number },
    settings: CallSettings = {},
  ): Promise<MoveReplicaResponse> {
    const { fromNode, partition, toNode, topic } = move;
    return this.#caller.call({
      ...settings,
      method: adminService.moveReplica,
      target: { kind: "controller" },
      request: () => ({ topic, partition, fromNode, toNode }),
    });
  }

  /** The former replicas are wanted again. @throws FlotillaError UNKNOWN_TOPIC_OR_PARTITION, INVALID_REQUEST */
  cancelMove(name: PartitionName, settings: CallSettings = {}): Promise<CancelMoveResponse> {
    const { partition, topic } = name;
    return this.#caller.call({
      ...settings,
      method: adminService.cancelMove,
      target: { kind: "controller" },
      request: () => ({ topic, partition }),
    });
  }

  /** Moves under way; their leaders are asked how far they are. @param nodeId only those that concern it; 0: all */
  async listMoves(nodeId = 0, settings: CallSettings = {}): Promise<ReplicaMoves> {
    const { metadataIndex, moves, total } = await this.#caller.call({
      ...settings,
      method: adminService.listMoves,
      target: { kind: "any" },
      request: () => ({ nodeId }),
    });
    const leaders = new Set(
      moves.filter((move) => !move.isKnown && move.leaderId !== 0).map((move) => move.leaderId),
    );
    const answers = await Promise.all(
      [...leaders].map(async (leaderId) => this.#movesLedBy(leaderId, nodeId, settings)),
    );
    const known = new Map(answers.flat().map((move) => [placeOf(move), move]));
    return { moves: moves.map((move) => known.get(placeOf(move)) ?? move), total, metadataIndex };
  }

  /**
   * Takes a node out for good.
   * @throws FlotillaError INVALID_REQUEST, NOT_ENOUGH_NODES; DEADLINE while partitions of it are moving
   */
  decommissionNode(
    wish: {
      readonly nodeId: number;
      /** Default: the least loaded nodes. */
      readonly replacementNode?: number | undefined;
      /** Refuse unless the node is out of service. */
      readonly onlyIfFenced?: boolean | undefined;
    },
    settings: CallSettings = {},
  ): Promise<DecommissionNodeResponse> {
    const { nodeId, onlyIfFenced = false, replacementNode = 0 } = wish;
    return this.#caller.call({
      ...settings,
      method: adminService.decommissionNode,
      target: { kind: "controller" },
      request: () => ({ nodeId, replacementNode, onlyIfFenced }),
    });
  }

  /** Keeps a node that is being decommissioned. @throws FlotillaError INVALID_REQUEST */
  cancelDecommission(
    nodeId: number,
    settings: CallSettings = {},
  ): Promise<CancelDecommissionResponse> {
    return this.#caller.call({
      ...settings,
      method: adminService.cancelDecommission,
      target: { kind: "controller" },
      request: () => ({ nodeId }),
    });
  }

  /** Plans moves that even replicas out over the nodes in service, and begins them when asked to. */
  rebalance(execute: boolean, settings: CallSettings = {}): Promise<RebalanceResponse> {
    return this.#caller.call({
      ...settings,
      method: adminService.rebalance,
      target: { kind: "controller" },
      isSlow: true,
      request: () => ({ execute }),
    });
  }

  /** @param count 3 or 5. @throws FlotillaError INVALID_REQUEST, NOT_ENOUGH_NODES */
  async setMetadataVoters(count: number, settings: CallSettings = {}): Promise<void> {
    await this.#caller.call({
      ...settings,
      method: adminService.setMetadataVoters,
      target: { kind: "controller" },
      request: () => ({ count }),
    });
  }

  /** What a node's replica of a partition knows. @throws FlotillaError NOT_LEADER when it has none */
  inspectReplica(
    nodeId: number,
    name: PartitionName,
    settings: CallSettings = {},
  ): Promise<InspectReplicaResponse> {
    const { partition, topic } = name;
    return this.#caller.call({
      ...settings,
      method: adminService.inspectReplica,
      target: { kind: "node", nodeId },
      request: () => ({ topic, partition }),
    });
  }

  /**
   * A partition that lost its majority for good goes on from one replica; what only the others had is lost.
   * @param seen as {@link inspectReplica} showed it
   * @throws FlotillaError QUORUM_ANSWERS, INVALID_REQUEST
   */
  unsafeRecover(
    name: PartitionName,
    seen: Pick<InspectReplicaResponse, "nodeId" | "replicaId" | "lastIndex">,
    settings: CallSettings = {},
  ): Promise<UnsafeRecoverResponse> {
    const { partition, topic } = name;
    const { lastIndex, nodeId, replicaId } = seen;
    return this.#caller.call({
      ...settings,
      method: adminService.unsafeRecover,
      target: { kind: "node", nodeId },
      request: () => ({ topic, partition, replicaId, lastIndex, acceptDataLoss: true }),
    });
  }

  /** What a broker knows of the moves that it leads; nothing when it does not answer. */
  async #movesLedBy(
    leaderId: number,
    nodeId: number,
    settings: CallSettings,
  ): Promise<readonly ReplicaMove[]> {
    try {
      const { moves } = await this.#caller.call({
        ...settings,
        timeoutMs: PROGRESS_TIMEOUT_MS,
        method: adminService.listMoves,
        target: { kind: "node", nodeId: leaderId },
        request: () => ({ nodeId }),
      });
      return moves.filter((move) => move.isKnown);
    } catch {
      return [];
    }
  }
}

function placeOf(move: PartitionName): string {
  return `${move.topic}/${move.partition}`;
}
