// `flotilla node …`: the nodes of the cluster, and those that leave it for good.
import type { ClusterDetails, NodeDetails } from "../client-port.ts";
import { type Context, type GlobalOptions, withClient } from "../context.ts";
import { EXIT } from "../exit-codes.ts";
import { CliError } from "../failure.ts";
import { printRows } from "../table.ts";
import { watchDecommission } from "../watch-moves.ts";

export async function nodeList(options: GlobalOptions, context: Context): Promise<void> {
  const cluster = await withClient(context, options, ({ admin }) => admin.describeCluster());
  const nodes = [...cluster.nodes].sort((a, b) => a.nodeId - b.nodeId);
  printRows(
    context.terminal,
    options.output,
    nodes.map((node) => ({ ...node, state: stateOf(node), metadata: roleOf(node, cluster) })),
    [
      { title: "NODE", text: (node) => node.nodeId, align: "right" },
      { title: "STATE", text: (node) => node.state },
      { title: "METADATA", text: (node) => node.metadata },
      { title: "LEADS", text: (node) => node.leaders, align: "right" },
      { title: "REPLICAS", text: (node) => node.replicas, align: "right" },
      { title: "CLIENT", text: (node) => node.endpoint },
      {
        title: "HEARD",
        text: (node) => `${Math.round(node.lastHeardMs / 1000)} s ago`,
        align: "right",
      },
    ],
    "no nodes",
  );
  if (options.output === "table" && cluster.movingPartitions > 0) {
    context.terminal.note(
      `${cluster.movingPartitions} partitions are moving; see: flotilla replica list`,
    );
  }
}

function stateOf(node: NodeDetails): string {
  const service = node.fenced ? "out of service" : "in service";
  if (!node.decommissioning) return service;
  return `leaving, ${node.partitionsLeft} partitions left${node.fenced ? ", out of service" : ""}`;
}

function roleOf(node: NodeDetails, cluster: ClusterDetails): string {
  if (node.nodeId === cluster.controllerId) return "leader";
  return node.metadataVoter ? "voter" : "learner";
}

export interface DecommissionOptions extends GlobalOptions {
  readonly watch?: boolean;
}

export async function nodeDecommission(
  nodeId: number,
  options: DecommissionOptions,
  context: Context,
): Promise<void> {
  await drain(context, options, { nodeId, replacementNode: undefined, onlyIfFenced: false });
}

export interface ReplaceOptions extends DecommissionOptions {
  readonly with: number;
}

export async function nodeReplace(
  nodeId: number,
  options: ReplaceOptions,
  context: Context,
): Promise<void> {
  await drain(context, options, { nodeId, replacementNode: options.with, onlyIfFenced: true });
}

async function drain(
  context: Context,
  options: DecommissionOptions,
  wish: {
    readonly nodeId: number;
    readonly replacementNode: number | undefined;
    readonly onlyIfFenced: boolean;
  },
): Promise<void> {
  const { nodeId } = wish;
  const { terminal } = context;
  await withClient(context, options, async ({ admin }) => {
    const { changed, metadataIndex, partitions } = await admin.members.decommissionNode(wish);
    const isWatched = options.watch === true;
    if (options.output === "table") {
      const begun = changed ? "is leaving" : "was leaving already";
      terminal.note(`node ${nodeId} ${begun}; ${partitions} partitions move to other nodes`);
      if (!isWatched) {
        terminal.note(
          `watch it with: flotilla node list; keep it with: flotilla node cancel ${nodeId}`,
        );
      }
    }
    if (isWatched) await watchDecommission(admin, context, metadataIndex, nodeId);
    if (options.output === "json") {
      terminal.line(JSON.stringify({ nodeId, changed, partitions, done: isWatched }));
    } else if (isWatched) {
      terminal.note(
        `node ${nodeId} is not a member any more; its process stops, its directory can be deleted, and it can be taken out of cluster.yaml`,
      );
    }
  });
}

export async function nodeCancel(
  nodeId: number,
  options: GlobalOptions,
  context: Context,
): Promise<void> {
  const { changed, partitions } = await withClient(context, options, ({ admin }) =>
    admin.members.cancelDecommission(nodeId),
  );
  if (!changed) {
    throw new CliError(
      EXIT.FAILED,
      `node ${nodeId} is not leaving`,
      "see the nodes with: flotilla node list",
    );
  }
  if (options.output === "json") {
    context.terminal.line(JSON.stringify({ nodeId, changed, partitions }));
    return;
  }
  context.terminal.note(
    `node ${nodeId} stays; ${partitions} partitions go back to it, what had moved away before stays where it is`,
  );
}
