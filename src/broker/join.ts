// The way into a running cluster for a data directory that `cluster init --join` formatted (a new node, or a known node
// whose disk was emptied or replaced): it registers through any peer before it opens anything, learns the revision of
// its metadata replica, and from then on starts like any other. It never votes as its former self: all its replicas
// have new ids (architecture §7.9).
import { type Clock, sleep } from "../base/clock.ts";
import { type NodeFile, recordMetadataRevision } from "../cluster/cluster-format.ts";
import { encodeMetadataCommand, type NodeEndpoints } from "../cluster/metadata-commands.ts";
import { decodeMetadataReply, numberOf, resultOf } from "../cluster/metadata-reply.ts";
import type { Disk } from "../log/ports.ts";
import { BrokerError, isBrokerError } from "../model/errors.ts";
import type { NodeId } from "../model/ids.ts";
import type { Logger } from "../replica/ports.ts";
import { ProposeMetadataRequest } from "../rpc/generated/flotilla-internal-v1.ts";
import { peerService } from "../rpc/methods.ts";
import type { Connector } from "../rpc/ports.ts";

const ATTEMPT_TIMEOUT_MS = 5000;
const PAUSE_MS = 500;

export interface JoinOptions {
  readonly disk: Disk;
  readonly nodeFile: NodeFile;
  readonly endpoints: NodeEndpoints;
  readonly peers: readonly { readonly nodeId: NodeId; readonly endpoint: string }[];
  readonly connector: Connector;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly signal: AbortSignal;
}

/**
 * Registers the directory and notes its revision; returns the completed node file at once when that happened before.
 * Tries the peers in turn until one leads, or until `signal` is aborted.
 * @throws BrokerError NODE_FENCED or another final refusal
 */
export async function joinCluster(options: JoinOptions): Promise<NodeFile> {
  const { clock, disk, logger, nodeFile, peers, signal } = options;
  if (nodeFile.metadataRevision !== undefined) return nodeFile;
  logger.info(
    { nodeId: nodeFile.nodeId, directoryId: nodeFile.directoryId },
    "joining the cluster",
  );
  for (;;) {
    for (const peer of peers) {
      if (peer.nodeId === nodeFile.nodeId) continue;
      const revision = await askPeer(options, peer.endpoint);
      if (revision !== undefined) return recordMetadataRevision(disk, revision);
    }
    await sleep(clock, PAUSE_MS, signal);
  }
}

async function askPeer(options: JoinOptions, endpoint: string): Promise<number | undefined> {
  const { connector, logger, nodeFile } = options;
  const connection = connector.connect(endpoint, "peer-join");
  try {
    const command = encodeMetadataCommand({
      type: "register-node",
      nodeId: nodeFile.nodeId,
      directoryId: nodeFile.directoryId,
      incarnation: 1,
      endpoints: options.endpoints,
      features: { min: 1, max: 1 },
      founder: false,
    });
    const request = ProposeMetadataRequest.create({
      clusterId: nodeFile.clusterId,
      nodeId: nodeFile.nodeId,
      command,
    });
    const response = await connection.unary(peerService.proposeMetadata, request, {
      timeoutMs: ATTEMPT_TIMEOUT_MS,
      signal: options.signal,
    });
    return numberOf(resultOf(decodeMetadataReply(response.reply)), "metadataRevision");
  } catch (error) {
    if (!isBrokerError(error)) throw error;
    const isForeign =
      error.reason === "NODE_FENCED" && error.fields["cause"] === "foreign-directory";
    if (error.retry === "never" || (error.reason === "NODE_FENCED" && !isForeign)) throw error;
    logger.info({ endpoint, reason: error.reason }, "this peer could not take the registration");
    return undefined;
  } finally {
    connection.close();
  }
}

/** For callers that can not go on without a revision. */
export function requireRevision(nodeFile: NodeFile): number {
  if (nodeFile.metadataRevision !== undefined) return nodeFile.metadataRevision;
  throw new BrokerError("NODE_FENCED", "this directory has not joined the cluster yet");
}
