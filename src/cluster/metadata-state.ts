// The state machine of the metadata group: nodes, topics, partitions and their places, producer ids, feature level.
// Pure and deterministic: the same commands give the same rows on every node. The replica room applies entries to it;
// it publishes an immutable image for everybody else. Names, settings and numbers of a topic are checked by the
// proposer, because those rules may differ between software versions; what is checked here depends on applied state.
import { unreachable } from "../base/assert.ts";
import { type KeyedWrite, StorageError } from "../log/ports.ts";
import { type Frame, SECTION, sectionOf } from "../model/entry-frame.ts";
import type { GroupId, NodeId, ProducerId, TopicId } from "../model/ids.ts";
import { TOPICS_MAX } from "../model/limits.ts";
import type { LogIndex } from "../model/positions.ts";
import { initialLayout } from "../model/slots.ts";
import type { ApplyContext, StateMachine } from "../replica/ports.ts";
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
import { createImage, type MetadataDelta, type MetadataView } from "./metadata-image.ts";
import { type MetadataReply, refused } from "./metadata-reply.ts";
import { decideRegistration, type NodeRow } from "./node-table.ts";
import { type PlacementCandidate, planPlacement } from "./placement-plan.ts";
import { nextSession, PRODUCER_NAMES_MAX, type ProducerRow } from "./producer-table.ts";
import { decodeRow, encodeRow } from "./record-codec.ts";
import {
  type DeletedTopicRow,
  type PartitionRow,
  type ReplicaPlacement,
  replicaOfPlacement,
  type TopicRow,
  TopicTable,
} from "./topic-table.ts";

/** Partitions of all topics. Beyond: OVERLOADED. Part of the replicated rules: changing it needs a feature level. */
export const PARTITIONS_MAX = 200_000;
/** Deleted topics remembered. Beyond: the oldest is forgotten, and a node that missed it keeps its groups as orphans. */
export const DELETED_TOPICS_MAX = 10_000;
/** How keys become slots: the only way so far. */
export const KEY_HASH = "murmur2/4096";

interface MetaRow {
  readonly nextGroupId: GroupId;
  readonly nextProducerId: ProducerId;
  readonly featureLevel: number;
  /** Index of the newest entry that changed any row. */
  readonly changedIndex: LogIndex;
}

const FIRST_META: MetaRow = {
  nextGroupId: 1 as GroupId,
  nextProducerId: 1,
  featureLevel: 1,
  changedIndex: 0,
};

/** What one command did so far: the rows to write and what listeners will be told. */
interface Change {
  readonly index: LogIndex;
  readonly writes: KeyedWrite[];
  readonly nodes: NodeId[];
  readonly topics: TopicId[];
  readonly groups: GroupId[];
  readonly deletedTopics: TopicId[];
}

export class MetadataState implements StateMachine {
  /** Its log is cut by images, never by a command. */
  readonly logStartIndex: LogIndex = 1;
  readonly #view: MetadataView;
  #meta: MetaRow = FIRST_META;
  readonly #nodes = new Map<NodeId, NodeRow>();
  readonly #topics = new TopicTable();
  readonly #producers = new Map<string, ProducerRow>();
  #appliedIndex: LogIndex = 0;

  constructor(view: MetadataView) {
    this.#view = view;
  }

  /**
   * @returns a {@link MetadataReply} and the rows that changed
   * @throws BrokerError UNSUPPORTED_VERSION | INVALID_REQUEST for a command that this software cannot read: the
   * replica must halt. Nothing else throws, and nothing is changed before a command is known to be acceptable.
   */
  apply(
    frame: Frame,
    context: ApplyContext,
  ): { readonly reply?: MetadataReply; readonly writes: readonly KeyedWrite[] } {
    const command = commandOf(frame);
    this.#appliedIndex = context.index;
    if (command === undefined) return { writes: [] };
    return this.applyCommand(command, context.index);
  }

  /** As {@link apply}, for a command that is decoded already. */
  applyCommand(
    command: MetadataCommand,
    index: LogIndex,
  ): { readonly reply: MetadataReply; readonly writes: readonly KeyedWrite[] } {
    this.#appliedIndex = index;
    const change: Change = {
      index,
      writes: [],
      nodes: [],
      topics: [],
      groups: [],
      deletedTopics: [],
    };
    const reply = this.#dispatch(command, change);
    if (change.writes.length > 0) {
      this.#putMeta(change, { changedIndex: index });
      this.#publish({ ...change, isReset: false });
    }
    return { reply, writes: change.writes };
  }

  restore(pairs: Iterable<readonly [string, Uint8Array]>): void {
    this.#meta = FIRST_META;
    this.#nodes.clear();
    this.#topics.clear();
    this.#producers.clear();
    const deleted: DeletedTopicRow[] = [];
    for (const [key, bytes] of pairs) this.#restoreRow(key, bytes, deleted);
    deleted.sort((a, b) => a.deletedIndex - b.deletedIndex);
    for (const row of deleted) this.#topics.deleted.set(row.topicId, row);
    this.#appliedIndex = this.#meta.changedIndex;
    this.#publish({ isReset: true, nodes: [], topics: [], groups: [], deletedTopics: [] });
  }

  *pairs(): Iterable<readonly [string, Uint8Array]> {
    if (this.#meta.changedIndex === 0) return;
    yield [META_KEY, encodeRow(this.#meta)];
    for (const row of this.#nodes.values()) yield [nodeKey(row.nodeId), encodeRow(row)];
    for (const row of this.#topics.topics.values()) yield [topicKey(row.topicId), encodeRow(row)];
    for (const row of this.#topics.partitions.values()) {
      yield [partitionKey(row.groupId), encodeRow(row)];
    }
    for (const row of this.#topics.deleted.values()) {
      yield [deletedKey(row.topicId), encodeRow(row)];
    }
    for (const row of this.#producers.values()) yield [producerKey(row.name), encodeRow(row)];
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
      default:
        return unreachable(command);
    }
  }

  #registerNode(command: RegisterNode, change: Change): MetadataReply {
    const { featureLevel } = this.#meta;
    const known = this.#nodes.get(command.nodeId);
    const decision = decideRegistration(known, command, { index: change.index, featureLevel });
    if (decision.refusal !== undefined) {
      return refused("NODE_FENCED", `node ${command.nodeId} is refused: ${decision.refusal}`, {
        nodeId: command.nodeId,
        cause: decision.refusal,
      });
    }
    const { row } = decision;
    this.#putNode(change, row);
    const { nodeId, registeredIndex, metadataRevision } = row;
    return { ok: { nodeId, registeredIndex, metadataRevision, featureLevel } };
  }

  #setFenced(command: FenceNode | UnfenceNode, fenced: boolean, change: Change): MetadataReply {
    const known = this.#nodes.get(command.nodeId);
    // A restarted node has a new incarnation: what was decided about the old one is void.
    const isMeant = known !== undefined && known.incarnation === command.incarnation;
    if (!isMeant || known.fenced === fenced) return { ok: { changed: false } };
    this.#putNode(change, { ...known, fenced });
    return { ok: { changed: true } };
  }

  #createTopic(command: CreateTopic, change: Change): MetadataReply {
    const { topicId, name, partitions, replicationFactor, settings } = command;
    const holder = this.#topics.names.get(name);
    // The same id under the same name is a repeated proposal of a creation whose outcome the proposer did not learn.
    if (holder === topicId) return { ok: { topicId } };
    const candidates = this.#placementCandidates();
    const refusal = this.#refuseTopic(command, holder, candidates.length);
    if (refusal !== undefined) return refusal;
    const firstGroupId = this.#meta.nextGroupId;
    const placement = planPlacement(candidates, partitions, replicationFactor);
    this.#putMeta(change, { nextGroupId: (firstGroupId + partitions) as GroupId });
    this.#putTopic(change, {
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
      const replicas = nodeIds.map((nodeId) => this.#placeOn(nodeId, change.index));
      const groupId = (firstGroupId + partition) as GroupId;
      const founders = replicas.map(replicaOfPlacement);
      this.#putPartition(change, { groupId, topicId, partition, replicas, founders });
    }
    return { ok: { topicId } };
  }

  #refuseTopic(
    command: CreateTopic,
    holder: TopicId | undefined,
    nodesAvailable: number,
  ): MetadataReply | undefined {
    const { name, partitions, replicationFactor, topicId } = command;
    if (holder !== undefined) {
      return refused("TOPIC_EXISTS", `topic "${name}" exists already`, { topic: name });
    }
    if (this.#topics.topics.has(topicId) || this.#topics.deleted.has(topicId)) {
      return refused("INVALID_REQUEST", "the topic id was used before", { field: "topicId" });
    }
    if (this.#topics.topics.size >= TOPICS_MAX) {
      return refused("OVERLOADED", `the cluster has ${TOPICS_MAX} topics`, { limit: "topics" });
    }
    if (this.#topics.partitions.size + partitions > PARTITIONS_MAX) {
      return refused(
        "OVERLOADED",
        `the cluster would have more than ${PARTITIONS_MAX} partitions`,
        {
          limit: "partitions",
        },
      );
    }
    if (nodesAvailable >= replicationFactor) return undefined;
    return refused(
      "INVALID_REPLICATION_FACTOR",
      `${replicationFactor} replicas need as many nodes, ${nodesAvailable} are in service`,
      { nodesAvailable, replicationFactor },
    );
  }

  #alterTopic(command: AlterTopic, change: Change): MetadataReply {
    const topic = this.#topics.topics.get(command.topicId);
    if (topic === undefined) return unknownTopic(command.topicId);
    const settings = withoutEmpty({ ...topic.settings, ...command.settings });
    this.#putTopic(change, { ...topic, settings, changedIndex: change.index });
    return { ok: { topicId: topic.topicId } };
  }

  #deleteTopic(command: DeleteTopic, change: Change): MetadataReply {
    const { topicId } = command;
    if (this.#topics.deleted.has(topicId)) return { ok: { topicId } };
    const topic = this.#topics.topics.get(topicId);
    if (topic === undefined) return unknownTopic(topicId);
    const { name, firstGroupId, partitions } = topic;
    const deleted = { topicId, name, firstGroupId, partitions, deletedIndex: change.index };
    for (const row of this.#topics.partitionsOf(topic)) {
      change.writes.push({ type: "delete", key: partitionKey(row.groupId) });
      change.groups.push(row.groupId);
    }
    this.#topics.removeTopic(topic, deleted);
    change.writes.push({ type: "delete", key: topicKey(topicId) });
    change.writes.push({ type: "put", key: deletedKey(topicId), value: encodeRow(deleted) });
    change.deletedTopics.push(topicId);
    this.#forgetOldestDeleted(change);
    return { ok: { topicId } };
  }

  #forgetOldestDeleted(change: Change): void {
    for (const topicId of this.#topics.deleted.keys()) {
      if (this.#topics.deleted.size <= DELETED_TOPICS_MAX) return;
      this.#topics.deleted.delete(topicId);
      change.writes.push({ type: "delete", key: deletedKey(topicId) });
    }
  }

  #allocateProducerIds(command: AllocateProducerIds, change: Change): MetadataReply {
    const first = this.#meta.nextProducerId;
    this.#putMeta(change, { nextProducerId: first + command.count });
    return { ok: { first, count: command.count } };
  }

  #openProducer(command: OpenProducer, change: Change): MetadataReply {
    const { name } = command;
    const known = this.#producers.get(name);
    if (known === undefined && this.#producers.size >= PRODUCER_NAMES_MAX) {
      return refused("OVERLOADED", `${PRODUCER_NAMES_MAX} producer names are in use`, {
        limit: "producerNames",
      });
    }
    const { row, idsUsed } = nextSession(known, name, this.#meta.nextProducerId);
    this.#putMeta(change, { nextProducerId: this.#meta.nextProducerId + idsUsed });
    this.#producers.set(name, row);
    change.writes.push({ type: "put", key: producerKey(name), value: encodeRow(row) });
    const { producerId, weakProducerId, epoch } = row;
    return { ok: { producerId, weakProducerId, epoch } };
  }

  #replaceReplicas(command: ReplaceReplicas, change: Change): MetadataReply {
    const node = this.#nodes.get(command.nodeId);
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
    let replaced = 0;
    for (const row of [...this.#topics.partitions.values()]) {
      if (!row.replicas.some(isLost)) continue;
      const replicas = row.replicas.map((replica) =>
        isLost(replica) ? this.#placeOn(replica.nodeId, change.index) : replica,
      );
      this.#putPartition(change, { ...row, replicas });
      replaced += 1;
    }
    return { ok: { replaced } };
  }

  #raiseFeatureLevel(command: RaiseFeatureLevel, change: Change): MetadataReply {
    const { level } = command;
    if (level <= this.#meta.featureLevel) return { ok: { featureLevel: this.#meta.featureLevel } };
    for (const node of this.#nodes.values()) {
      if (level >= node.features.min && level <= node.features.max) continue;
      return refused("UNSUPPORTED_VERSION", `node ${node.nodeId} cannot use level ${level}`, {
        nodeId: node.nodeId,
        versionMin: node.features.min,
        versionMax: node.features.max,
      });
    }
    this.#putMeta(change, { featureLevel: level });
    return { ok: { featureLevel: level } };
  }

  #placementCandidates(): PlacementCandidate[] {
    const held = new Map<NodeId, { replicas: number; preferredLeaders: number }>();
    for (const node of this.#nodes.values()) {
      if (!node.fenced) held.set(node.nodeId, { replicas: 0, preferredLeaders: 0 });
    }
    for (const row of this.#topics.partitions.values()) {
      for (const [place, { nodeId }] of row.replicas.entries()) {
        const load = held.get(nodeId);
        if (load === undefined) continue;
        load.replicas += 1;
        if (place === 0) load.preferredLeaders += 1;
      }
    }
    return [...held].map(([nodeId, load]) => ({ nodeId, ...load }));
  }

  #placeOn(nodeId: NodeId, revision: LogIndex): ReplicaPlacement {
    return { nodeId, directoryId: this.#nodes.get(nodeId)?.directoryId ?? "", revision };
  }

  #putMeta(change: Change, fields: Partial<MetaRow>): void {
    this.#meta = { ...this.#meta, ...fields };
    change.writes.push({ type: "put", key: META_KEY, value: encodeRow(this.#meta) });
  }

  #putNode(change: Change, row: NodeRow): void {
    this.#nodes.set(row.nodeId, row);
    change.writes.push({ type: "put", key: nodeKey(row.nodeId), value: encodeRow(row) });
    change.nodes.push(row.nodeId);
  }

  #putTopic(change: Change, row: TopicRow): void {
    this.#topics.putTopic(row);
    change.writes.push({ type: "put", key: topicKey(row.topicId), value: encodeRow(row) });
    change.topics.push(row.topicId);
  }

  #putPartition(change: Change, row: PartitionRow): void {
    this.#topics.putPartition(row);
    change.writes.push({ type: "put", key: partitionKey(row.groupId), value: encodeRow(row) });
    change.groups.push(row.groupId);
  }

  #restoreRow(key: string, bytes: Uint8Array, deleted: DeletedTopicRow[]): void {
    const slash = key.indexOf("/");
    const table = slash < 0 ? key : key.slice(0, slash);
    if (table === "meta") this.#meta = decodeRow<MetaRow>(key, bytes);
    else if (table === "node") {
      const row = decodeRow<NodeRow>(key, bytes);
      this.#nodes.set(row.nodeId, row);
    } else if (table === "topic") this.#topics.putTopic(decodeRow<TopicRow>(key, bytes));
    else if (table === "partition") this.#topics.putPartition(decodeRow<PartitionRow>(key, bytes));
    else if (table === "deleted") deleted.push(decodeRow<DeletedTopicRow>(key, bytes));
    else if (table === "producer") {
      const row = decodeRow<ProducerRow>(key, bytes);
      this.#producers.set(row.name, row);
    } else throw new StorageError("version", key, "unknown metadata table");
  }

  #publish(delta: MetadataDelta): void {
    const before = this.#view.image;
    const changed = (list: readonly unknown[]): boolean => delta.isReset || list.length > 0;
    const topicsChanged = changed(delta.topics) || delta.deletedTopics.length > 0;
    const table = this.#topics;
    // Tables that did not change are shared between images: only the touched ones are copied.
    this.#names = topicsChanged ? new Map(table.names) : this.#names;
    const image = createImage({
      version: this.#appliedIndex,
      featureLevel: this.#meta.featureLevel,
      nodes: changed(delta.nodes) ? new Map(this.#nodes) : before.nodes,
      topics: topicsChanged ? new Map(table.topics) : before.topics,
      partitions: changed(delta.groups) ? new Map(table.partitions) : before.partitions,
      deletedTopics: topicsChanged ? new Map(table.deleted) : before.deletedTopics,
      names: this.#names,
    });
    const { isReset, nodes, topics, groups, deletedTopics } = delta;
    this.#view.publish(image, { isReset, nodes, topics, groups, deletedTopics });
  }

  #names: ReadonlyMap<string, TopicId> = new Map();
}

const META_KEY = "meta";

function nodeKey(nodeId: NodeId): string {
  return `node/${nodeId}`;
}

function topicKey(topicId: TopicId): string {
  return `topic/${topicId}`;
}

function partitionKey(groupId: GroupId): string {
  return `partition/${groupId}`;
}

function deletedKey(topicId: TopicId): string {
  return `deleted/${topicId}`;
}

function producerKey(name: string): string {
  return `producer/${name}`;
}

function commandOf(frame: Frame): MetadataCommand | undefined {
  if (frame.kind !== "data") return undefined;
  const bytes = sectionOf(frame, SECTION.COMMAND);
  return bytes === undefined ? undefined : decodeMetadataCommand(bytes);
}

function unknownTopic(topicId: TopicId): MetadataReply {
  return refused("UNKNOWN_TOPIC_OR_PARTITION", "no topic has that id", { topicId });
}

function withoutEmpty(settings: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(settings).filter(([, value]) => value !== ""));
}
