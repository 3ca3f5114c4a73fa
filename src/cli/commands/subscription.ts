// `flotilla subscription create|list|describe|alter|pause|resume|delete`: definitions of subscriptions.
import type { FailurePolicy, SubscriptionMode, TopicSelection } from "../../model/subscription.ts";
import { confirm } from "../confirm.ts";
import { type Context, type GlobalOptions, withClient } from "../context.ts";
import { type FilterOptions, filterOf, filterText } from "../filter-options.ts";
import { printProgress } from "../format-progress.ts";
import { parseFrom, usage } from "../options.ts";
import type {
  NewSubscription,
  RetryWish,
  SubscriptionChanges,
  SubscriptionDetails,
  TopicChoice,
} from "../subscription-port.ts";
import { humanDuration, printRows } from "../table.ts";

/** What create and alter have in common. */
export interface DefinitionOptions extends GlobalOptions, FilterOptions {
  readonly topics?: readonly string[];
  readonly patterns?: readonly string[];
  readonly regex?: string;
  readonly attempts?: number;
  readonly retryDelays?: readonly number[];
  readonly retryInitial?: number;
  readonly retryMax?: number;
  readonly retryMultiplier?: number;
  readonly retryJitter?: number;
  /** false: none. */
  readonly deadLetter?: string | boolean;
  readonly onFailure?: FailurePolicy;
  readonly ackDeadline?: number;
}

export interface CreateOptions extends DefinitionOptions {
  readonly mode?: SubscriptionMode;
  readonly from?: string;
  readonly paused?: boolean;
  readonly dryRun?: boolean;
}

export async function subscriptionCreate(
  name: string,
  options: CreateOptions,
  context: Context,
): Promise<void> {
  const { topics, ...changes } = changesOf(options);
  if (topics === undefined) {
    throw usage("say which topics: --topics orders, --patterns 'shop/#' or --regex 'orders-.*'");
  }
  const { mode, paused = false } = options;
  const wish = { name, topics, ...changes, mode, paused, start: startOf(options.from) };
  const { subscriptionId, topics: matched } = await withClient(context, options, ({ admin }) =>
    admin.subscriptions.create(wish, options.dryRun === true),
  );
  if (options.output === "json") {
    context.terminal.line(JSON.stringify({ name, subscriptionId, topics: matched }));
    return;
  }
  const what = matched.length === 0 ? "no topic yet" : list(matched);
  if (options.dryRun === true) {
    context.terminal.note(`${name} could be created, on ${what}; nothing was changed`);
  } else {
    context.terminal.note(
      `created ${name} (${subscriptionId}) on ${what}; see how far it is with: flotilla lag ${name}`,
    );
  }
}

function startOf(from: string | undefined): NewSubscription["start"] {
  if (from === undefined) return undefined;
  const at = parseFrom(from, Date.now());
  if (at.kind === "offset") {
    throw usage("--from must be earliest, latest or @time: an offset is one of a partition");
  }
  return at.kind === "time" ? { timeMs: at.timeMs } : at.kind;
}

function changesOf(options: DefinitionOptions): SubscriptionChanges {
  const { ackDeadline: ackDeadlineMs, deadLetter, onFailure } = options;
  const changes: SubscriptionChanges = {
    topics: topicsOf(options),
    filter: filterOf(options),
    retry: retryOf(options),
    deadLetter,
    onFailure,
    ackDeadlineMs,
  };
  const given = Object.entries(changes).filter(([, value]) => value !== undefined);
  return Object.fromEntries(given);
}

function topicsOf({ patterns, regex, topics }: DefinitionOptions): TopicChoice | undefined {
  const forms: TopicChoice[] = [];
  if (topics !== undefined) forms.push(topics);
  if (patterns !== undefined) forms.push({ patterns });
  if (regex !== undefined) forms.push({ regex });
  if (forms.length > 1) throw usage("only one of --topics, --patterns and --regex");
  return forms[0];
}

function retryOf(options: DefinitionOptions): RetryWish | undefined {
  const retry: RetryWish = {
    attempts: options.attempts,
    delaysMs: options.retryDelays,
    initialMs: options.retryInitial,
    maxMs: options.retryMax,
    multiplier: options.retryMultiplier,
    jitter: options.retryJitter,
  };
  return Object.values(retry).every((value) => value === undefined) ? undefined : retry;
}

export interface ListOptions extends GlobalOptions {
  readonly prefix: string;
  readonly topic?: string;
}

export async function subscriptionList(options: ListOptions, context: Context): Promise<void> {
  const { prefix, topic } = options;
  const subscriptions = await withClient(context, options, ({ admin }) =>
    admin.subscriptions.list({ prefix, topic }),
  );
  printRows(
    context.terminal,
    options.output,
    subscriptions,
    [
      { title: "SUBSCRIPTION", text: (row) => row.name },
      { title: "MODE", text: (row) => row.mode },
      { title: "TOPICS", text: (row) => topicsText(row.topics) },
      { title: "WANTS", text: (row) => filterText(row.filter) },
      { title: "STATE", text: stateText },
    ],
    "no subscriptions; make one with: flotilla subscription create NAME --topics TOPIC",
  );
}

export async function subscriptionDescribe(
  name: string,
  options: GlobalOptions,
  context: Context,
): Promise<void> {
  const [details, progress] = await withClient(context, options, ({ admin }) =>
    Promise.all([admin.subscriptions.describe(name), admin.subscriptions.progress(name)]),
  );
  if (options.output === "json") {
    context.terminal.line(JSON.stringify({ ...details, progress }, undefined, 2));
    return;
  }
  const { subscription, topics } = details;
  const { terminal } = context;
  terminal.line(`${name}  ${subscription.subscriptionId}  version ${subscription.version}`);
  terminal.line("");
  printRows(
    terminal,
    "table",
    factsOf(subscription),
    [
      { title: "WHAT", text: ([what]) => what },
      { title: "VALUE", text: ([, value]) => value },
    ],
    "",
  );
  terminal.line("");
  if (topics.length === 0) terminal.note("no topic matches yet");
  else printProgress(terminal, progress, Date.now());
}

function factsOf(subscription: SubscriptionDetails): readonly (readonly [string, string])[] {
  const { ackDeadlineMs, deadLetterTopic, filter, mode, onFailure, start, topics } = subscription;
  return [
    ["topics", topicsText(topics)],
    ["wants", filterText(filter)],
    ["mode", mode],
    ["state", stateText(subscription)],
    ["retries", retryText(subscription.retry)],
    ["after the last failure", lastFailureText(mode, onFailure)],
    ["dead letters", deadLetterTopic ?? "none: tried for ever"],
    ["ack deadline", humanDuration(ackDeadlineMs)],
    ["began at", start.kind === "time" ? new Date(start.timeMs).toISOString() : start.kind],
  ];
}

function lastFailureText(mode: SubscriptionMode, onFailure: FailurePolicy): string {
  if (mode === "shared" || onFailure === "skip") return "to the dead letters";
  return onFailure === "park" ? "its key is parked" : "its partition stops";
}

function retryText({ attempts, delaysMs, ...exponential }: SubscriptionDetails["retry"]): string {
  const times = `${attempts} attempts`;
  if (delaysMs.length > 0) return `${times}, after ${delaysMs.map(humanDuration).join(", ")}`;
  const { initialMs, jitter, maxMs, multiplier } = exponential;
  const span = `${humanDuration(initialMs)} to ${humanDuration(maxMs)}`;
  return `${times}, after ${span} (×${multiplier}, jitter ${Math.round(jitter * 100)} %)`;
}

export function topicsText(topics: TopicSelection): string {
  switch (topics.kind) {
    case "names":
      return list(topics.names);
    case "patterns":
      return `like ${list(topics.patterns)}`;
    case "regex":
      return `matching ${topics.regex}`;
  }
}

function stateText({ pausedUntilMs }: SubscriptionDetails): string {
  if (pausedUntilMs <= Date.now()) return "active";
  if (pausedUntilMs === Number.MAX_SAFE_INTEGER) return "paused";
  return `paused until ${new Date(pausedUntilMs).toISOString()}`;
}

/** The first few of a list that may be long. */
function list(texts: readonly string[]): string {
  const shown = texts.slice(0, 5).join(", ");
  return texts.length > 5 ? `${shown} and ${texts.length - 5} more` : shown;
}

export interface AlterOptions extends DefinitionOptions {
  readonly ifVersion?: number;
}

export async function subscriptionAlter(
  name: string,
  options: AlterOptions,
  context: Context,
): Promise<void> {
  const changes = changesOf(options);
  const what = Object.keys(changes);
  if (what.length === 0) throw usage("nothing to change: give at least one option");
  const { version } = await withClient(context, options, ({ admin }) =>
    admin.subscriptions.alter(name, changes, options.ifVersion),
  );
  if (options.output === "json") context.terminal.line(JSON.stringify({ name, version }));
  else
    context.terminal.note(`changed ${what.join(", ")} of ${name}; it has version ${version} now`);
}

export interface PauseOptions extends GlobalOptions {
  /** ms */
  readonly for?: number;
}

export async function subscriptionPause(
  name: string,
  options: PauseOptions,
  context: Context,
): Promise<void> {
  const untilMs = options.for === undefined ? undefined : Date.now() + options.for;
  await withClient(context, options, ({ admin }) => admin.subscriptions.pause(name, untilMs));
  if (options.output === "json") {
    context.terminal.line(JSON.stringify({ name, paused: true, untilMs }));
    return;
  }
  const end =
    untilMs === undefined
      ? `go on with: flotilla subscription resume ${name}`
      : `it goes on by itself at ${new Date(untilMs).toISOString()}`;
  context.terminal.note(`paused ${name}: nothing is handed out any more; ${end}`);
}

export async function subscriptionResume(
  name: string,
  options: GlobalOptions,
  context: Context,
): Promise<void> {
  await withClient(context, options, ({ admin }) => admin.subscriptions.resume(name));
  if (options.output === "json") context.terminal.line(JSON.stringify({ name, paused: false }));
  else context.terminal.note(`${name} goes on`);
}

export interface DeleteOptions extends GlobalOptions {
  readonly yes?: boolean;
}

export async function subscriptionDelete(
  name: string,
  options: DeleteOptions,
  context: Context,
): Promise<void> {
  await confirm(context, options.yes === true, {
    what: `this deletes ${name} and forgets what it has settled, for good; messages and dead letters stay`,
    name,
    command: `flotilla subscription delete ${name} --yes`,
  });
  await withClient(context, options, ({ admin }) => admin.subscriptions.delete(name));
  if (options.output === "json") context.terminal.line(JSON.stringify({ name, deleted: true }));
  else context.terminal.note(`deleted ${name}`);
}
