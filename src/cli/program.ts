// The command tree: names, options, help. Every action imports its command when it runs, so that `--help` and typing
// errors answer at once. Called by main; tests build it with their own context.
import { Argument, Command, Option } from "commander";
import type { Context, GlobalOptions } from "./context.ts";
import { FORMAT_HELP } from "./message-format.ts";
import {
  checked,
  collectHeader,
  collectSetting,
  parseSignal,
  parseWhole,
  UNACKED_MAX,
} from "./options.ts";
import { addDlq } from "./program-dead-letters.ts";
import { addClusterMembers, addNode, addReplica, addUnsafeRecover } from "./program-members.ts";
import { addLag, addSubscription } from "./program-subscriptions.ts";

const PORT_HINT =
  "host:port[,host:port…]; default: FLOTILLA_BOOTSTRAP, else the nodes of cluster.yaml";

function checkedFold<T>(parse: (text: string, before: T) => T): (text: string, before: T) => T {
  return (text, before) => checked((given) => parse(given, before))(text);
}

const nodeId = checked(parseWhole("the node", 1, 4095));
const acksOption = (): Option =>
  new Option("--acks <class>", "what a send waits for").choices(["all", "leader", "none"]);
const flushOption = (): Option =>
  new Option("--flush <class>", "whether an ack includes the disk").choices(["sync", "async"]);

export function buildProgram(version: string, context: Context): Command {
  const program = new Command("flotilla")
    .description("Flotilla: a clustered, replicated message broker.")
    .version(version, "-V, --version")
    .option("--bootstrap <addresses>", PORT_HINT)
    .option("--config <file>", "cluster.yaml (default: FLOTILLA_CONFIG, else ./cluster.yaml)")
    .addOption(
      new Option("-o, --output <format>", "output").choices(["table", "json"]).default("table"),
    )
    .option("--timeout <duration>", "give up after this long, e.g. 10s", "30s")
    .option("--debug", "show stacks of errors")
    .addHelpText("after", EXAMPLES)
    .showHelpAfterError("(see --help)");
  addBroker(program, context);
  addCluster(program, context);
  addNode(program, context);
  addReplica(program, context);
  addTopic(program, context);
  addProduce(program, context);
  addConsume(program, context);
  addSubscription(program, context);
  addLag(program, context);
  addDlq(program, context);
  addUnsafeRecover(program, context);
  return program;
}

const EXAMPLES = `
First steps:
  $ flotilla cluster up --init               three brokers from ./cluster.yaml
  $ flotilla topic create orders --partitions 6
  $ echo 'c42:{"amount":7}' | flotilla produce orders --key-separator :
  $ flotilla consume orders --from earliest
  $ flotilla cluster kill 1                  nothing acknowledged is lost
  $ flotilla cluster status

Exit status: 0 done, 1 failed, 64 usage, 65 data, 69 no broker reached, 70 defect, 75 try again, 78 configuration.`;

function addBroker(program: Command, context: Context): void {
  program
    .command("broker")
    .description("run one broker in the foreground")
    .requiredOption("--node <id>", "which node of the configuration this is", nodeId)
    .addHelpText("after", "\nExample:\n  $ flotilla broker --config cluster.yaml --node 1")
    .action(async (_, command: Command) => {
      const { runBroker } = await import("./commands/broker.ts");
      await runBroker(command.optsWithGlobals(), context);
    });
}

function addCluster(program: Command, context: Context): void {
  const cluster = program
    .command("cluster")
    .description("the brokers of cluster.yaml on this machine");
  cluster
    .command("init")
    .description("format the data directories of a new cluster, once")
    .option(
      "--join <node>",
      "format only this node, as a new member of the existing cluster",
      nodeId,
    )
    .action(async (_, command: Command) => {
      const { clusterInit } = await import("./commands/cluster-init.ts");
      await clusterInit(command.optsWithGlobals(), context);
    });
  cluster
    .command("up")
    .description("start the brokers that are not running and wait until all are ready")
    .option("--init", "format the data directories first when none of them is formatted")
    .action(async (_, command: Command) => {
      const { clusterUp } = await import("./commands/cluster-up.ts");
      await clusterUp(command.optsWithGlobals(), context);
    });
  cluster
    .command("status")
    .description("processes, roles, leaders and health")
    .option("-w, --watch", "again every second, until Ctrl-C")
    .action(async (_, command: Command) => {
      const { clusterStatus } = await import("./commands/cluster-status.ts");
      await clusterStatus(command.optsWithGlobals(), context);
    });
  addClusterStops(cluster, context);
  addClusterMembers(cluster, context);
}

function addClusterStops(cluster: Command, context: Context): void {
  cluster
    .command("down")
    .description("stop all brokers; they hand their leaderships over first")
    .option("--force", "end those that do not stop in time")
    .action(async (_, command: Command) => {
      const { clusterDown } = await import("./commands/cluster-stop.ts");
      await clusterDown(command.optsWithGlobals(), context);
    });
  cluster
    .command("kill")
    .description("send a signal to a broker, SIGKILL unless told otherwise")
    .addArgument(new Argument("<node>", "node id").argParser(nodeId))
    .option("--signal <name>", "KILL, TERM, INT, STOP, CONT …", checked(parseSignal), "SIGKILL")
    .action(async (node: number, _, command: Command) => {
      const { clusterKill } = await import("./commands/cluster-stop.ts");
      await clusterKill(node, command.optsWithGlobals(), context);
    });
  cluster
    .command("restart")
    .description("stop a broker if it runs, start it and wait until it is ready")
    .addArgument(new Argument("<node>", "node id").argParser(nodeId))
    .action(async (node: number, _, command: Command) => {
      const { clusterRestart } = await import("./commands/cluster-stop.ts");
      await clusterRestart(node, command.optsWithGlobals(), context);
    });
}

function addTopic(program: Command, context: Context): void {
  const topic = program.command("topic").description("create, inspect, change and delete topics");
  topic
    .command("create <name>")
    .description("create a topic")
    .option(
      "-p, --partitions <n>",
      "number of partitions",
      checked(parseWhole("--partitions", 1, 4096)),
    )
    .option(
      "-r, --replicas <n>",
      "replicas of each partition",
      checked(parseWhole("--replicas", 1, 7)),
    )
    .addOption(acksOption())
    .addOption(flushOption())
    .option("--set <setting=value>", "another setting; repeatable", checkedFold(collectSetting), {})
    .option("--dry-run", "only check")
    .addHelpText(
      "after",
      "\nExample:\n  $ flotilla topic create orders -p 6 -r 3 --acks all --flush sync",
    )
    .action(async (name: string, _, command: Command) => {
      const { topicCreate } = await import("./commands/topic.ts");
      await topicCreate(name, command.optsWithGlobals(), context);
    });
  topic
    .command("list")
    .alias("ls")
    .description("all topics")
    .option("--prefix <text>", "only names that begin so", "")
    .action(async (_, command: Command) => {
      const { topicList } = await import("./commands/topic.ts");
      await topicList(command.optsWithGlobals(), context);
    });
  topic
    .command("describe <name>")
    .description("leaders, replicas, offsets and settings of a topic")
    .action(async (name: string, _, command: Command) => {
      const { topicDescribe } = await import("./commands/topic.ts");
      await topicDescribe(name, command.optsWithGlobals(), context);
    });
  addTopicChanges(topic, context);
}

function addTopicChanges(topic: Command, context: Context): void {
  topic
    .command("alter <name>")
    .description("change settings of a topic")
    .option(
      "--set <setting=value>",
      "repeatable; an empty value restores the default",
      checkedFold(collectSetting),
      {},
    )
    .addHelpText("after", "\nExample:\n  $ flotilla topic alter orders --set flush=async")
    .action(async (name: string, _, command: Command) => {
      const { topicAlter } = await import("./commands/topic.ts");
      await topicAlter(name, command.optsWithGlobals(), context);
    });
  topic
    .command("delete <name>")
    .description("delete a topic and its messages")
    .option("--yes", "really")
    .action(async (name: string, _, command: Command) => {
      const { topicDelete } = await import("./commands/topic.ts");
      await topicDelete(name, command.optsWithGlobals(), context);
    });
}

const PRODUCE_EXAMPLES = `
Examples:
  $ flotilla produce orders                                       type lines; Ctrl-D ends
  $ flotilla produce orders --file events.txt --key-separator : --rate 1000
  $ echo hello | flotilla produce orders --key c42 -H source=shop --acks all --flush sync`;

function addProduce(program: Command, context: Context): void {
  program
    .command("produce <topic>")
    .description("send messages, one per line of standard input or a file")
    .option("-f, --file <path>", "read lines from here")
    .option("-k, --key <key>", "key of every message")
    .option("--key-separator <text>", "the part of a line before this is its key")
    .option(
      "--partition <n>",
      "send to this partition instead of the key's",
      checked(parseWhole("--partition", 0)),
    )
    .option("-H, --header <name=value>", "repeatable", checkedFold(collectHeader), [])
    .option("--rate <n>", "messages per second", checked(parseWhole("--rate", 1)))
    .option("--tombstones", "an empty line (after its key) is a tombstone")
    .option("--receipts", "print a receipt for each message")
    .addOption(acksOption())
    .addOption(flushOption())
    .addHelpText("after", PRODUCE_EXAMPLES)
    .action(async (topic: string, _, command: Command) => {
      const { produce } = await import("./commands/produce.ts");
      await produce(topic, command.optsWithGlobals(), context);
    });
}

const CONSUME_EXAMPLES = `
Format: ${FORMAT_HELP}

Examples:
  $ flotilla consume orders --from earliest
  $ flotilla consume orders --from @-5m --follow --format '%p %o %k %v\\n'
  $ flotilla consume orders --from 1200 --partition 3 -n 10 -o json
  $ flotilla consume --subscription billing --format '%k %v (attempt %a)\\n'
  $ flotilla consume --subscription billing --ack none -n 10     look without taking; everything is given back

With --ack none all that was shown is held until the end, which comes after ${UNACKED_MAX} messages.`;

function addConsume(program: Command, context: Context): void {
  const collectPartition = (
    text: string,
    before: readonly number[] | undefined,
  ): readonly number[] => [...(before ?? []), parseWhole("--partition", 0)(text)];
  program
    .command("consume [topic]")
    .description("read messages, one per line: of a topic by position, or of a subscription")
    .option(
      "--subscription <name>",
      "take part in a subscription; Ctrl-C gives back what was not written",
    )
    .addOption(
      new Option("--ack <when>", "of a subscription: when written, or never").choices([
        "auto",
        "none",
      ]),
    )
    .option(
      "--concurrency <n>",
      "of a subscription: batches that are written at the same time",
      checked(parseWhole("--concurrency", 1, 1000)),
    )
    .option("--from <where>", "earliest, latest, an offset, or @time (ISO 8601, ms, -5m)", "latest")
    .option("--partition <n>", "only this partition; repeatable", checkedFold(collectPartition))
    .option("-n, --count <n>", "stop after so many", checked(parseWhole("--count", 0)))
    .option("--follow", "go on with what is sent from now on (default with --from latest)")
    .option("--format <template>", "how a message looks", "%v\\n")
    .addHelpText("after", CONSUME_EXAMPLES)
    .action(async (topic: string | undefined, _, command: Command) => {
      const { consumeSubscription, requiredTopic } = await import(
        "./commands/consume-subscription.ts"
      );
      const wish: Parameters<typeof consumeSubscription>[0] = command.optsWithGlobals();
      if (wish.subscription !== undefined) {
        const isGiven = (name: string): boolean => command.getOptionValueSource(name) === "cli";
        const others = ["from", "partition", "follow"].filter(isGiven);
        await consumeSubscription(wish, topic, others, context);
        return;
      }
      const name = requiredTopic(topic, wish);
      const { consume } = await import("./commands/consume.ts");
      const options: GlobalOptions & Parameters<typeof consume>[1] = command.optsWithGlobals();
      // Without it, "latest" would end before it began.
      const follow = options.follow ?? options.from === "latest";
      await consume(name, { ...options, follow }, context);
    });
}
