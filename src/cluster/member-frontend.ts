// Changes of who holds what, on the metadata leader: checks the request, proposes the command. What depends on the state
// of the cluster is decided when the command is applied (member-state.ts). The Admin service calls it.
import { BrokerError, isBrokerError } from "../model/errors.ts";
import { type GroupId, isNodeId, NODE_ID_MAX, type NodeId } from "../model/ids.ts";
import { METADATA_VOTER_COUNTS } from "./member-commands.ts";
import { placementCandidates, wantedReplicas } from "./member-rules.ts";
import type { MetadataController } from "./metadata-controller.ts";
import type { MetadataView } from "./metadata-image.ts";
import { type PlannedMove, planRebalance } from "./replacement-plan.ts";

/** Moves in one plan, inclusive; another plan goes on from there. */
export const REBALANCE_MOVES_MAX = 1000;
/** Moves proposed at once. */
const PROPOSALS_AT_ONCE = 16;

export interface PartitionName {
  readonly topic: string;
  readonly partition: number;
}

export interface MoveWish extends PartitionName {
  readonly fromNode: number;
  readonly toNode: number;
}

export interface DecommissionWish {
  readonly nodeId: number;
  /** 0: any nodes. */
  readonly replacementNode: number;
  readonly onlyIfFenced: boolean;
}

export type MoveAnswer = MoveWish;

export class MemberFrontend {
  readonly #controller: MetadataController;
  readonly #view: MetadataView;

  constructor(controller: MetadataController, view: MetadataView) {
    this.#controller = controller;
    this.#view = view;
  }

  /**
   * Begins a move; resolves when it is recorded.
   * @throws BrokerError UNKNOWN_TOPIC_OR_PARTITION | INVALID_REQUEST | CHANGE_IN_PROGRESS | NOT_LEADER | LEADER_UNKNOWN |
   * LEADERSHIP_LOST
   */
  async moveReplica(wish: MoveWish): Promise<Changed> {
    this.#controller.requireLeader();
    const from = wish.fromNode === 0 ? 0 : checkedNode("fromNode", wish.fromNode);
    const to = checkedNode("toNode", wish.toNode);
    const groupId = this.#groupOf(wish);
    const result = await this.#controller.propose({ type: "move-replica", groupId, from, to });
    return { changed: result["changed"] === true, metadataIndex: this.#view.image.version };
  }

  /** Turns a move round. @throws BrokerError as {@link moveReplica} */
  async cancelMove(name: PartitionName): Promise<Changed> {
    this.#controller.requireLeader();
    const groupId = this.#groupOf(name);
    const result = await this.#controller.propose({ type: "cancel-move", groupId });
    return { changed: result["changed"] === true, metadataIndex: this.#view.image.version };
  }

  /**
   * Begins to drain a node for good.
   * @throws BrokerError INVALID_REQUEST | NOT_ENOUGH_NODES | CHANGE_IN_PROGRESS | NOT_LEADER | LEADER_UNKNOWN |
   * LEADERSHIP_LOST
   */
  async decommission(wish: DecommissionWish): Promise<PartitionsChanged> {
    this.#controller.requireLeader();
    const nodeId = checkedNode("nodeId", wish.nodeId);
    const successor =
      wish.replacementNode === 0 ? 0 : checkedNode("replacementNode", wish.replacementNode);
    const mustBeFenced = wish.onlyIfFenced;
    return this.#partitionsChanged(
      await this.#controller.propose({
        type: "decommission-node",
        nodeId,
        successor,
        mustBeFenced,
      }),
    );
  }

  /** Keeps a node that is being drained. @throws BrokerError as {@link decommission} */
  async cancelDecommission(nodeId: number): Promise<PartitionsChanged> {
    this.#controller.requireLeader();
    const checked = checkedNode("nodeId", nodeId);
    return this.#partitionsChanged(
      await this.#controller.propose({ type: "cancel-decommission", nodeId: checked }),
    );
  }

  /** @throws BrokerError INVALID_REQUEST | NOT_ENOUGH_NODES | NOT_LEADER | LEADER_UNKNOWN | LEADERSHIP_LOST */
  async setMetadataVoters(count: number): Promise<void> {
    this.#controller.requireLeader();
    if (!METADATA_VOTER_COUNTS.includes(count)) {
      const limit = METADATA_VOTER_COUNTS.join(" or ");
      throw new BrokerError("INVALID_REQUEST", `the metadata group has ${limit} voters`, {
        field: "count",
        limit,
      });
    }
    await this.#controller.propose({ type: "set-metadata-voters", count });
  }

  /**
   * Plans replicas that are missing and moves from full nodes to empty ones, and begins them when asked to. A move that is refused meanwhile is left
   * out: the next plan sees why.
   * @throws BrokerError NOT_LEADER | LEADER_UNKNOWN | LEADERSHIP_LOST
   */
  async rebalance(execute: boolean): Promise<RebalanceAnswer> {
    this.#controller.requireLeader();
    const { image } = this.#view;
    const rows = [...image.partitions.values()];
    const plan = planRebalance(
      rows,
      placementCandidates(image.nodes.values(), rows),
      REBALANCE_MOVES_MAX,
      (row) => wantedReplicas(image.topics, row),
    );
    let begun = 0;
    for (let at = 0; execute && at < plan.length; at += PROPOSALS_AT_ONCE) {
      const results = await Promise.all(
        plan.slice(at, at + PROPOSALS_AT_ONCE).map(async (move) => this.#begin(move)),
      );
      begun += results.filter((isBegun) => isBegun).length;
    }
    const moves = plan.flatMap((move) => this.#named(move));
    return { moves, begun, metadataIndex: this.#view.image.version };
  }

  #partitionsChanged(
    result: Readonly<Record<string, string | number | boolean>>,
  ): PartitionsChanged {
    const metadataIndex = this.#view.image.version;
    const partitions = Number(result["partitions"] ?? 0);
    return { changed: result["changed"] === true, partitions, metadataIndex };
  }

  async #begin({ from, groupId, to }: PlannedMove): Promise<boolean> {
    try {
      const result = await this.#controller.propose({ type: "move-replica", groupId, from, to });
      return result["changed"] === true;
    } catch (error) {
      const isRefused = isBrokerError(error) && error.retry === "never";
      // Somebody else's move was in the log first.
      if (isRefused || isBrokerError(error, "CHANGE_IN_PROGRESS")) return false;
      throw error;
    }
  }

  #named({ from, groupId, to }: PlannedMove): MoveAnswer[] {
    const row = this.#view.image.partitions.get(groupId);
    const topic = row === undefined ? undefined : this.#view.image.topics.get(row.topicId);
    if (row === undefined || topic === undefined) return [];
    return [{ topic: topic.name, partition: row.partition, fromNode: from, toNode: to }];
  }

  #groupOf({ partition, topic }: PartitionName): GroupId {
    const found = this.#view.image.topicByName(topic);
    const rows = found === undefined ? [] : this.#view.image.partitionsOf(found.topicId);
    const row = rows[partition];
    if (row !== undefined) return row.groupId;
    const message =
      found === undefined
        ? `no topic is called "${topic}"`
        : `topic "${topic}" has the partitions 0 to ${rows.length - 1}`;
    throw new BrokerError("UNKNOWN_TOPIC_OR_PARTITION", message, { topic, partition });
  }
}

export interface Changed {
  readonly changed: boolean;
  /** This node's copy has the change; so do all that are as new. */
  readonly metadataIndex: number;
}

export interface PartitionsChanged extends Changed {
  readonly partitions: number;
}

export interface RebalanceAnswer {
  readonly moves: readonly MoveAnswer[];
  readonly begun: number;
  readonly metadataIndex: number;
}

function checkedNode(field: string, nodeId: number): NodeId {
  if (isNodeId(nodeId)) return nodeId;
  throw new BrokerError("INVALID_REQUEST", `node ids are 1 to ${NODE_ID_MAX}`, {
    field,
    limit: NODE_ID_MAX,
  });
}
