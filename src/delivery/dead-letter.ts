// The message that goes to a dead letter topic: the whole original, and why it is there. Called by delivery runners.
import { DEAD_HEADER } from "../model/headers.ts";
import type { DecodedRecord } from "../model/record-batch-decoder.ts";
import { REDRIVE_PREFIX, type SubscriptionRow } from "../model/subscription.ts";
import { deadFactsOf } from "./dead-letter-facts.ts";
import { fitted } from "./dead-letter-fit.ts";
import { ATTEMPTS_KEPT } from "./failure-table.ts";
import type { DeadLetter, DeliveryPartition } from "./ports.ts";

const CUT_PARTS = ["batch", "key", "headers", "value"];
const CUT_BYTES = DEAD_HEADER.CUT.length + CUT_PARTS.join(",").length;

/** What is known of the failures of a message. */
export interface DeadCause {
  /** Seeks before it died. */
  readonly seeks: number;
  readonly failed: number;
  readonly attempts: readonly {
    readonly timeMs: number;
    readonly cause: string;
    readonly error: string;
  }[];
}

/** A message as it was stored; what could not be decoded is no record, and says so. */
export interface DeadRecord extends DecodedRecord {
  readonly isUndecoded?: boolean;
}

/** Undefined without a dead letter topic. */
export function deadLetterOf(
  { definition, subscriptionId }: SubscriptionRow,
  partition: DeliveryPartition,
  record: DeadRecord,
  cause: DeadCause,
): DeadLetter | undefined {
  const { deadLetterTopic: topic } = definition;
  if (topic === undefined) return undefined;
  const origin = {
    topic: partition.topicName,
    topicId: partition.topicId,
    partition: partition.partition,
    offset: record.offset,
  };
  // One that was redriven still comes from where it died first. Elsewhere such headers are anybody's.
  const before = origin.topic.startsWith(REDRIVE_PREFIX) ? deadFactsOf(record.headers) : undefined;
  const from = before?.origin ?? { ...origin, timestampMs: record.timestampMs };
  const history = [...(before?.attempts ?? []), ...cause.attempts].slice(-ATTEMPTS_KEPT);
  const redriven = before?.redriven ?? 0;
  const last = cause.attempts.at(-1);
  const added: (readonly [string, string])[] = [
    [DEAD_HEADER.TOPIC, from.topic],
    [DEAD_HEADER.PARTITION, `${from.partition}`],
    [DEAD_HEADER.OFFSET, `${from.offset}`],
    [DEAD_HEADER.SUBSCRIPTION, definition.name],
    [DEAD_HEADER.REASON, reasonOf(last?.cause)],
    [DEAD_HEADER.ERROR, last?.error ?? ""],
    [DEAD_HEADER.ATTEMPTS, `${cause.failed}`],
    [DEAD_HEADER.HISTORY, JSON.stringify(history)],
    [DEAD_HEADER.TIMESTAMP_MS, `${from.timestampMs}`],
    ...(redriven > 0 ? [[DEAD_HEADER.REDRIVEN, `${redriven}`] as const] : []),
  ];
  const names: ReadonlySet<string> = new Set(Object.values(DEAD_HEADER));
  // Less of a message is better than one that can never be moved.
  const own = record.headers.filter((header) => !names.has(header.name));
  const content = fitted({ ...record, headers: own }, added.length + 1, bytesOf(added));
  const lacking = record.isUndecoded === true ? ["batch", ...content.cut] : content.cut;
  const cut = [...new Set([...cutBefore(record, before), ...lacking])];
  if (cut.length > 0) added.push([DEAD_HEADER.CUT, cut.join(",")]);
  const headers = [
    ...content.headers,
    ...added.map(([name, text]) => ({ name, value: Buffer.from(text, "utf8") })),
  ];
  const { key, value } = content;
  const { timestampMs } = record;
  const { name: subscription } = definition;
  const death = `${cause.seeks}/${cause.failed}/${last?.timeMs ?? 0}`;
  return { topic, subscription, subscriptionId, origin, death, key, value, headers, timestampMs };
}

function reasonOf(cause: string | undefined): string {
  if (cause === "reject") return "rejected";
  return cause === undefined ? "skipped" : "attempts";
}

/** Room for one header more is counted in: which one says what was cut. */
function bytesOf(added: readonly (readonly [string, string])[]): number {
  let bytes = CUT_BYTES;
  for (const [name, text] of added) bytes += name.length + Buffer.byteLength(text);
  return bytes;
}

/** What was not whole when it died before. */
function cutBefore({ headers }: DeadRecord, before: unknown): readonly string[] {
  if (before === undefined) return [];
  const cut = headers.find(({ name }) => name === DEAD_HEADER.CUT);
  if (cut === undefined) return [];
  const parts = Buffer.from(cut.value).toString("utf8").split(",");
  return CUT_PARTS.filter((part) => parts.includes(part));
}
