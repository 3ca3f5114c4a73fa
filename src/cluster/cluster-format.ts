// Formats data directories (`flotilla cluster init`) and reads back what they say about themselves.
// A broker never formats by itself: an empty directory may be a disk that was not mounted
// (architecture §7.9).
//
// node.json: { formatVersion, clusterId, nodeId, directoryId, createdAt, metadataVoters,
// metadataRevision }
import { assert } from "../base/assert.ts";
import type { Clock } from "../base/clock.ts";
import type { Random } from "../base/random.ts";
import { type Disk, StorageError } from "../log/ports.ts";
import { isNodeId, NODE_ID_MAX, type NodeId, type ReplicaId, replicaIdOf } from "../model/ids.ts";
import { METADATA_VOTERS_MAX } from "./membership-plan.ts";

export const NODE_FILE = "node.json";
export const NODE_FILE_VERSION = 1;
/** Nodes that a cluster can be formatted with, inclusive. */
export const INITIAL_NODES_MAX = 64;

const NODE_FILE_BYTES_MAX = 64 * 1024;
const TEMPORARY_FILE = `${NODE_FILE}.tmp`;
/**
 * Names that do not make a directory "in use": our lock, an interrupted format, and what file
 * systems put there.
 */
const HARMLESS_NAMES: ReadonlySet<string> = new Set([
  TEMPORARY_FILE,
  "lock",
  "LOCK",
  "lost+found",
  ".DS_Store",
]);

/** What a data directory says about itself. */
export interface NodeFile {
  readonly formatVersion: number;
  readonly clusterId: string;
  readonly nodeId: NodeId;
  /** Drawn when the directory was formatted: an emptied and formatted disk is another directory. */
  readonly directoryId: string;
  /** ISO 8601, for people. */
  readonly createdAt: string;
  /**
   * Nodes whose metadata replicas voted when the cluster was founded; the same list on every node,
   * ascending.
   */
  readonly metadataVoters: readonly NodeId[];
  /** Nodes that learned then (the fourth and further ones), ascending. */
  readonly metadataLearners: readonly NodeId[];
  /**
   * Revision of this directory's metadata replica: 0 for a founder; undefined for a directory that
   * joins a running cluster and was not registered yet (see {@link recordMetadataRevision}).
   */
  readonly metadataRevision: number | undefined;
}

/** Nodes whose metadata replicas voted, and learned, when the cluster was founded. */
export type Founders = Pick<NodeFile, "metadataVoters" | "metadataLearners">;

export interface FormatOptions {
  /** UUID, the same for all nodes of the cluster. */
  readonly clusterId: string;
  readonly nodeId: NodeId;
  /** All nodes of the cluster, this one among them. The three lowest ids become metadata voters of a new cluster. */
  readonly nodeIds: readonly NodeId[];
  /**
   * The directory joins a cluster that exists already (a new node, or a known node whose disk was
   * emptied): its replicas are new ones and begin as learners. False only for the one `cluster
   * init` that founds the cluster.
   */
  readonly joins: boolean;
  /**
   * With which the cluster was founded, for a directory that joins: the configuration in which the metadata group's log
   * begins. A guess from the present nodes would be wrong as soon as founders have left.
   */
  readonly founders?: Founders;
  readonly clock: Clock;
  readonly random: Random;
}

/**
 * Formats an empty directory; durable when it resolves.
 * @throws StorageError "io" when the directory is formatted already or holds anything else;
 * RangeError for bad ids
 */
export async function formatDirectory(disk: Disk, options: FormatOptions): Promise<NodeFile> {
  const nodeIds = checkedNodeIds(options);
  const names = disk.list("");
  if (names.includes(NODE_FILE)) {
    const found = readNodeFile(disk);
    throw new StorageError(
      "io",
      NODE_FILE,
      `the directory is formatted already (node ${found.nodeId} of cluster ${found.clusterId})`,
    );
  }
  const foreign = names.filter((name) => !HARMLESS_NAMES.has(name));
  if (foreign.length > 0) {
    const shown = foreign.slice(0, 5).join(", ");
    throw new StorageError("io", "", `the directory is not empty (${shown}); nothing was changed`);
  }
  const file: NodeFile = {
    formatVersion: NODE_FILE_VERSION,
    clusterId: options.clusterId,
    nodeId: options.nodeId,
    directoryId: options.random.uuid(),
    createdAt: new Date(options.clock.wallMs()).toISOString(),
    metadataVoters: options.founders?.metadataVoters ?? nodeIds.slice(0, METADATA_VOTERS_MAX),
    metadataLearners: options.founders?.metadataLearners ?? nodeIds.slice(METADATA_VOTERS_MAX),
    metadataRevision: options.joins ? undefined : 0,
  };
  await writeNodeFile(disk, file);
  return file;
}

/**
 * Reads and checks node.json.
 * @throws StorageError "missing" (not formatted), "version" (a newer format), "corrupt" (damaged)
 */
export function readNodeFile(disk: Disk): NodeFile {
  if (!disk.exists(NODE_FILE)) {
    throw new StorageError(
      "missing",
      NODE_FILE,
      "the directory is not formatted; run cluster init",
    );
  }
  const file = disk.open(NODE_FILE, { create: false });
  try {
    if (file.size > NODE_FILE_BYTES_MAX) throw damaged("size");
    return checkedNodeFile(parse(file.readSync(0, file.size).toString("utf8")));
  } finally {
    file.close();
  }
}

/**
 * Notes the revision that the first registration of a joining directory was given. Durable when it
 * resolves.
 */
export async function recordMetadataRevision(disk: Disk, revision: number): Promise<NodeFile> {
  const file = readNodeFile(disk);
  if (file.metadataRevision === revision) return file;
  assert(file.metadataRevision === undefined, "a metadata revision never changes", { revision });
  const updated = { ...file, metadataRevision: revision };
  await writeNodeFile(disk, updated);
  return updated;
}

/** The metadata group went on without this directory's replica, or from it under another id. Durable when it resolves. */
export async function replaceMetadataRevision(disk: Disk, revision: number): Promise<NodeFile> {
  const file = readNodeFile(disk);
  if (file.metadataRevision === revision) return file;
  assert(revision > (file.metadataRevision ?? 0), "metadata revisions grow", { revision });
  const updated = { ...file, metadataRevision: revision };
  await writeNodeFile(disk, updated);
  return updated;
}

/**
 * The metadata group's configuration when the cluster was founded; equal on every founder. A
 * directory that joins must not use it as its own: it begins as a member of nothing.
 */
export function foundingMembership(file: NodeFile): {
  readonly voters: readonly ReplicaId[];
  readonly learners: readonly ReplicaId[];
} {
  return {
    voters: file.metadataVoters.map((nodeId) => replicaIdOf(nodeId, 0)),
    learners: file.metadataLearners.map((nodeId) => replicaIdOf(nodeId, 0)),
  };
}

/** This directory's metadata replica; undefined while a joining directory is not registered. */
export function metadataReplicaOf(file: NodeFile): ReplicaId | undefined {
  const { metadataRevision, nodeId } = file;
  return metadataRevision === undefined ? undefined : replicaIdOf(nodeId, metadataRevision);
}

async function writeNodeFile(disk: Disk, file: NodeFile): Promise<void> {
  if (disk.exists(TEMPORARY_FILE)) disk.remove(TEMPORARY_FILE);
  const temporary = disk.open(TEMPORARY_FILE, { create: true });
  try {
    temporary.append([Buffer.from(`${JSON.stringify(file, undefined, 2)}\n`, "utf8")]);
    await temporary.sync();
  } finally {
    temporary.close();
  }
  disk.rename(TEMPORARY_FILE, NODE_FILE);
  await disk.syncDirectory("");
}

function checkedNodeIds(options: FormatOptions): readonly NodeId[] {
  const nodeIds = [...new Set(options.nodeIds)].sort((a, b) => a - b);
  if (nodeIds.length !== options.nodeIds.length) throw new RangeError("node ids occur twice");
  if (nodeIds.length > INITIAL_NODES_MAX)
    throw new RangeError(`more than ${INITIAL_NODES_MAX} nodes`);
  if (!nodeIds.every(isNodeId)) throw new RangeError(`node ids must be 1 to ${NODE_ID_MAX}`);
  if (!nodeIds.includes(options.nodeId)) {
    throw new RangeError(`node ${options.nodeId} is not among the nodes of the cluster`);
  }
  return nodeIds;
}

function parse(text: string): Readonly<Record<string, unknown>> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw damaged("JSON", error);
  }
  if (typeof value !== "object" || value === null) throw damaged("JSON");
  return value as Readonly<Record<string, unknown>>;
}

function checkedNodeFile(fields: Readonly<Record<string, unknown>>): NodeFile {
  const version = fields["formatVersion"];
  if (typeof version !== "number") throw damaged("formatVersion");
  if (version !== NODE_FILE_VERSION) {
    throw new StorageError(
      "version",
      NODE_FILE,
      `format ${version} is not known to this broker (it knows ${NODE_FILE_VERSION})`,
    );
  }
  const nodeId = fields["nodeId"];
  if (!isNodeId(nodeId)) throw damaged("nodeId");
  const revision = fields["metadataRevision"];
  if (revision !== undefined && !(Number.isSafeInteger(revision) && Number(revision) >= 0)) {
    throw damaged("metadataRevision");
  }
  return {
    formatVersion: version,
    clusterId: text(fields, "clusterId"),
    nodeId,
    directoryId: text(fields, "directoryId"),
    createdAt: text(fields, "createdAt"),
    metadataVoters: nodeIds(fields, "metadataVoters", 1),
    metadataLearners: nodeIds(fields, "metadataLearners", 0),
    metadataRevision: revision === undefined ? undefined : Number(revision),
  };
}

function text(fields: Readonly<Record<string, unknown>>, name: string): string {
  const value = fields[name];
  if (typeof value !== "string" || value === "") throw damaged(name);
  return value;
}

function nodeIds(
  fields: Readonly<Record<string, unknown>>,
  name: string,
  countMin: number,
): readonly NodeId[] {
  const value = fields[name];
  if (!Array.isArray(value) || value.length < countMin || !value.every(isNodeId))
    throw damaged(name);
  return value;
}

function damaged(what: string, cause?: unknown): StorageError {
  return new StorageError("corrupt", NODE_FILE, `damaged: bad ${what}`, { cause });
}
