// `flotilla unsafe-recover metadata`: the metadata group itself has lost its majority for good, so nobody can decide
// anything. Works on the data directory of a stopped broker of this machine; see broker/metadata-recovery.ts.
import { lostVoters, quorumAnswers, votingNodes } from "../../broker/metadata-quorum.ts";
import type { MetadataReplicaView } from "../../broker/metadata-recovery.ts";
import { formatHostPort, type NodeConfig } from "../../config/cluster-config.ts";
import { type Context, configPath } from "../context.ts";
import { EXIT } from "../exit-codes.ts";
import { CliError } from "../failure.ts";
import { runningPid } from "../node-process.ts";
import { usage } from "../options.ts";
import type { RecoverOptions } from "./unsafe-recover.ts";

/** A broker that lives answers within this time. */
const ASK_TIMEOUT = "3s";

export async function unsafeRecoverMetadata(
  options: RecoverOptions,
  context: Context,
): Promise<void> {
  if (options.from === undefined)
    throw usage("name the surviving node of this machine with --from");
  const config = await context.loadConfig(configPath(options, context.environment));
  const { nodeOf } = await import("../../config/load-config.ts");
  const node = nodeOf(config, options.from);
  const pid = runningPid(node);
  if (pid !== undefined) {
    throw new CliError(
      EXIT.CONFIG,
      `node ${node.id} is running (pid ${pid})`,
      `stop it first: flotilla cluster kill ${node.id} --signal TERM`,
    );
  }
  const others = config.nodes.filter((other) => other.id !== node.id);
  const alive = await answering(others, options, context);
  const { MetadataRecovery } = await import("../../broker/metadata-recovery.ts");
  const recovery = await MetadataRecovery.open(node.dataDir);
  try {
    const { view } = recovery;
    refuseQuorum(view, alive);
    for (const line of lossText(view, alive)) context.terminal.note(line);
    await confirm(view, options, context);
    const revision = await recovery.recover();
    if (options.output === "json") {
      context.terminal.line(
        JSON.stringify({ nodeId: node.id, revision, lastIndex: view.lastIndex }),
      );
    } else context.terminal.note(nextSteps(node.id));
  } finally {
    await recovery.close();
  }
}

interface Answering {
  readonly nodeId: number;
  /** Leader of the metadata group as that broker knows it; 0: none. */
  readonly controllerId: number;
}

async function answering(
  nodes: readonly NodeConfig[],
  options: RecoverOptions,
  context: Context,
): Promise<readonly Answering[]> {
  const answers = await Promise.all(
    nodes.map(async (node): Promise<readonly Answering[]> => {
      const bootstrap = formatHostPort(node.advertised.client);
      const client = await context.connect({ ...options, bootstrap, timeout: ASK_TIMEOUT });
      try {
        const { controllerId } = await client.admin.describeCluster();
        return [{ nodeId: node.id, controllerId }];
      } catch {
        return [];
      } finally {
        await client.close();
      }
    }),
  );
  return answers.flat();
}

export function refuseQuorum(view: MetadataReplicaView, alive: readonly Answering[]): void {
  const led = alive.find(
    (answer) => answer.controllerId !== 0 && answer.controllerId !== view.nodeId,
  );
  if (led !== undefined) {
    throw new CliError(
      EXIT.FAILED,
      `the metadata group has a leader: node ${led.controllerId}, says node ${led.nodeId}`,
      `nothing needs to be forced; start node ${view.nodeId} with: flotilla cluster restart ${view.nodeId}`,
    );
  }
  if (view.isBegun || !quorumAnswers(view, nodesOf(alive))) return;
  const left = [view.nodeId, ...nodesOf(alive)].sort((a, b) => a - b).join(", ");
  throw new CliError(
    EXIT.FAILED,
    `with node ${left} a majority of the voters ${votingNodes(view).join(", ")} is left`,
    `nothing needs to be forced; start node ${view.nodeId} with: flotilla cluster restart ${view.nodeId}`,
  );
}

function nodesOf(alive: readonly Answering[]): readonly number[] {
  return alive.map(({ nodeId }) => nodeId);
}

/** What is known, and what nobody can know. */
export function lossText(
  view: MetadataReplicaView,
  alive: readonly Answering[],
): readonly string[] {
  const { clusterId, isBegun, lastIndex, lastTerm, nodeId } = view;
  if (isBegun) {
    return [`Going on from node ${nodeId} was begun before and interrupted; it would be finished.`];
  }
  const gone = lostVoters(view, nodesOf(alive));
  const voters = votingNodes(view);
  return [
    `The metadata of cluster ${clusterId} would go on from node ${nodeId}, whose copy ends at index ${lastIndex}, term ${lastTerm}. Voters by its log: ${voters.join(", ")}.`,
    `Lost: whatever only node ${gone.join(", ")} had. Topics, settings and placements changed after index ${lastIndex} may have been acknowledged; whether there were any, nobody can know any more.`,
    "Every other node gives its copy up and begins anew: it stops once at its next start and has to be started again. Its partitions stay.",
    "Make sure that the lost voters do not run: a majority of them would be a second cluster.",
  ];
}

function nextSteps(nodeId: number): string {
  return `node ${nodeId} is the whole metadata group now. Next: flotilla cluster restart ${nodeId}; restart the other nodes that are left, twice; flotilla unsafe-recover TOPIC/PARTITION where partitions have no leader; flotilla node decommission for each lost node`;
}

async function confirm(
  view: MetadataReplicaView,
  options: RecoverOptions,
  context: Context,
): Promise<void> {
  if (options.yesIAcceptDataLoss === true) return;
  if (!context.terminal.isInteractive) {
    throw new CliError(
      EXIT.USAGE,
      "this gives up what only the lost voters had, for good",
      `if that is meant: flotilla unsafe-recover metadata --from ${view.nodeId} --yes-i-accept-data-loss`,
    );
  }
  const answer = await context.terminal.ask("Type metadata to accept this loss: ");
  if (answer !== "metadata") throw new CliError(EXIT.FAILED, "nothing was changed");
}
