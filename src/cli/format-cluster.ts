// `cluster init`: gives every local data directory its identity, once. Never touches one that holds anything.
import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { systemClock } from "../base/clock.ts";
import { systemRandom } from "../base/random.ts";
import {
  type Founders,
  formatDirectory,
  NODE_FILE,
  readNodeFile,
} from "../cluster/cluster-format.ts";
import type { ClusterConfig, NodeConfig } from "../config/cluster-config.ts";
import { openRealDisk } from "../log/real-disk.ts";
import { EXIT } from "./exit-codes.ts";
import { CliError } from "./failure.ts";
import { runningPid } from "./node-process.ts";

export function isFormatted(node: NodeConfig): boolean {
  return existsSync(join(node.dataDir, NODE_FILE));
}

/** Founds a new cluster: formats the directories of all nodes. Returns its id. */
export async function foundCluster(config: ClusterConfig): Promise<string> {
  const formatted = config.nodes.filter(isFormatted);
  if (formatted.length > 0) {
    const ids = formatted.map((node) => node.id).join(", ");
    throw new CliError(
      EXIT.CONFIG,
      `already formatted: node ${ids}`,
      formatted.length === config.nodes.length
        ? "start the cluster with: flotilla cluster up"
        : "give an emptied or new node its identity with: flotilla cluster init --join NODE",
    );
  }
  const clusterId = systemRandom.uuid();
  for (const node of config.nodes) await format(config, node, clusterId);
  return clusterId;
}

/** Which cluster a directory joins, and how that one began. */
export interface Origin extends Founders {
  readonly clusterId: string;
}

/** From a node of the file that is formatted on this machine; undefined when there is none. */
export function originFromNeighbour(config: ClusterConfig, node: NodeConfig): Origin | undefined {
  const member = config.nodes.find((other) => other.id !== node.id && isFormatted(other));
  return member === undefined ? undefined : readNodeFile(openRealDisk(member.dataDir));
}

/** Gives an emptied or added node a new identity in the cluster; its replicas begin as learners. */
export async function joinCluster(
  config: ClusterConfig,
  node: NodeConfig,
  origin: Origin,
): Promise<void> {
  const pid = runningPid(node);
  if (pid !== undefined) {
    throw new CliError(
      EXIT.CONFIG,
      `node ${node.id} is running (pid ${pid})`,
      `stop it first: flotilla cluster kill ${node.id} --signal TERM`,
    );
  }
  const { clusterId, metadataLearners, metadataVoters } = origin;
  await format(config, node, clusterId, { metadataLearners, metadataVoters });
}

async function format(
  config: ClusterConfig,
  node: NodeConfig,
  clusterId: string,
  founders?: Founders,
): Promise<void> {
  mkdirSync(node.dataDir, { recursive: true });
  await formatDirectory(openRealDisk(node.dataDir), {
    clusterId,
    nodeId: node.id,
    nodeIds: config.nodes.map((other) => other.id),
    joins: founders !== undefined,
    ...(founders === undefined ? {} : { founders }),
    clock: systemClock,
    random: systemRandom,
  });
}
