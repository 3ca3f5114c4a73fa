// `cluster init`: identity for empty data directories. A broker never does this by itself.
import type { ClusterConfig, NodeConfig } from "../../config/cluster-config.ts";
import { isNodeId } from "../../model/ids.ts";
import { type Context, configPath, type GlobalOptions, withClient } from "../context.ts";
import { EXIT } from "../exit-codes.ts";
import { CliError } from "../failure.ts";
import { foundCluster, joinCluster, type Origin, originFromNeighbour } from "../format-cluster.ts";

export interface InitOptions extends GlobalOptions {
  readonly join?: number;
}

export async function clusterInit(options: InitOptions, context: Context): Promise<void> {
  const config = await context.loadConfig(configPath(options, context.environment));
  const { nodeOf } = await import("../../config/load-config.ts");
  const nodes = options.join === undefined ? config.nodes : [nodeOf(config, options.join)];
  const [only] = nodes;
  const clusterId =
    options.join === undefined || only === undefined
      ? await foundCluster(config)
      : await join(config, only, options, context);
  if (options.output === "json") {
    context.terminal.line(JSON.stringify({ clusterId, nodes: nodes.map((node) => node.id) }));
    return;
  }
  for (const node of nodes) context.terminal.note(`node ${node.id}: formatted ${node.dataDir}`);
  context.terminal.note(`cluster ${clusterId}; start it with: flotilla cluster up`);
}

async function join(
  config: ClusterConfig,
  node: NodeConfig,
  options: InitOptions,
  context: Context,
): Promise<string> {
  const origin = originFromNeighbour(config, node) ?? (await originFromBroker(options, context));
  await joinCluster(config, node, origin);
  return origin.clusterId;
}

/** On a machine of its own, a new node learns from a running broker which cluster it joins. */
async function originFromBroker(options: InitOptions, context: Context): Promise<Origin> {
  try {
    const { clusterId, foundingLearners, foundingVoters } = await withClient(
      context,
      options,
      ({ admin }) => admin.describeCluster(),
    );
    if (foundingVoters.length === 0) throw new Error("that broker is too old to tell");
    return {
      clusterId,
      metadataVoters: foundingVoters.filter(isNodeId),
      metadataLearners: foundingLearners.filter(isNodeId),
    };
  } catch (cause) {
    throw new CliError(
      EXIT.CONFIG,
      "no other node of this file is formatted on this machine, and no broker could be asked which cluster it is",
      "name a running broker with --bootstrap host:port, or found a cluster with: flotilla cluster init",
      { cause },
    );
  }
}
