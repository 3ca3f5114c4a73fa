// `cluster init`: identity for empty data directories. A broker never does this by itself.
import { type Context, configPath, type GlobalOptions } from "../context.ts";
import { foundCluster, joinCluster } from "../format-cluster.ts";

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
      : await joinCluster(config, only);
  if (options.output === "json") {
    context.terminal.line(JSON.stringify({ clusterId, nodes: nodes.map((node) => node.id) }));
    return;
  }
  for (const node of nodes) context.terminal.note(`node ${node.id}: formatted ${node.dataDir}`);
  context.terminal.note(`cluster ${clusterId}; start it with: flotilla cluster up`);
}
