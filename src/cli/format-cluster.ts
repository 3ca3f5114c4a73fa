// `cluster init`: gives every local data directory its identity, once. Never touches one that holds anything.
import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { systemClock } from "../base/clock.ts";
import { systemRandom } from "../base/random.ts";
import { formatDirectory, NODE_FILE, readNodeFile } from "../cluster/cluster-format.ts";
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
  for (const node of config.nodes) await format(config, node, clusterId, false);
  return clusterId;
}

/** Gives an emptied or added node a new identity in the cluster of its neighbours; its replicas begin as learners. */
export async function joinCluster(config: ClusterConfig, node: NodeConfig): Promise<string> {
  const pid = runningPid(node);
  if (pid !== undefined) {
    throw new CliError(
      EXIT.CONFIG,
      `node ${node.id} is running (pid ${pid})`,
      `stop it first: flotilla cluster kill ${node.id} --signal TERM`,
    );
  }
  const member = config.nodes.find((other) => other.id !== node.id && isFormatted(other));
  if (member === undefined) {
    throw new CliError(
      EXIT.CONFIG,
      "no other node of this file is formatted on this machine, so the cluster's id is not known",
      "copy cluster.yaml to a machine with a formatted node, or found a cluster with: flotilla cluster init",
    );
  }
  const { clusterId } = readNodeFile(openRealDisk(member.dataDir));
  await format(config, node, clusterId, true);
  return clusterId;
}

async function format(
  config: ClusterConfig,
  node: NodeConfig,
  clusterId: string,
  joins: boolean,
): Promise<void> {
  mkdirSync(node.dataDir, { recursive: true });
  await formatDirectory(openRealDisk(node.dataDir), {
    clusterId,
    nodeId: node.id,
    nodeIds: config.nodes.map((other) => other.id),
    joins,
    clock: systemClock,
    random: systemRandom,
  });
}
