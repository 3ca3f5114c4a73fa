// `flotilla dlq list|show|redrive`: messages that failed for good. Says what would be sent before it is sent.
import { confirm } from "../confirm.ts";
import { type Context, type GlobalOptions, withClient } from "../context.ts";
import type { RedriveReport, ShownDeadLetter } from "../dead-letter-port.ts";
import { EXIT } from "../exit-codes.ts";
import { CliError } from "../failure.ts";
import { bytesField } from "../message-format.ts";
import { type Column, humanBytes, printRows, renderTable } from "../table.ts";

/** More of a text does not fit into a table. */
const CUT_CHARACTERS = 48;

interface ChoiceOptions extends GlobalOptions {
  /** SQL, or the JSON of any filter. */
  readonly filter?: string;
  readonly partition?: number;
}

export interface DlqListOptions extends ChoiceOptions {
  readonly all?: boolean;
  readonly fromOffset?: number;
  readonly count?: number;
}

export async function dlqList(
  name: string,
  options: DlqListOptions,
  context: Context,
): Promise<void> {
  const { all = false, count, fromOffset, partition } = options;
  const letters: ShownDeadLetter[] = [];
  let isCut = false;
  await withClient(context, options, async ({ admin }) => {
    const wish = { filter: filterOf(options.filter), partition, all, fromOffset };
    for await (const letter of admin.deadLetters.list(name, wish)) {
      isCut = count !== undefined && letters.length >= count;
      if (isCut) break;
      letters.push(letter);
    }
  });
  if (options.output === "json") {
    context.terminal.line(JSON.stringify(letters.map(jsonOf), undefined, 2));
    return;
  }
  const empty = all ? `${name} has no dead letters` : `${name} has no open dead letters (--all)`;
  printRows(context.terminal, "table", letters, columnsOf(all), empty);
  if (isCut) context.terminal.note(`there are more than ${letters.length}: -n 0 shows all`);
  if (letters.length > 0) {
    context.terminal.note(`look at one: flotilla dlq show ${name} PARTITION OFFSET`);
  }
}

function columnsOf(all: boolean): readonly Column<ShownDeadLetter>[] {
  const columns: Column<ShownDeadLetter>[] = [
    { title: "PARTITION", text: (row) => row.partition, align: "right" },
    { title: "OFFSET", text: (row) => row.offset, align: "right" },
    { title: "DIED", text: (row) => new Date(row.diedMs).toISOString() },
    { title: "ORIGIN", text: originText },
    { title: "REASON", text: (row) => row.reason },
    { title: "FAILED", text: (row) => row.failed, align: "right" },
    { title: "REDRIVEN", text: (row) => row.redriven, align: "right" },
    { title: "LAST ERROR", text: (row) => cut(row.error) },
  ];
  if (all) columns.push({ title: "STATE", text: (row) => stateText(row) });
  return columns;
}

export async function dlqShow(
  name: string,
  partition: number,
  offset: number,
  options: GlobalOptions,
  context: Context,
): Promise<void> {
  const letter = await withClient(context, options, ({ admin }) =>
    admin.deadLetters.get(name, { partition, offset }),
  );
  const { terminal } = context;
  if (options.output === "json") {
    terminal.line(JSON.stringify(jsonOf(letter), undefined, 2));
    return;
  }
  const facts: readonly (readonly [string, string])[] = [
    ["place", `${letter.topic}/${letter.partition} ${letter.offset}`],
    ["state", stateText(letter)],
    ["died", new Date(letter.diedMs).toISOString()],
    ["reason", letter.reason],
    ["origin", originText(letter)],
    ["sent", new Date(letter.timestampMs).toISOString()],
    ["failed", timesOf(letter.failed)],
    ["redriven", letter.redriven === 0 ? "never" : timesOf(letter.redriven)],
    ["key", letter.key === undefined ? "(none)" : textOf(letter.key)],
    ...letter.headers.map(
      ({ name: header, value }) => [`header ${header}`, textOf(value)] as const,
    ),
    ["value", letter.value === undefined ? "(none)" : humanBytes(letter.valueBytes)],
  ];
  const width = Math.max(...facts.map(([title]) => title.length));
  for (const [title, text] of facts) terminal.line(`${title.padEnd(width)}  ${text}`);
  terminal.line("");
  const { attempts } = letter;
  if (attempts.length > 0) {
    terminal.line(
      renderTable(
        [
          { title: "FAILED AT", text: ({ timeMs }) => new Date(timeMs).toISOString() },
          { title: "CAUSE", text: (row) => row.cause },
          { title: "ERROR", text: (row) => row.error },
        ],
        attempts,
      ),
    );
    terminal.line("");
  }
  if (letter.value !== undefined) terminal.line(textOf(letter.value));
}

export interface DlqRedriveOptions extends ChoiceOptions {
  readonly rate?: number;
  readonly dryRun?: boolean;
  readonly canary?: number;
  readonly canaryTimeout?: number;
  readonly yes?: boolean;
}

/** Counts first, asks, sends. @throws CliError when the canaries stopped it */
export async function dlqRedrive(
  name: string,
  options: DlqRedriveOptions,
  context: Context,
): Promise<void> {
  const { canary, canaryTimeout, partition, rate } = options;
  const { terminal } = context;
  await withClient(context, options, async ({ admin }) => {
    const common = {
      filter: filterOf(options.filter),
      partition,
      ratePerSecond: rate,
      canary,
      canaryTimeoutMs: canaryTimeout,
      signal: context.signal,
    };
    const plan = await admin.deadLetters.redrive(name, {
      ...common,
      dryRun: true,
      onProgress: () => undefined,
    });
    if (options.dryRun === true || plan.matching === 0) {
      print(plan, options, context);
      if (options.output !== "json") terminal.note(planText(name, plan));
      return;
    }
    await confirm(context, options.yes === true, {
      what: `${plan.matching} of ${plan.lookedAt} dead letters would go to ${name} once more`,
      name,
      command: commandOf(name, options),
    });
    const report = await admin.deadLetters.redrive(name, {
      ...common,
      dryRun: false,
      onProgress: ({ redriven }) => terminal.status(`${redriven} of ${plan.matching} sent`),
    });
    print(report, options, context);
    if (options.output !== "json") terminal.note(doneText(name, report));
    if (report.outcome === "canary-died" || report.outcome === "canary-waiting") {
      throw new CliError(EXIT.FAILED, stoppedText(name, report), nextStep(name, report));
    }
  });
}

function print(report: RedriveReport, options: GlobalOptions, context: Context): void {
  if (options.output === "json") context.terminal.line(JSON.stringify(report, undefined, 2));
}

function planText(name: string, { held, lookedAt, matching }: RedriveReport): string {
  if (matching === 0)
    return `nothing to do: none of ${lookedAt} open dead letters of ${name} matches`;
  const left = held === 0 ? "" : `; ${held} more are worked on by consumers of dlq/${name}`;
  return `${matching - held} of ${lookedAt} open dead letters would be sent${left}; nothing was changed`;
}

function doneText(name: string, { duplicates, held, redriven }: RedriveReport): string {
  const before = duplicates === 0 ? "" : `, ${duplicates} of them by an earlier redrive`;
  const left = held === 0 ? "" : `; ${held} left to consumers of dlq/${name}`;
  return `sent ${redriven} dead letters back to ${name}${before}${left}`;
}

function stoppedText(name: string, { canary, outcome }: RedriveReport): string {
  const { died = 0, parked = 0, sent = 0, waiting = 0 } = canary ?? {};
  if (outcome === "canary-waiting") {
    return `stopped: ${waiting} of the first ${sent} are not settled by ${name} yet; the rest was left alone`;
  }
  const fates = [
    died > 0 ? `${died} died again` : "",
    parked > 0 ? `${parked} failed for good` : "",
  ];
  return `stopped: of the first ${sent}, ${fates.filter(Boolean).join(" and ")}; the rest was left alone`;
}

function nextStep(name: string, { outcome }: RedriveReport): string {
  return outcome === "canary-waiting"
    ? `is a consumer of ${name} running? See: flotilla lag ${name}`
    : `see why: flotilla dlq list ${name} --filter 'dead_redriven > 0'`;
}

/** The same, without a question. */
function commandOf(name: string, options: DlqRedriveOptions): string {
  const { canary, filter, partition, rate } = options;
  const words = [
    `flotilla dlq redrive ${name}`,
    ...(filter === undefined ? [] : [`--filter ${quoted(filter)}`]),
    ...(partition === undefined ? [] : [`--partition ${partition}`]),
    ...(rate === undefined ? [] : [`--rate ${rate}`]),
    ...(canary === undefined ? [] : [`--canary ${canary}`]),
  ];
  return [...words, "--yes"].join(" ");
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

/** An expression, unless it is JSON. */
function filterOf(text: string | undefined) {
  if (text === undefined || text.trimStart().startsWith("{")) return text;
  return { kind: "sql", expression: text } as const;
}

function originText({ originOffset, originPartition, originTopic }: ShownDeadLetter): string {
  return `${originTopic}/${originPartition} ${originOffset}`;
}

function stateText({ open }: ShownDeadLetter): string {
  return open ? "open" : "dealt with";
}

function timesOf(count: number): string {
  return count === 1 ? "once" : `${count} times`;
}

function cut(text: string): string {
  return text.length > CUT_CHARACTERS ? `${text.slice(0, CUT_CHARACTERS - 1)}…` : text;
}

/** Bytes that are no text are shown as hexadecimal digits. */
function textOf(bytes: Uint8Array): string {
  const text = Buffer.from(bytes).toString("utf8");
  return Buffer.from(text, "utf8").equals(bytes) ? text : `0x${Buffer.from(bytes).toString("hex")}`;
}

function jsonOf({ headers, key, value, ...letter }: ShownDeadLetter) {
  return {
    ...letter,
    ...bytesField("key", key),
    ...(value === undefined ? {} : bytesField("value", value)),
    headers: headers.map((header) => ({
      name: header.name,
      ...bytesField("value", header.value),
    })),
  };
}
