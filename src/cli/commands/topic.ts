// `flotilla topic …`: everything about topics, through the SDK's admin client.
import type { PartitionDetails, TopicDetails } from "../client-port.ts";
import { type Context, type GlobalOptions, withClient } from "../context.ts";
import { EXIT } from "../exit-codes.ts";
import { CliError } from "../failure.ts";
import { usage } from "../options.ts";
import { humanBytes, printRows, renderTable } from "../table.ts";

type Settings = Readonly<Record<string, string>>;

export interface CreateOptions extends GlobalOptions {
  readonly partitions?: number;
  readonly replicas?: number;
  readonly acks?: string;
  readonly flush?: string;
  readonly set: Settings;
  readonly dryRun?: boolean;
}

export async function topicCreate(
  name: string,
  options: CreateOptions,
  context: Context,
): Promise<void> {
  const settings = {
    ...options.set,
    ...(options.acks === undefined ? {} : { acks: options.acks }),
    ...(options.flush === undefined ? {} : { flush: options.flush }),
  };
  const { topicId } = await withClient(context, options, (client) =>
    client.admin.createTopic({
      name,
      partitions: options.partitions,
      replicationFactor: options.replicas,
      settings,
      validateOnly: options.dryRun === true,
    }),
  );
  if (options.output === "json") context.terminal.line(JSON.stringify({ name, topicId }));
  else if (options.dryRun === true)
    context.terminal.note(`${name} could be created; nothing was changed`);
  else
    context.terminal.note(
      `created ${name} (${topicId}); send to it with: flotilla produce ${name}`,
    );
}

export interface ListOptions extends GlobalOptions {
  readonly prefix: string;
}

export async function topicList(options: ListOptions, context: Context): Promise<void> {
  const topics = await withClient(context, options, (client) =>
    client.admin.listTopics(options.prefix),
  );
  printRows(
    context.terminal,
    options.output,
    topics,
    [
      { title: "TOPIC", text: (topic) => topic.name },
      { title: "PARTITIONS", text: (topic) => topic.partitions, align: "right" },
      { title: "REPLICAS", text: (topic) => topic.replicationFactor, align: "right" },
      { title: "ACKNOWLEDGES", text: (topic) => topic.durability },
      { title: "ID", text: (topic) => topic.topicId },
    ],
    "no topics yet; make one with: flotilla topic create NAME",
  );
}

export async function topicDescribe(
  name: string,
  options: GlobalOptions,
  context: Context,
): Promise<void> {
  const details = await withClient(context, options, (client) => client.admin.describeTopic(name));
  if (options.output === "json") {
    context.terminal.line(JSON.stringify(details, undefined, 2));
    return;
  }
  printDetails(details, context);
}

/** Nobody told. */
const UNKNOWN = "?";

function printDetails(details: TopicDetails, context: Context): void {
  const { terminal } = context;
  const { topic } = details;
  // Rare, so the column is left out where it would be empty.
  const isAnyRecovering = details.partitions.some(({ recovering }) => recovering.length > 0);
  terminal.line(`${topic.name}  ${topic.topicId}  acknowledges ${topic.durability}`);
  terminal.line("");
  printRows(
    terminal,
    "table",
    details.partitions,
    [
      { title: "PARTITION", text: (row) => row.partition, align: "right" },
      {
        title: "LEADER",
        text: (row) => (row.leaderId === 0 ? "none" : row.leaderId),
        align: "right",
      },
      { title: "TERM", text: (row) => row.leaderEpoch, align: "right" },
      { title: "REPLICAS", text: replicasText },
      { title: "IN SYNC", text: inSyncText },
      ...(isAnyRecovering ? [{ title: "RECOVERING", text: recoveringText }] : []),
      { title: "FIRST", text: (row) => row.logStartOffset ?? UNKNOWN, align: "right" },
      { title: "NEXT", text: (row) => row.highWatermark ?? UNKNOWN, align: "right" },
      { title: "SIZE", text: sizeText, align: "right" },
    ],
    "no partitions",
  );
  if (details.settings.length === 0) return;
  terminal.line("");
  terminal.line(
    renderTable(
      [
        { title: "SETTING", text: (row) => row.name },
        { title: "VALUE", text: (row) => row.value },
        { title: "SOURCE", text: (row) => (row.isDefault ? "default" : "topic") },
      ],
      details.settings,
    ),
  );
}

function replicasText(row: PartitionDetails): string {
  const wanted = row.replicas.join(",");
  return row.leaving.length === 0 ? wanted : `${wanted} (leaving: ${row.leaving.join(",")})`;
}

/** Known only where the asked broker leads. */
function inSyncText(row: PartitionDetails): string {
  return row.inSync.length === 0 ? UNKNOWN : row.inSync.join(",");
}

/** May have forgotten what they acknowledged, and vote with less weight until they hold it again. */
function recoveringText(row: PartitionDetails): string {
  return row.recovering.length === 0 ? "–" : row.recovering.join(",");
}

function sizeText(row: PartitionDetails): string {
  return row.bytes === undefined ? UNKNOWN : humanBytes(row.bytes);
}

export interface AlterOptions extends GlobalOptions {
  readonly set: Settings;
}

export async function topicAlter(
  name: string,
  options: AlterOptions,
  context: Context,
): Promise<void> {
  const names = Object.keys(options.set);
  if (names.length === 0) throw usage("nothing to change: give at least one --set setting=value");
  await withClient(context, options, (client) => client.admin.alterTopic(name, options.set));
  if (options.output === "json")
    context.terminal.line(JSON.stringify({ name, changed: options.set }));
  else context.terminal.note(`changed ${names.join(", ")} of ${name}`);
}

export interface DeleteOptions extends GlobalOptions {
  readonly yes?: boolean;
}

export async function topicDelete(
  name: string,
  options: DeleteOptions,
  context: Context,
): Promise<void> {
  if (options.yes !== true) {
    throw new CliError(
      EXIT.USAGE,
      `this deletes ${name} and all its messages, for good`,
      `if that is meant: flotilla topic delete ${name} --yes`,
    );
  }
  await withClient(context, options, (client) => client.admin.deleteTopic(name));
  if (options.output === "json") context.terminal.line(JSON.stringify({ name, deleted: true }));
  else context.terminal.note(`deleted ${name}`);
}
