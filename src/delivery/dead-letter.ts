// The message that goes to a dead letter topic: the whole original, and why it is there. Called by delivery runners.
import { DEAD_HEADER } from "../model/headers.ts";
import { HEADERS_PER_RECORD_MAX } from "../model/limits.ts";
import type { RecordHeader } from "../model/record-batch-builder.ts";
import type { DecodedRecord } from "../model/record-batch-decoder.ts";
import { REDRIVE_PREFIX, type SubscriptionRow } from "../model/subscription.ts";
import { deadFactsOf } from "./dead-letter-facts.ts";
import { ATTEMPTS_KEPT } from "./failure-table.ts";
import type { DeadLetter, DeliveryPartition } from "./ports.ts";

/** What is known of the failures of a message. */
export interface DeadCause {
  readonly failed: number;
  readonly attempts: readonly {
    readonly timeMs: number;
    readonly cause: string;
    readonly error: string;
  }[];
}

/** Undefined without a dead letter topic. */
export function deadLetterOf(
  { definition, subscriptionId }: SubscriptionRow,
  partition: DeliveryPartition,
  record: DecodedRecord,
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
  const added: readonly (readonly [string, string])[] = [
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
  // A message with as many headers as there may be loses the last ones: better than one that can never be moved.
  const kept = record.headers
    .filter((header) => !names.has(header.name))
    .slice(0, HEADERS_PER_RECORD_MAX - added.length);
  const headers: RecordHeader[] = [
    ...kept,
    ...added.map(([name, text]) => ({ name, value: Buffer.from(text, "utf8") })),
  ];
  const { key, value, timestampMs } = record;
  const { name: subscription } = definition;
  return { topic, subscription, subscriptionId, origin, key, value, headers, timestampMs };
}

function reasonOf(cause: string | undefined): string {
  if (cause === "reject") return "rejected";
  return cause === undefined ? "skipped" : "attempts";
}
