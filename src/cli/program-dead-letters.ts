// The part of the command tree about dead letters: names, options, help. Called by program.ts.
import { Argument, type Command } from "commander";
import type { Context } from "./context.ts";
import { checked, parseDurationOf, parseNumber, parseWhole } from "./options.ts";

const DLQ_HELP = `
A message that failed for the last time, or was rejected, goes to the topic of dead letters of its subscription (dlq/NAME), with
everything about it. From there it can be sent back: to that subscription only, other ones of its topic never see it.

First steps:
  $ flotilla dlq list mail                          what is there, and why
  $ flotilla dlq show mail 0 12                     one of them, with its attempts and its value
  $ flotilla dlq redrive mail --dry-run             how many would be sent
  $ flotilla dlq redrive mail --canary 10 --rate 50 ten first; the rest when all ten are settled

Dealt with is what was sent back, and what a consumer of the subscription dlq/NAME acknowledged by hand:
  $ flotilla consume --subscription dlq/mail        (there from the first redrive on)
  $ flotilla lag dlq/mail                           how many are open`;

const FILTER_HELP = `
Filter: an SQL expression over the message's own headers, $key and $size, and
  $topic, $partition, $offset    where it died first
  dead_reason                    attempts (failed too often), rejected, skipped (by whoever released its key)
  dead_error                     what the consumer said last
  dead_attempts, dead_redriven   how often it failed since it was redriven last, and was redriven
  dead_age_ms                    how long ago it died
or the JSON of any filter of subscriptions.`;

export function addDlq(program: Command, context: Context): void {
  const dlq = program
    .command("dlq")
    .description("messages that failed for good: list them, look at them, send them back")
    .addHelpText("after", DLQ_HELP);
  addList(dlq, context);
  addShow(dlq, context);
  addRedrive(dlq, context);
}

const LIST_HELP = `${FILTER_HELP}

Examples:
  $ flotilla dlq list mail
  $ flotilla dlq list mail --filter "dead_error LIKE '%timeout%' AND dead_age_ms < 3600000"
  $ flotilla dlq list mail --all -o json`;

function addList(dlq: Command, context: Context): void {
  dlq
    .command("list <subscription>")
    .description("open dead letters: origin, reason, failures, last error")
    .option("--filter <expression>", "only those for which it is true")
    .option("--all", "those that are dealt with, too")
    .option("--partition <n>", "only this partition", checked(parseWhole("--partition", 0)))
    .option("--from-offset <n>", "only from here on", checked(parseWhole("--from-offset", 0)))
    .option("-n, --count <n>", "at most so many; 0: all", checked(parseWhole("--count", 0)), 100)
    .addHelpText("after", LIST_HELP)
    .action(async (name: string, _, command: Command) => {
      const { dlqList } = await import("./commands/dead-letters.ts");
      const options: Parameters<typeof dlqList>[1] = command.optsWithGlobals();
      const { count, ...others } = options;
      await dlqList(name, count === 0 ? others : options, context);
    });
}

function addShow(dlq: Command, context: Context): void {
  dlq
    .command("show <subscription>")
    .description("one dead letter with its headers, attempts and value")
    .addArgument(
      new Argument("<partition>", "of the dead letters").argParser(
        checked(parseWhole("the partition", 0)),
      ),
    )
    .addArgument(
      new Argument("<offset>", "as listed").argParser(checked(parseWhole("the offset", 0))),
    )
    .action(async (name: string, partition: number, offset: number, _, command: Command) => {
      const { dlqShow } = await import("./commands/dead-letters.ts");
      await dlqShow(name, partition, offset, command.optsWithGlobals(), context);
    });
}

const REDRIVE_HELP = `
Sends open dead letters back to the subscription; only to it, whatever its filter says. They keep key, value and headers, and
the headers of where they died first; their attempts begin anew. Interrupt it whenever you like: what was sent is not sent again.
What dies meanwhile is not sent again by the same command.
${FILTER_HELP}

Examples:
  $ flotilla dlq redrive mail --dry-run
  $ flotilla dlq redrive mail --filter "\\$topic = 'orders' AND dead_reason = 'attempts'" --yes
  $ flotilla dlq redrive mail --canary 10 --rate 50`;

function addRedrive(dlq: Command, context: Context): void {
  dlq
    .command("redrive <subscription>")
    .description("send open dead letters back to the subscription that they died in")
    .option("--filter <expression>", "only those for which it is true")
    .option("--partition <n>", "only this partition", checked(parseWhole("--partition", 0)))
    .option("--rate <n>", "messages per second", checked(parseNumber("--rate", 0.001, 1_000_000)))
    .option(
      "--canary <n>",
      "so many first; the rest only when all of them are settled",
      checked(parseWhole("--canary", 1, 10_000)),
    )
    .option(
      "--canary-timeout <duration>",
      "how long the canaries may take (default: 1m)",
      checked(parseDurationOf("--canary-timeout")),
    )
    .option("--dry-run", "only count")
    .option("--yes", "do not ask")
    .addHelpText("after", REDRIVE_HELP)
    .action(async (name: string, _, command: Command) => {
      const { dlqRedrive } = await import("./commands/dead-letters.ts");
      await dlqRedrive(name, command.optsWithGlobals(), context);
    });
}
