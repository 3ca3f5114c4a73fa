// The part of the command tree about nodes and replicas: names, options, help. Called by program.ts.
import { Argument, type Command } from "commander";
import type { Context } from "./context.ts";
import { checked, parseWhole } from "./options.ts";

const nodeId = checked(parseWhole("the node", 1, 4095));
const nodeArgument = (about: string): Argument => new Argument("<node>", about).argParser(nodeId);

const NODE_HELP = `
Growing from three nodes to five:
  1. add the nodes 4 and 5 to cluster.yaml, on every machine that reads it
  2. flotilla cluster init --join 4 && flotilla cluster init --join 5
  3. flotilla cluster up
  4. flotilla cluster rebalance --plan, then --execute --watch
  5. flotilla cluster metadata-voters 5        (optional: five voters instead of three)

Shrinking, one node after the other:
  $ flotilla node decommission 5 --watch

A node that died and will not come back, with a new one in its place:
  $ flotilla node replace 2 --with 4 --watch`;

export function addNode(program: Command, context: Context): void {
  const node = program
    .command("node")
    .description("the nodes of the cluster: list, replace, decommission")
    .addHelpText("after", NODE_HELP);
  node
    .command("list")
    .alias("ls")
    .description("nodes, whether they are in service, what they hold, who votes on metadata")
    .action(async (_, command: Command) => {
      const { nodeList } = await import("./commands/node.ts");
      await nodeList(command.optsWithGlobals(), context);
    });
  node
    .command("decommission")
    .description(
      "take a node out for good: its leaderships and replicas move away, then it is unregistered",
    )
    .addArgument(nodeArgument("the node that leaves"))
    .option("-w, --watch", "wait until it is gone, and show how far it is")
    .addHelpText("after", DECOMMISSION_HELP)
    .action(async (id: number, _, command: Command) => {
      const { nodeDecommission } = await import("./commands/node.ts");
      await nodeDecommission(id, command.optsWithGlobals(), context);
    });
  node
    .command("replace")
    .description(
      "give everything that a dead node held to another one, and unregister the dead one",
    )
    .addArgument(new Argument("<dead>", "the node that will not come back").argParser(nodeId))
    .requiredOption(
      "--with <node>",
      "the node that takes its place, registered and in service",
      nodeId,
    )
    .option("-w, --watch", "wait until it is done, and show how far it is")
    .addHelpText("after", REPLACE_HELP)
    .action(async (id: number, _, command: Command) => {
      const { nodeReplace } = await import("./commands/node.ts");
      await nodeReplace(id, command.optsWithGlobals(), context);
    });
  node
    .command("cancel")
    .description("keep a node that is leaving; partitions under way go back to it")
    .addArgument(nodeArgument("the node that stays"))
    .addHelpText("after", "\nSafe at any time. What had moved away completely stays where it is.")
    .action(async (id: number, _, command: Command) => {
      const { nodeCancel } = await import("./commands/node.ts");
      await nodeCancel(id, command.optsWithGlobals(), context);
    });
}

const DECOMMISSION_HELP = `
Each partition of the node gets a new replica elsewhere; that one catches up first and takes over then, so nothing is
written with fewer copies meanwhile. Refused when fewer nodes would be left than replicas need. At the end the process
of the node stops, and its directory can never come back.

Examples:
  $ flotilla node decommission 5 --watch
  $ flotilla node cancel 5                     changed your mind`;

const REPLACE_HELP = `
Refused while the node is in service (6 s after its last sign of life it is not): a node that works is decommissioned.
If the dead node's machine lives and only its disk is lost, "flotilla cluster init --join" is the shorter way.

Example:
  $ flotilla node list
  $ flotilla node replace 2 --with 4 --watch`;

export function addReplica(program: Command, context: Context): void {
  const replica = program
    .command("replica")
    .description("replicas of partitions: move, list moves, cancel a move");
  replica
    .command("move")
    .description("move one replica of a partition to another node")
    .addArgument(new Argument("<topic/partition>", "e.g. orders/3"))
    .option(
      "--from <node>",
      "the node that has it; leave it out to add a replica that is missing",
      nodeId,
    )
    .requiredOption("--to <node>", "the node that gets it", nodeId)
    .option("-w, --watch", "wait until it is done, and show how far it is")
    .addHelpText("after", MOVE_HELP)
    .action(async (place: string, _, command: Command) => {
      const { replicaMove } = await import("./commands/replica.ts");
      await replicaMove(place, command.optsWithGlobals(), context);
    });
  replica
    .command("list")
    .alias("ls")
    .description("replicas that are moving, and how far they are")
    .action(async (_, command: Command) => {
      const { replicaList } = await import("./commands/replica.ts");
      await replicaList(command.optsWithGlobals(), context);
    });
  replica
    .command("cancel")
    .description("turn a move round: the partition goes back to its former replicas")
    .addArgument(new Argument("<topic/partition>", "e.g. orders/3"))
    .option("-w, --watch", "wait until it is back")
    .addHelpText("after", "\nSafe at any time. Of a node that is leaving: flotilla node cancel.")
    .action(async (place: string, _, command: Command) => {
      const { replicaCancel } = await import("./commands/replica.ts");
      await replicaCancel(place, command.optsWithGlobals(), context);
    });
}

const MOVE_HELP = `
The new replica fetches the whole log first, without a vote; then it takes the old one's place in one step, and the old
one's data goes to the trash of its node. Producers and readers are served all the while.

Example:
  $ flotilla topic describe orders
  $ flotilla replica move orders/3 --from 1 --to 4 --watch`;

const RECOVER_HELP = `
For a partition that has lost the majority of its replicas for good: disks gone, not merely brokers that are down. It
prints what the survivors hold, what is lost and what nobody can know, and asks. It is refused while the partition has a
leader or enough live voters to elect one. The lost replicas are shut out by new replica ids.

A partition needs the cluster's metadata group, that is a majority of the nodes that vote on metadata (see: flotilla node
list). Where that is lost, too, "metadata" comes first: on the machine of a survivor, with its broker stopped.

Examples:
  $ flotilla unsafe-recover orders/3
  $ flotilla unsafe-recover orders/3 --from 2 --yes-i-accept-data-loss
  $ flotilla cluster kill 1 --signal TERM && flotilla unsafe-recover metadata --from 1`;

export function addUnsafeRecover(program: Command, context: Context): void {
  program
    .command("unsafe-recover")
    .description(
      "last resort: let a partition (or the metadata) go on that has lost its majority for good",
    )
    .addArgument(new Argument("<what>", "a partition, e.g. orders/3, or: metadata"))
    .option(
      "--from <node>",
      "the surviving node (default: the one whose log reaches furthest)",
      nodeId,
    )
    .option("--yes-i-accept-data-loss", "do not ask")
    .option("-w, --watch", "wait until the partition has all its replicas again")
    .addHelpText("after", RECOVER_HELP)
    .action(async (place: string, _, command: Command) => {
      if (place === "metadata") {
        const { unsafeRecoverMetadata } = await import("./commands/unsafe-recover-metadata.ts");
        await unsafeRecoverMetadata(command.optsWithGlobals(), context);
        return;
      }
      const { unsafeRecover } = await import("./commands/unsafe-recover.ts");
      await unsafeRecover(place, command.optsWithGlobals(), context);
    });
}

export function addClusterMembers(cluster: Command, context: Context): void {
  cluster
    .command("rebalance")
    .description("add replicas that are missing and spread all evenly over the nodes in service")
    .option("--plan", "only show the moves (the default)")
    .option("--execute", "begin them")
    .option(
      "-w, --watch",
      "with --execute: wait until they are done, and go on while more would help",
    )
    .addHelpText(
      "after",
      "\nExample:\n  $ flotilla cluster rebalance --plan\n  $ flotilla cluster rebalance --execute --watch",
    )
    .action(async (_, command: Command) => {
      const { clusterRebalance } = await import("./commands/cluster-rebalance.ts");
      await clusterRebalance(command.optsWithGlobals(), context);
    });
  cluster
    .command("metadata-voters")
    .description("how many nodes vote on the cluster's metadata: 3 or 5; the others follow")
    .addArgument(
      new Argument("<count>", "3 or 5").argParser(checked(parseWhole("the count", 1, 99))),
    )
    .addHelpText("after", "\nFive survive the loss of two at once; three answer a little faster.")
    .action(async (count: number, _, command: Command) => {
      const { metadataVoters } = await import("./commands/cluster-rebalance.ts");
      await metadataVoters(count, command.optsWithGlobals(), context);
    });
}
