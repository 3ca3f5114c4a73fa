// The state machine of the metadata group: nodes, topics, partitions and their places, producer
// ids, feature level. Pure and deterministic: the same commands give the same rows on every node.
// The replica room applies entries to it; it publishes an immutable image for everybody else.
// Names, settings and numbers of a topic are checked by the proposer, because those rules may
// differ between software versions; what is checked here depends on applied state.
import type { KeyedWrite } from "../log/ports.ts";
import { type Frame, SECTION, sectionOf } from "../model/entry-frame.ts";
import type { GroupId, NodeId, TopicId } from "../model/ids.ts";
import type { LogIndex } from "../model/positions.ts";
import { initialLayout } from "../model/slots.ts";
import type { ApplyContext, StateMachine } from "../replica/ports.ts";
import { placementCandidates, placeOn } from "./member-rules.ts";
import { applyMemberCommand } from "./member-state.ts";
import {
  type AllocateProducerIds,
  type AlterTopic,
  type CreateTopic,
  type DeleteTopic,
  decodeMetadataCommand,
  type FenceNode,
  type MetadataCommand,
  type OpenProducer,
  type RaiseFeatureLevel,
  type RegisterNode,
  type ReplaceReplicas,
  type UnfenceNode,
} from "./metadata-commands.ts";
import type { MetadataView } from "./metadata-image.ts";
import { type MetadataReply, refused } from "./metadata-reply.ts";
import { type Change, MetadataTable } from "./metadata-table.ts";
import { decideRegistration, type NodeRow } from "./node-table.ts";
import { planPlacement } from "./placement-plan.ts";
import {
  isFenced,
  isRepetition,
  nextSession,
  PRODUCER_NAMES_MAX,
  type ProducerRow,
} from "./producer-table.ts";
import { applySubscriptionCommand } from "./subscription-state.ts";
import { refuseTopic } from "./topic-rules.ts";
import {
  placementsOf,
  type ReplicaPlacement,
  replicaOfPlacement,
  withPlacements,
} from "./topic-table.ts";

/**
 * Deleted topics remembered. Beyond: the oldest is forgotten, and a node that missed it keeps its
 * groups as orphans.
 */
export const DELETED_TOPICS_MAX = 10_000;
/** How keys become slots: the only way so far. */
export const KEY_HASH = "murmur2/4096";

export class MetadataState implements StateMachine {
  /** Its log is cut by images, never by a command. */
  readonly logStartIndex: LogIndex = 1;
  readonly standsForLog = true;
  readonly #table: MetadataTable;

  constructor(view: MetadataView) {
    this.#table = new MetadataTable(view);
  }

  /**
   * @returns a {@link MetadataReply} and the rows that changed
   * @throws BrokerError UNSUPPORTED_VERSION | INVALID_REQUEST for a command that this software
   * cannot read: the replica must halt. Nothing else throws, and nothing is changed before a
   * command is known to be acceptable.
   */
  apply(
    frame: Frame,
    context: ApplyContext,
  ): { readonly reply?: MetadataReply; readonly writes: readonly KeyedWrite[] } {
    const command = commandOf(frame);
    if (command === undefined) return { writes: [] };
    return this.applyCommand(command, context.index);
  }

  /** As {@link apply}, for a command that is decoded already. */
  applyCommand(
    command: MetadataCommand,
    index: LogIndex,
  ): { readonly reply: MetadataReply; readonly writes: readonly KeyedWrite[] } {
    const change = this.#table.begin(index);
    const reply = this.#dispatch(command, change);
    this.#table.commit(change);
    return { reply, writes: change.writes };
  }

  /** @throws StorageError "corrupt" | "version" for rows that this software cannot read */
  restore(pairs: Iterable<readonly [string, Uint8Array]>): void {
    this.#table.restore(pairs);
  }

  pairs(): Iterable<readonly [string, Uint8Array]> {
    return this.#table.pairs();
  }

  #dispatch(command: MetadataCommand, change: Change): MetadataReply {
    switch (command.type) {
      case "register-node":
        return this.#registerNode(command, change);
      case "fence-node":
        return this.#setFenced(command, true, change);
      case "unfence-node":
        return this.#setFenced(command, false, change);
      case "create-topic":
        return this.#createTopic(command, change);
      case "alter-topic":
        return this.#alterTopic(command, change);
      case "delete-topic":
        return this.#deleteTopic(command, change);
      case "allocate-producer-ids":
        return this.#allocateProducerIds(command, change);
      case "open-producer":
        return this.#openProducer(command, change);
      case "replace-replicas":
        return this.#replaceReplicas(command, change);
      case "raise-feature-level":
        return this.#raiseFeatureLevel(command, change);
      case "create-subscription":
      case "alter-subscription":
      case "delete-subscription":
        return applySubscriptionCommand(this.#table, command, change);
      default:
        return applyMemberCommand(this.#table, command, change);
    }
  }

  #registerNode(command: RegisterNode, change: Change): MetadataReply {
    const { featureLevel } = this.#table.meta;
    const known = this.#table.nodes.get(command.nodeId);
    const removed = this.#table.removedNodes.get(command.nodeId);
    const at = { index: change.index, featureLevel };
    const decision = decideRegistration(known, removed, command, at);
    if (decision.refusal !== undefined) {
      return refused("NODE_FENCED", `node ${command.nodeId} is refused: ${decision.refusal}`, {
        nodeId: command.nodeId,
        cause: decision.refusal,
      });
    }
    const { row } = decision;
    this.#table.putNode(change, row);
    const { nodeId, registeredIndex, metadataRevision } = row;
    return { ok: { nodeId, registeredIndex, metadataRevision, featureLevel } };
  }

  #setFenced(command: FenceNode | UnfenceNode, fenced: boolean, change: Change): MetadataReply {
    const known = this.#table.nodes.get(command.nodeId);
    // A restarted node has a new incarnation: what was decided about the old one is void.
    const isMeant = known !== undefined && known.incarnation === command.incarnation;
    if (!isMeant || known.fenced === fenced) return { ok: { changed: false } };
    this.#table.putNode(change, { ...known, fenced });
    return { ok: { changed: true } };
  }

  #createTopic(command: CreateTopic, change: Change): MetadataReply {
    const { topicId, name, partitions, replicationFactor, settings } = command;
    const holder = this.#table.topics.names.get(name);
    // The same id under the same name is a repeated proposal of a creation whose outcome the
    // proposer did not learn.
    if (holder === topicId) return { ok: { topicId } };
    const candidates = placementCandidates(
      this.#table.nodes.values(),
      this.#table.topics.partitions.values(),
    );
    const refusal = this.#refuseTopic(command, holder !== undefined, candidates.length);
    if (refusal !== undefined) return refusal;
    const firstGroupId = this.#table.meta.nextGroupId;
    const placement = planPlacement(candidates, partitions, replicationFactor);
    this.#table.putMeta(change, { nextGroupId: (firstGroupId + partitions) as GroupId });
    this.#table.putTopic(change, {
      topicId,
      name,
      createdIndex: change.index,
      changedIndex: change.index,
      partitions,
      replicationFactor,
      settings: withoutEmpty(settings),
      firstGroupId,
      keyHash: KEY_HASH,
      layout: initialLayout(partitions),
      layoutHistory: [],
    });
    for (const [partition, nodeIds] of placement.entries()) {
      const replicas = nodeIds.map((nodeId) => placeOn(this.#table, nodeId, change.index));
      const groupId = (firstGroupId + partition) as GroupId;
      const founders = replicas.map(replicaOfPlacement);
      this.#table.putPartition(change, { groupId, topicId, partition, replicas, founders });
    }
    return { ok: { topicId } };
  }

  #refuseTopic(
    command: CreateTopic,
    isNameTaken: boolean,
    nodesAvailable: number,
  ): MetadataReply | undefined {
    const { deleted, partitions, topics } = this.#table.topics;
    const { topicId } = command;
    if (!isNameTaken && (topics.has(topicId) || deleted.has(topicId))) {
      return refused("INVALID_REQUEST", "the topic id was used before", { field: "topicId" });
    }
    const there = { isNameTaken, topics: topics.size, partitions: partitions.size, nodesAvailable };
    return refuseTopic(command, there);
  }

  #alterTopic(command: AlterTopic, change: Change): MetadataReply {
    const topic = this.#table.topics.topics.get(command.topicId);
    if (topic === undefined) return unknownTopic(command.topicId);
    const settings = withoutEmpty({ ...topic.settings, ...command.settings });
    this.#table.putTopic(change, { ...topic, settings, changedIndex: change.index });
    return { ok: { topicId: topic.topicId } };
  }

  #deleteTopic(command: DeleteTopic, change: Change): MetadataReply {
    const { topicId } = command;
    if (this.#table.topics.deleted.has(topicId)) return { ok: { topicId } };
    const topic = this.#table.topics.topics.get(topicId);
    if (topic === undefined) return unknownTopic(topicId);
    this.#table.removeTopic(change, topic);
    this.#table.trimDeleted(change, DELETED_TOPICS_MAX);
    return { ok: { topicId } };
  }

  #allocateProducerIds(command: AllocateProducerIds, change: Change): MetadataReply {
    const first = this.#table.meta.nextProducerId;
    const count = command.count + (command.count % 2);
    // Blocks begin at even ids: even ones are gapless, odd ones weak (partition/producer-table.ts).
    this.#table.putMeta(change, { nextProducerId: first + count + (count % 2) });
    return { ok: { first, count } };
  }

  #openProducer(command: OpenProducer, change: Change): MetadataReply {
    const known = this.#table.producers.get(command.name);
    if (known !== undefined && isRepetition(known, command)) return sessionOf(known);
    if (isFenced(known, command)) return fencedProducer(known);
    if (known === undefined && this.#table.producers.size >= PRODUCER_NAMES_MAX) {
      return refused("OVERLOADED", `${PRODUCER_NAMES_MAX} producer names are in use`, {
        limit: "producerNames",
      });
    }
    const { row, idsUsed } = nextSession(known, command, this.#table.meta.nextProducerId);
    this.#table.putMeta(change, { nextProducerId: this.#table.meta.nextProducerId + idsUsed });
    this.#table.putProducer(change, row);
    return sessionOf(row);
  }

  #replaceReplicas(command: ReplaceReplicas, change: Change): MetadataReply {
    const node = this.#table.nodes.get(command.nodeId);
    if (node === undefined || node.directoryId !== command.directoryId) {
      return refused(
        "NODE_FENCED",
        `node ${command.nodeId} is not registered with that directory`,
        {
          nodeId: command.nodeId,
        },
      );
    }
    const isLost = (replica: ReplicaPlacement): boolean =>
      replica.nodeId === node.nodeId && replica.directoryId !== node.directoryId;
    const renewed = (replica: ReplicaPlacement): ReplicaPlacement =>
      isLost(replica) ? placeOn(this.#table, replica.nodeId, change.index) : replica;
    let replaced = 0;
    for (const row of [...this.#table.topics.partitions.values()]) {
      if (!placementsOf(row).some(isLost)) continue;
      this.#table.putPartition(change, withPlacements(row, renewed));
      replaced += 1;
    }
    return { ok: { replaced } };
  }

  #raiseFeatureLevel(command: RaiseFeatureLevel, change: Change): MetadataReply {
    const { level } = command;
    if (level <= this.#table.meta.featureLevel)
      return { ok: { featureLevel: this.#table.meta.featureLevel } };
    for (const node of nodesInOrder(this.#table.nodes)) {
      if (level >= node.features.min && level <= node.features.max) continue;
      return refused("UNSUPPORTED_VERSION", `node ${node.nodeId} cannot use level ${level}`, {
        nodeId: node.nodeId,
        versionMin: node.features.min,
        versionMax: node.features.max,
      });
    }
    this.#table.putMeta(change, { featureLevel: level });
    return { ok: { featureLevel: level } };
  }
}

function commandOf(frame: Frame): MetadataCommand | undefined {
  if (frame.kind !== "data") return undefined;
  const bytes = sectionOf(frame, SECTION.COMMAND);
  return bytes === undefined ? undefined : decodeMetadataCommand(bytes);
}

/** Replies must not depend on the order in which a replica learned of the nodes. */
function nodesInOrder(nodes: ReadonlyMap<NodeId, NodeRow>): readonly NodeRow[] {
  return [...nodes.values()].sort((a, b) => a.nodeId - b.nodeId);
}

function unknownTopic(topicId: TopicId): MetadataReply {
  return refused("UNKNOWN_TOPIC_OR_PARTITION", "no topic has that id", { topicId });
}

function sessionOf({ producerId, weakProducerId, epoch }: ProducerRow): MetadataReply {
  return { ok: { producerId, weakProducerId, epoch } };
}

function fencedProducer(known: ProducerRow | undefined): MetadataReply {
  const fields = known === undefined ? {} : { producerEpoch: known.epoch };
  return refused("PRODUCER_FENCED", "the producer's name has another session", fields);
}

function withoutEmpty(settings: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(settings).filter(([, value]) => value !== ""));
}
