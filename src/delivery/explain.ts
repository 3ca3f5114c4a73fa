// What became of one message for one subscription: what the dispatcher knows, and what only the record itself tells (its key,
// whether the filter wants it). Called by the broker's service.
import { isBrokerError } from "../model/errors.ts";
import type { Offset } from "../model/positions.ts";
import { decodeBatch } from "../model/record-batch-decoder.ts";
import type { SubscriptionMode } from "../model/subscription.ts";
import { isWanted } from "./batch-loader.ts";
import type { DeliveryRunner } from "./delivery-runner.ts";
import type { Explanation, Fate } from "./dispatch-types.ts";
import type { Failure } from "./failure-table.ts";
import { RecordFeed } from "./record-feed.ts";

export type MessageFate =
  | Exclude<Fate, { readonly kind: "settled" }>
  /** `unwantedBy`: the present filter, where nobody knows whether a consumer or a former filter settled it. */
  | { readonly kind: "settled"; readonly unwantedBy?: string | undefined }
  | { readonly kind: "filtered"; readonly filter: string };

export interface MessageExplanation {
  readonly fate: MessageFate;
  readonly handedOut: number;
  readonly failure: Failure | undefined;
  /** For people. */
  readonly sentence: string;
}

/** @throws BrokerError as RecordFeed, and NOT_LEADER | LEADER_UNKNOWN */
export async function explain(runner: DeliveryRunner, offset: Offset): Promise<MessageExplanation> {
  const { partition } = runner;
  const isThere = offset >= partition.logStartOffset && offset < partition.highWatermark;
  const record = isThere ? await recordAt(runner, offset) : undefined;
  if (runner.isClosed) throw partition.notLeader();
  const { fate, handedOut } = runner.explain(offset, record?.key);
  const shown = record?.isWanted === false ? unwanted(runner, offset, fate) : fate;
  const failure = runner.state.failures.get(offset);
  const { mode } = runner.row.definition;
  return { fate: shown, handedOut, failure, sentence: sentenceOf(shown, mode, failure) };
}

/**
 * Of a message that the filter does not want: it will be settled by it as soon as it is read, or was. What is settled remembers
 * neither by whom nor by which filter, so this is known only while the subscription is as it was created.
 */
function unwanted({ row }: DeliveryRunner, offset: Offset, fate: Explanation["fate"]): MessageFate {
  const { createdIndex, definition, version } = row;
  const filtered = { kind: "filtered", filter: definition.filter } as const;
  switch (fate.kind) {
    case "settled":
      if (version === createdIndex) return filtered;
      return { kind: "settled", unwantedBy: definition.filter };
    case "ready":
    case "waiting":
    case "paused":
      return filtered;
    case "parked":
      // What failed itself stays until it is released.
      return fate.behindOffset === offset ? fate : filtered;
    default:
      return fate;
  }
}

interface RecordFacts {
  readonly isWanted: boolean | undefined;
  readonly key: { readonly value: Buffer | undefined } | undefined;
}

async function recordAt(runner: DeliveryRunner, offset: Offset): Promise<RecordFacts | undefined> {
  const { partition } = runner;
  const { appendTimesMs, batches } = await new RecordFeed(partition).offsets([offset], 1);
  const [batch] = batches;
  if (batch === undefined) return undefined;
  const { partition: number, topicName: topic } = partition;
  const place = { topic, partition: number, appendTimeMs: appendTimesMs[0] ?? 0 };
  return { isWanted: isWanted(batch, place, offset, runner.filter), key: keyAt(batch, offset) };
}

function keyAt(batch: Buffer, offset: Offset): RecordFacts["key"] {
  try {
    const record = decodeBatch(batch).find((one) => one.offset === offset);
    return record === undefined ? undefined : { value: record.key };
  } catch (error) {
    if (!isBrokerError(error)) throw error;
    return undefined;
  }
}

function sentenceOf(
  fate: MessageFate,
  mode: SubscriptionMode,
  failure: Failure | undefined,
): string {
  const failed = failure === undefined ? "" : ` It failed ${timesOf(failure.failed)}.`;
  return `${describe(fate, mode)}.${failed}`;
}

function describe(fate: MessageFate, mode: SubscriptionMode): string {
  switch (fate.kind) {
    case "ready":
      return `It is handed out as soon as a consumer has credit${unreadText(fate, mode)}`;
    case "settled":
      return `It is settled${unwantedText(fate)}`;
    case "settling":
      return "It is settled; that is being replicated";
    case "leased":
      return `Consumer ${fate.consumerId} has it, until ${timeText(fate.untilMs)}`;
    case "filtered":
      return `The filter does not want it: ${fate.filter}`;
    case "waiting":
      return `It waits for the message at offset ${fate.behindOffset}, which comes before it in ${orderOf(mode, fate.key)}`;
    case "parked":
      return `The message at offset ${fate.behindOffset} failed for good and parked ${orderOf(mode, fate.key)}`;
    case "delayed":
      return `It is tried again at ${timeText(fate.untilMs)}`;
    case "dead":
      return "It failed for good and goes to the dead letter topic";
    case "paused":
      return fate.stoppedAt === undefined
        ? `The subscription is paused${pauseText(fate.untilMs)}`
        : `The partition is stopped: the message at offset ${fate.stoppedAt} failed for good`;
    case "absent":
      return "There is no such message: it was never written, or retention dropped it";
  }
}

function unreadText(
  { unread }: Extract<MessageFate, { readonly kind: "ready" }>,
  mode: SubscriptionMode,
): string {
  if (unread === undefined) return "";
  const order = orderOf(mode, unread.key);
  return ` and nothing comes before it in ${order}; from offset ${unread.offset} on nobody has looked yet`;
}

function unwantedText({ unwantedBy }: Extract<MessageFate, { readonly kind: "settled" }>): string {
  if (unwantedBy === undefined) return "";
  const doubt = "the subscription was altered, so that nobody knows which";
  return `, acknowledged by a consumer or passed over by a filter (${doubt}); its present filter does not want it: ${unwantedBy}`;
}

function orderOf(mode: SubscriptionMode, key: Buffer | undefined): string {
  if (mode === "exclusive") return "the order of its partition";
  if (key === undefined) return "the order of messages without a key";
  return `the order of key ${JSON.stringify(key.toString("utf8").slice(0, 80))}`;
}

function pauseText(untilMs: number): string {
  return untilMs >= Number.MAX_SAFE_INTEGER
    ? " until it is resumed"
    : ` until ${timeText(untilMs)}`;
}

function timeText(timeMs: number): string {
  // Times beyond what a date can be are as good as for ever.
  return timeMs > 8.64e15 ? "the end of time" : new Date(timeMs).toISOString();
}

function timesOf(count: number): string {
  return count === 1 ? "once" : `${count} times`;
}
