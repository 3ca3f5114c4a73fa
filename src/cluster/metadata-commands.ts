// The replicated commands of the metadata group and their versioned JSON form (the COMMAND section
// of an entry frame, ADR-0006). Frontends and registration encode them, the metadata leader decodes
// what peers propose, and metadata-state.ts decodes again at apply. One decoder serves both, so
// whatever got into the log can be applied.
import { BrokerError } from "../model/errors.ts";
import type { NodeId, TopicId } from "../model/ids.ts";
import { PRODUCER_NAME_CHARACTERS_MAX } from "../model/limits.ts";
import {
  type Fields,
  integer,
  malformed,
  nodeId,
  object,
  parseObject,
  text,
  texts,
  truth,
} from "./command-fields.ts";
import { MEMBER_DECODERS, type MemberCommand } from "./member-commands.ts";
import {
  PRODUCER_EPOCH_MAX,
  PRODUCER_TOKEN_CHARACTERS_MAX,
  type PreviousSession,
  type ProducerOpening,
} from "./producer-table.ts";
import { SUBSCRIPTION_DECODERS, type SubscriptionCommand } from "./subscription-commands.ts";

/**
 * Version that this code writes. A command with a higher one is not understood and halts the
 * replica.
 */
export const METADATA_COMMAND_VERSION = 1;
/** Bytes of one encoded command, inclusive. Larger: INVALID_REQUEST, before it is proposed. */
export const METADATA_COMMAND_BYTES_MAX: number = 1024 * 1024;
/** Producer ids per block, inclusive. More: INVALID_REQUEST. */
export const PRODUCER_ID_BLOCK_MAX = 100_000;

/**
 * Where a node can be reached, each as advertised (host:port); `admin` is empty when not
 * advertised.
 */
export interface NodeEndpoints {
  readonly client: string;
  readonly peer: string;
  readonly admin: string;
}

/** Feature levels that a node's software can write and read, both inclusive. */
export interface FeatureRange {
  readonly min: number;
  readonly max: number;
}

/**
 * A node says at each start who it is; a new directory id means that its disk was emptied or
 * replaced.
 */
export interface RegisterNode {
  readonly type: "register-node";
  readonly nodeId: NodeId;
  readonly directoryId: string;
  /** Start counter of that directory, from 1. */
  readonly incarnation: number;
  readonly endpoints: NodeEndpoints;
  readonly features: FeatureRange;
  /**
   * The directory was formatted by the `cluster init` that founded the cluster (node.json:
   * metadataRevision 0).
   */
  readonly founder: boolean;
}

/**
 * Takes a silent node out of service. Applies only to the incarnation named, so that a restart is
 * not undone.
 */
export interface FenceNode {
  readonly type: "fence-node";
  readonly nodeId: NodeId;
  readonly incarnation: number;
}

/** Puts a node back that was silent for a while but did not restart. */
export interface UnfenceNode {
  readonly type: "unfence-node";
  readonly nodeId: NodeId;
  readonly incarnation: number;
}

/** The proposer checks name, numbers and settings; placement follows from applied state. */
export interface CreateTopic {
  readonly type: "create-topic";
  /** Drawn by the proposer: makes a repeated proposal recognisable. */
  readonly topicId: TopicId;
  readonly name: string;
  readonly partitions: number;
  readonly replicationFactor: number;
  readonly settings: Readonly<Record<string, string>>;
}

/** New values of settings; an empty value restores the default. */
export interface AlterTopic {
  readonly type: "alter-topic";
  readonly topicId: TopicId;
  readonly settings: Readonly<Record<string, string>>;
}

export interface DeleteTopic {
  readonly type: "delete-topic";
  readonly topicId: TopicId;
}

/** Reserves a block of producer ids for a node, which hands them out without a further round. */
export interface AllocateProducerIds {
  readonly type: "allocate-producer-ids";
  readonly nodeId: NodeId;
  readonly count: number;
}

/** Opens a named session: fences the previous one of that name by a higher epoch. */
export interface OpenProducer extends ProducerOpening {
  readonly type: "open-producer";
}

/**
 * Gives new replicas, in the node's present directory, in place of those that its former
 * directories held.
 */
export interface ReplaceReplicas {
  readonly type: "replace-replicas";
  readonly nodeId: NodeId;
  /** The present directory; another one by the time of apply changes nothing. */
  readonly directoryId: string;
}

/** Lets the cluster write formats of this level; never lowered. */
export interface RaiseFeatureLevel {
  readonly type: "raise-feature-level";
  readonly level: number;
}

export type MetadataCommand =
  | RegisterNode
  | FenceNode
  | UnfenceNode
  | CreateTopic
  | AlterTopic
  | DeleteTopic
  | AllocateProducerIds
  | OpenProducer
  | ReplaceReplicas
  | RaiseFeatureLevel
  | MemberCommand
  | SubscriptionCommand;

/** UTF-8 JSON `{ "v": 1, "type": …, … }`. */
export function encodeMetadataCommand(command: MetadataCommand): Buffer {
  return Buffer.from(JSON.stringify({ v: METADATA_COMMAND_VERSION, ...command }), "utf8");
}

/**
 * Decodes and checks the shape of a command.
 *
 * @throws BrokerError UNSUPPORTED_VERSION for a newer version or an unknown type: a replica that
 * meets one in its log must halt, never skip it (architecture §7.12); INVALID_REQUEST for anything
 * malformed.
 */
export function decodeMetadataCommand(bytes: Uint8Array): MetadataCommand {
  const fields = parseObject(bytes, METADATA_COMMAND_BYTES_MAX);
  const version = fields["v"];
  const type = fields["type"];
  if (typeof version !== "number" || typeof type !== "string") {
    throw malformed(typeof version === "number" ? "type" : "v");
  }
  const decode = Object.hasOwn(DECODERS, type)
    ? DECODERS[type as MetadataCommand["type"]]
    : undefined;
  if (version > METADATA_COMMAND_VERSION || decode === undefined) {
    throw new BrokerError(
      "UNSUPPORTED_VERSION",
      `metadata command "${type}" of version ${version} is not known to this broker; upgrade it`,
      { command: type, version, versionMin: 1, versionMax: METADATA_COMMAND_VERSION },
    );
  }
  return decode(fields);
}

const DECODERS: {
  readonly [Type in MetadataCommand["type"]]: (
    fields: Fields,
  ) => Extract<MetadataCommand, { readonly type: Type }>;
} = {
  ...MEMBER_DECODERS,
  ...SUBSCRIPTION_DECODERS,
  "register-node": (fields) => ({
    type: "register-node",
    nodeId: nodeId(fields),
    directoryId: text(fields, "directoryId", 1, 64),
    incarnation: integer(fields, "incarnation", 1, Number.MAX_SAFE_INTEGER),
    endpoints: endpoints(object(fields, "endpoints")),
    features: features(object(fields, "features")),
    founder: truth(fields, "founder"),
  }),
  "fence-node": (fields) => ({
    type: "fence-node",
    nodeId: nodeId(fields),
    incarnation: integer(fields, "incarnation", 1, Number.MAX_SAFE_INTEGER),
  }),
  "unfence-node": (fields) => ({
    type: "unfence-node",
    nodeId: nodeId(fields),
    incarnation: integer(fields, "incarnation", 1, Number.MAX_SAFE_INTEGER),
  }),
  "create-topic": (fields) => ({
    type: "create-topic",
    topicId: topicId(fields),
    name: text(fields, "name", 1, 255),
    partitions: integer(fields, "partitions", 1, 4096),
    replicationFactor: integer(fields, "replicationFactor", 1, 7),
    settings: texts(object(fields, "settings")),
  }),
  "alter-topic": (fields) => ({
    type: "alter-topic",
    topicId: topicId(fields),
    settings: texts(object(fields, "settings")),
  }),
  "delete-topic": (fields) => ({ type: "delete-topic", topicId: topicId(fields) }),
  "allocate-producer-ids": (fields) => ({
    type: "allocate-producer-ids",
    nodeId: nodeId(fields),
    count: integer(fields, "count", 1, PRODUCER_ID_BLOCK_MAX),
  }),
  "open-producer": (fields) => ({
    type: "open-producer",
    name: text(fields, "name", 1, PRODUCER_NAME_CHARACTERS_MAX),
    token:
      fields["token"] === undefined
        ? undefined
        : text(fields, "token", 1, PRODUCER_TOKEN_CHARACTERS_MAX),
    previous:
      fields["previous"] === undefined ? undefined : previousSession(object(fields, "previous")),
  }),
  "replace-replicas": (fields) => ({
    type: "replace-replicas",
    nodeId: nodeId(fields),
    directoryId: text(fields, "directoryId", 1, 64),
  }),
  "raise-feature-level": (fields) => ({
    type: "raise-feature-level",
    level: integer(fields, "level", 1, 1_000_000),
  }),
};

function topicId(fields: Fields): TopicId {
  return text(fields, "topicId", 1, 64) as TopicId;
}

function previousSession(fields: Fields): PreviousSession {
  return {
    producerId: integer(fields, "producerId", 0, Number.MAX_SAFE_INTEGER),
    epoch: integer(fields, "epoch", 0, PRODUCER_EPOCH_MAX),
  };
}

function endpoints(fields: Fields): NodeEndpoints {
  return {
    client: text(fields, "client", 1, 300),
    peer: text(fields, "peer", 1, 300),
    admin: text(fields, "admin", 0, 300),
  };
}

function features(fields: Fields): FeatureRange {
  const min = integer(fields, "min", 1, 1_000_000);
  return { min, max: integer(fields, "max", min, 1_000_000) };
}
