// `flotilla subscription seek|explain|parked|release`: what concerns partitions and messages of a subscription.
import { confirm } from "../confirm.ts";
import { type Context, type GlobalOptions, withClient } from "../context.ts";
import { placeText } from "../format-progress.ts";
import { parseFrom, usage } from "../options.ts";
import type {
  FailedAttempt,
  ParkedKey,
  PartitionChoice,
  SeekAnswer,
} from "../subscription-port.ts";
import { type Column, printRows, renderTable } from "../table.ts";
import { parsePartition } from "./replica.ts";

export interface SeekOptions extends GlobalOptions {
  readonly to: string;
  readonly topic?: string;
  readonly partition?: number;
  readonly dryRun?: boolean;
  readonly yes?: boolean;
}

/** Says first what would happen, and asks when messages would be passed over. */
export async function subscriptionSeek(
  name: string,
  options: SeekOptions,
  context: Context,
): Promise<void> {
  const { partition, topic } = options;
  const to = parseFrom(options.to, Date.now(), "--to");
  if (partition !== undefined && topic === undefined) throw usage("--partition goes with --topic");
  if (to.kind === "offset" && partition === undefined) {
    throw usage("an offset is one of a partition: give --topic and --partition, too");
  }
  await withClient(context, options, async ({ admin: { subscriptions } }) => {
    const where: PartitionChoice = { topic, partition };
    const plan = await subscriptions.seek(name, to, where, true);
    if (options.dryRun === true) {
      printSeek(plan, options, context);
      if (options.output === "table") context.terminal.note("nothing was changed");
      return;
    }
    const skipped = sum(plan, (row) => row.skippedMessages);
    if (skipped > 0) {
      if (options.output === "table") printSeek(plan, options, context);
      const place = topic === undefined ? "" : ` --topic ${topic}`;
      const part = partition === undefined ? "" : ` --partition ${partition}`;
      await confirm(context, options.yes === true, {
        what: `${skipped} messages of ${name} would never be delivered`,
        name,
        command: `flotilla subscription seek ${name} --to ${options.to}${place}${part} --yes`,
      });
    }
    const done = await subscriptions.seek(name, to, where, false);
    if (skipped === 0 || options.output === "json") printSeek(done, options, context);
    if (options.output === "json") return;
    const repeated = sum(done, (row) => row.repeatedMessages);
    context.terminal.note(
      `moved ${name} in ${done.length} partitions: ${sum(done, (row) => row.skippedMessages)} messages skipped, ${repeated} to be delivered again`,
    );
  });
}

function printSeek(rows: readonly SeekAnswer[], options: GlobalOptions, context: Context): void {
  printRows(
    context.terminal,
    options.output,
    rows,
    [
      { title: "PARTITION", text: placeText },
      { title: "FROM", text: (row) => row.from, align: "right" },
      { title: "TO", text: (row) => row.to, align: "right" },
      { title: "SKIPPED", text: (row) => row.skippedMessages, align: "right" },
      { title: "AGAIN", text: (row) => row.repeatedMessages, align: "right" },
    ],
    "no topic matches yet",
  );
}

function sum<Row>(rows: readonly Row[], read: (row: Row) => number): number {
  return rows.reduce((total, row) => total + read(row), 0);
}

export async function subscriptionExplain(
  name: string,
  place: string,
  offset: number,
  options: GlobalOptions,
  context: Context,
): Promise<void> {
  const message = { ...parsePartition(place), offset };
  const answer = await withClient(context, options, ({ admin }) =>
    admin.subscriptions.explain(name, message),
  );
  const { terminal } = context;
  if (options.output === "json") {
    const key = keyText(answer.key);
    terminal.line(JSON.stringify({ ...message, ...answer, key }, undefined, 2));
    return;
  }
  terminal.line(answer.sentence === "" ? (answer.fate ?? "unknown") : answer.sentence);
  if (answer.failures.length > 0) {
    terminal.line("");
    terminal.line(renderTable(FAILURE_COLUMNS, answer.failures));
  }
  const { deadLetter } = answer;
  if (deadLetter === undefined) return;
  terminal.note(
    `look at it with: flotilla dlq show ${name} ${deadLetter.partition} ${deadLetter.offset}`,
  );
}

const FAILURE_COLUMNS: readonly Column<FailedAttempt>[] = [
  { title: "FAILED AT", text: ({ timeMs }) => new Date(timeMs).toISOString() },
  { title: "CAUSE", text: (row) => row.cause },
  { title: "ERROR", text: (row) => row.error },
];

export async function subscriptionParked(
  name: string,
  place: string | undefined,
  options: GlobalOptions,
  context: Context,
): Promise<void> {
  const where: PartitionChoice = place === undefined ? {} : parsePartition(place);
  const keys = await withClient(context, options, ({ admin }) =>
    admin.subscriptions.parkedKeys(name, where),
  );
  if (options.output === "json") {
    const rows = keys.map((row) => ({ ...row, key: keyText(row.key) }));
    context.terminal.line(JSON.stringify(rows, undefined, 2));
    return;
  }
  printRows(
    context.terminal,
    "table",
    keys,
    [
      { title: "PARTITION", text: placeText },
      { title: "OFFSET", text: (row) => row.offset, align: "right" },
      { title: "KEY", text: (row) => keyText(row.key) ?? "(none)" },
      { title: "SINCE", text: ({ sinceMs }) => new Date(sinceMs).toISOString() },
      { title: "LAST ERROR", text: (row) => lastError(row) },
    ],
    "nothing is parked",
  );
  if (keys.length > 0) {
    context.terminal.note(`go on with: flotilla subscription release ${name} PARTITION OFFSET`);
  }
}

function lastError({ failures }: ParkedKey): string {
  const last: FailedAttempt | undefined = failures.at(-1);
  if (last === undefined) return "";
  return last.error === "" ? last.cause : `${last.cause}: ${last.error}`;
}

/** Keys are bytes; most are text. */
function keyText(key: Uint8Array | undefined): string | undefined {
  if (key === undefined) return undefined;
  const bytes = Buffer.from(key);
  const text = bytes.toString("utf8");
  return Buffer.from(text, "utf8").equals(bytes) ? text : `0x${bytes.toString("hex")}`;
}

export interface ReleaseOptions extends GlobalOptions {
  readonly skipMessage?: boolean;
}

export async function subscriptionRelease(
  name: string,
  place: string,
  offset: number,
  options: ReleaseOptions,
  context: Context,
): Promise<void> {
  const message = { ...parsePartition(place), offset };
  const skipMessage = options.skipMessage === true;
  await withClient(context, options, ({ admin }) =>
    admin.subscriptions.release(name, message, skipMessage),
  );
  if (options.output === "json") {
    context.terminal.line(JSON.stringify({ name, ...message, skipMessage }));
    return;
  }
  const fate = skipMessage ? "goes to the dead letters" : "is tried again";
  context.terminal.note(`released: message ${offset} of ${place} ${fate}, those behind it follow`);
}
