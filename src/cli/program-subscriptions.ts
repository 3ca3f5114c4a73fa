// The part of the command tree about subscriptions: names, options, help. Called by program.ts.
import { Argument, type Command, Option } from "commander";
import type { Context } from "./context.ts";
import {
  checked,
  parseDurationOf,
  parseDurations,
  parseList,
  parseNumber,
  parseWhole,
} from "./options.ts";

const SUBSCRIPTION_HELP = `
A subscription hands messages of one or more topics to its consumers, and remembers in the cluster what they settled.

First steps:
  $ flotilla subscription create mail --topics orders
  $ flotilla lag mail --watch
  $ flotilla subscription describe mail

Why a message does not come:
  $ flotilla subscription explain mail orders/3 1200

Again from yesterday, looking first:
  $ flotilla subscription seek mail --to @-1d --dry-run`;

export function addSubscription(program: Command, context: Context): void {
  const subscription = program
    .command("subscription")
    .alias("sub")
    .description("create, inspect, change, move and delete subscriptions")
    .addHelpText("after", SUBSCRIPTION_HELP);
  addCreate(subscription, context);
  addQuestions(subscription, context);
  addAlter(subscription, context);
  addStates(subscription, context);
  addSeek(subscription, context);
  addParked(subscription, context);
}

const CREATE_HELP = `
Which topics (one of these; topics that are created later join by themselves):
  --topics orders,shop/eu        by name
  --patterns 'shop/*,logs/#'     "*" one part between "/", "#" any number
  --regex 'orders-[0-9]+'        RE2 syntax, the whole name

Which messages (one of these; default: every message):
  --tags paid,refunded           one of these among header flotilla-tags
  --sql "amount > 100 AND region IN ('eu', 'uk')"
  --routing-key a,b              header flotilla-routing-key is one of these
  --routing-pattern 'eu.*.#'     words between "."
  --header type=invoice --header urgent --match any
  --filter '{"kind":"sql","expression":"amount > 100"}'

Modes: shared (any consumer, any order), keyed (order per key), fifo (keyed, and messages without a key are one key),
exclusive (one consumer per partition, in order).

Examples:
  $ flotilla subscription create mail --topics orders --tags paid
  $ flotilla subscription create audit --patterns '#' --mode exclusive --from latest
  $ flotilla subscription create billing --topics orders --mode keyed --attempts 5 --retry-delays 1s,10s,5m`;

function addCreate(subscription: Command, context: Context): void {
  const command = subscription
    .command("create <name>")
    .description("create a subscription and its dead letter topic");
  definitionOptions(command)
    .addOption(
      new Option("--mode <mode>", "order and sharing (default: shared)").choices([
        "shared",
        "keyed",
        "fifo",
        "exclusive",
      ]),
    )
    .option("--from <where>", "earliest (default), latest, or @time, in topics that exist already")
    .option("--paused", "hand nothing out before it is resumed")
    .option("--dry-run", "only check, and tell which topics match")
    .addHelpText("after", CREATE_HELP)
    .action(async (name: string, _, self: Command) => {
      const { subscriptionCreate } = await import("./commands/subscription.ts");
      await subscriptionCreate(name, self.optsWithGlobals(), context);
    });
}

/** What create and alter have in common. */
function definitionOptions(command: Command): Command {
  const collect = (text: string, before: readonly string[] | undefined): readonly string[] => [
    ...(before ?? []),
    text,
  ];
  command
    .option("--topics <names>", "topics by name, comma-separated", parseList)
    .option("--patterns <patterns>", 'topics by pattern, e.g. "shop/*,logs/#"', parseList)
    .option("--regex <expression>", "topics by RE2 expression")
    .option("--tags <tags>", "messages with one of these tags", parseList)
    .option("--sql <expression>", "messages for which it is true")
    .option("--routing-key <keys>", "messages with one of these routing keys", parseList)
    .option("--routing-pattern <patterns>", "messages whose routing key matches", parseList)
    .option("--header <name=value>", "messages with this header; repeatable", collect)
    .addOption(
      new Option("--match <how>", "with several --header (default: all)").choices(["all", "any"]),
    )
    .option("--filter <json>", "messages, as JSON")
    .option("--no-filter", "every message");
  return retryOptions(command);
}

function retryOptions(command: Command): Command {
  const duration = (option: string) => checked(parseDurationOf(option));
  return command
    .option(
      "--attempts <n>",
      "failures after which a message is dead (default: 16)",
      checked(parseWhole("--attempts", 1, 1000)),
    )
    .option(
      "--retry-delays <list>",
      "delay after each failure, e.g. 1s,10s,5m; the last one repeats",
      checked(parseDurations("--retry-delays")),
    )
    .option("--retry-initial <duration>", "first delay (default: 1s)", duration("--retry-initial"))
    .option("--retry-max <duration>", "longest delay (default: 10m)", duration("--retry-max"))
    .option(
      "--retry-multiplier <n>",
      "from one delay to the next (default: 2)",
      checked(parseNumber("--retry-multiplier", 1, 10)),
    )
    .option(
      "--retry-jitter <n>",
      "part of a delay that is drawn, 0 to 1 (default: 0.2)",
      checked(parseNumber("--retry-jitter", 0, 1)),
    )
    .option("--dead-letter <topic>", "where dead messages go (default: dlq/NAME)")
    .option("--no-dead-letter", "no dead letters: such messages are tried for ever")
    .addOption(
      new Option("--on-failure <policy>", "of an ordered message that failed for good").choices([
        "stop",
        "park",
        "skip",
      ]),
    )
    .option(
      "--ack-deadline <duration>",
      "time to settle a message, 1s to 12h (default: 30s)",
      duration("--ack-deadline"),
    );
}

const EXPLAIN_HELP = `
Of a message that died the dead letters are asked, too; "settled" is whatever was acknowledged or passed over.

Example:
  $ flotilla subscription explain mail orders/3 1200`;

function addQuestions(subscription: Command, context: Context): void {
  subscription
    .command("list")
    .alias("ls")
    .description("all subscriptions")
    .option("--prefix <text>", "only names that begin so", "")
    .option("--topic <name>", "only those that select this topic")
    .action(async (_, command: Command) => {
      const { subscriptionList } = await import("./commands/subscription.ts");
      await subscriptionList(command.optsWithGlobals(), context);
    });
  subscription
    .command("describe <name>")
    .description("definition, topics, and where it stands in each partition")
    .action(async (name: string, _, command: Command) => {
      const { subscriptionDescribe } = await import("./commands/subscription.ts");
      await subscriptionDescribe(name, command.optsWithGlobals(), context);
    });
  subscription
    .command("explain <name>")
    .description("what became of one message, and why it is not delivered yet")
    .addArgument(new Argument("<partition>", "e.g. orders/3"))
    .addArgument(
      new Argument("<offset>", "the message's").argParser(checked(parseWhole("the offset", 0))),
    )
    .addHelpText("after", EXPLAIN_HELP)
    .action(async (name: string, place: string, offset: number, _, command: Command) => {
      const { subscriptionExplain } = await import("./commands/subscription-partitions.ts");
      await subscriptionExplain(name, place, offset, command.optsWithGlobals(), context);
    });
}

const ALTER_HELP = `
What is not named stays. Mode and start can not be changed: make another subscription instead.

Examples:
  $ flotilla subscription alter mail --tags paid,refunded
  $ flotilla subscription alter mail --no-filter --ack-deadline 2m
  $ flotilla subscription alter mail --attempts 3 --if-version 812      only if nobody changed it since`;

function addAlter(subscription: Command, context: Context): void {
  const command = subscription
    .command("alter <name>")
    .description("change topics, filter, retries, dead letters or ack deadline");
  definitionOptions(command)
    .option(
      "--if-version <n>",
      "only if this is still its version",
      checked(parseWhole("--if-version", 1)),
    )
    .addHelpText("after", ALTER_HELP)
    .action(async (name: string, _, self: Command) => {
      const { subscriptionAlter } = await import("./commands/subscription.ts");
      await subscriptionAlter(name, self.optsWithGlobals(), context);
    });
}

function addStates(subscription: Command, context: Context): void {
  subscription
    .command("pause <name>")
    .description("hand nothing out any more; what is out may still be settled")
    .option(
      "--for <duration>",
      "go on by itself after this long",
      checked(parseDurationOf("--for")),
    )
    .action(async (name: string, _, command: Command) => {
      const { subscriptionPause } = await import("./commands/subscription.ts");
      await subscriptionPause(name, command.optsWithGlobals(), context);
    });
  subscription
    .command("resume <name>")
    .description("go on after a pause")
    .action(async (name: string, _, command: Command) => {
      const { subscriptionResume } = await import("./commands/subscription.ts");
      await subscriptionResume(name, command.optsWithGlobals(), context);
    });
  subscription
    .command("delete <name>")
    .description("delete a subscription; messages and dead letters stay")
    .option("--yes", "do not ask")
    .action(async (name: string, _, command: Command) => {
      const { subscriptionDelete } = await import("./commands/subscription.ts");
      await subscriptionDelete(name, command.optsWithGlobals(), context);
    });
}

const SEEK_HELP = `
Shows first how many messages would be skipped or delivered again, and asks when some would be skipped.

Examples:
  $ flotilla subscription seek mail --to @-1h --dry-run          how many would come again
  $ flotilla subscription seek mail --to @2026-11-23T10:00:00Z
  $ flotilla subscription seek mail --to latest --yes            give up the whole backlog
  $ flotilla subscription seek mail --to 1200 --topic orders --partition 3`;

function addSeek(subscription: Command, context: Context): void {
  subscription
    .command("seek <name>")
    .description("go back to deliver again, or forward to skip")
    .requiredOption("--to <where>", "earliest, latest, an offset, or @time (ISO 8601, ms, -5m)")
    .option("--topic <name>", "only in this topic")
    .option(
      "--partition <n>",
      "only in this partition of it",
      checked(parseWhole("--partition", 0)),
    )
    .option("--dry-run", "only tell what would happen")
    .option("--yes", "do not ask")
    .addHelpText("after", SEEK_HELP)
    .action(async (name: string, _, command: Command) => {
      const { subscriptionSeek } = await import("./commands/subscription-partitions.ts");
      await subscriptionSeek(name, command.optsWithGlobals(), context);
    });
}

const RELEASE_HELP = `
Without --skip-message it is tried again, as if it had never failed: fix the consumer first.

Examples:
  $ flotilla subscription parked mail
  $ flotilla subscription release mail orders/3 1200
  $ flotilla subscription release mail orders/3 1200 --skip-message`;

function addParked(subscription: Command, context: Context): void {
  subscription
    .command("parked <name>")
    .description("keys whose messages wait because one of them failed for good")
    .addArgument(new Argument("[partition]", "only of this one, e.g. orders/3"))
    .action(async (name: string, place: string | undefined, _, command: Command) => {
      const { subscriptionParked } = await import("./commands/subscription-partitions.ts");
      await subscriptionParked(name, place, command.optsWithGlobals(), context);
    });
  subscription
    .command("release <name>")
    .description("let a parked key (or a stopped partition) go on")
    .addArgument(new Argument("<partition>", "e.g. orders/3"))
    .addArgument(
      new Argument("<offset>", "of the message that failed").argParser(
        checked(parseWhole("the offset", 0)),
      ),
    )
    .option("--skip-message", "send it to the dead letters instead of trying it again")
    .addHelpText("after", RELEASE_HELP)
    .action(async (name: string, place: string, offset: number, _, command: Command) => {
      const { subscriptionRelease } = await import("./commands/subscription-partitions.ts");
      await subscriptionRelease(name, place, offset, command.optsWithGlobals(), context);
    });
}

const LAG_HELP = `
Unsettled messages, their bytes (estimated), the age of the oldest; while watching also how fast they are settled, and when
none will be left if it goes on so. Messages that a subscription's filter does not want count until a consumer reads past them.

Examples:
  $ flotilla lag                    all subscriptions, their partitions added up
  $ flotilla lag mail --watch`;

export function addLag(program: Command, context: Context): void {
  program
    .command("lag")
    .description("how far subscriptions are behind")
    .addArgument(new Argument("[subscription]", "default: all"))
    .option("-w, --watch", "again every second, until Ctrl-C")
    .addHelpText("after", LAG_HELP)
    .action(async (name: string | undefined, _, command: Command) => {
      const { lag } = await import("./commands/lag.ts");
      await lag(name, command.optsWithGlobals(), context);
    });
}
