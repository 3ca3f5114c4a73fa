// What stands in the end: waits until a subscription has come to rest, and reads its cursors and its dead letters.
import { type Admin, type Client, createClient } from "../../src/client/index.ts";
import type { DeliveryRecorder, HistoryEvent } from "../../src/testkit/index.ts";
import { waitUntil } from "../chaos/waiting.ts";
import type { Arena } from "./arena.ts";
import { nameOf } from "./operator.ts";
import { valueTextOf } from "./plan.ts";

const PROGRESS = { timeoutMs: 5000 };

/** Everything is settled: that is when the final cursors are written down. What is held up until then is let go. */
export async function waitAtRest(
  { client, history, operator, options, subscription }: Arena,
  timeoutMs: number,
): Promise<void> {
  const { partitions } = options;
  await waitUntil(
    "the subscription at rest",
    timeoutMs,
    async () => {
      await operator.releaseAll();
      const { recorder } = history;
      return (await writeCursors(client.admin(), subscription, partitions, recorder, true)) === 0;
    },
    500,
  );
}

/** Writes the cursors of all partitions down. Returns how many messages are not settled. */
export async function writeCursors(
  admin: Admin,
  subscription: string,
  partitions: number,
  recorder: DeliveryRecorder,
  isEnd = false,
): Promise<number> {
  const beganMs = performance.now();
  const progress = await admin.subscriptions.progress(subscription, PROGRESS);
  const atMs = performance.now();
  const known = progress.partitions.filter(({ attached }) => attached);
  if (known.length !== partitions) throw new Error(`${known.length} partitions are known`);
  const unsettled = known.reduce((sum, one) => sum + one.highWatermark - one.cursor, 0);
  const isFinal = isEnd && unsettled === 0;
  for (const { cursor: offset, partition, topic } of known) {
    const seen = { beganMs, atMs, subscription, topic, partition, offset };
    recorder.note({ type: "cursor", ...seen, ...(isFinal ? { unsettled: [], isFinal } : {}) });
  }
  return unsettled;
}

/** Reads the whole dead letter topic. Returns where they came from, each as often as it is there. */
export async function readDeadLetters(
  bootstrap: readonly string[],
  deadTopic: string,
  recorder: DeliveryRecorder,
  note: (event: HistoryEvent) => void,
): Promise<readonly string[]> {
  const client = createClient({ bootstrap: [...bootstrap] });
  try {
    return await readWith(client, deadTopic, recorder, note);
  } finally {
    await client.close();
  }
}

async function readWith(
  client: Client,
  deadTopic: string,
  recorder: DeliveryRecorder,
  note: (event: HistoryEvent) => void,
): Promise<readonly string[]> {
  const beganMs = performance.now();
  const { partitions } = await client.admin().describeTopic(deadTopic, PROGRESS);
  const ends = new Map(partitions.map(({ partition }) => [partition, 0]));
  const found: string[] = [];
  const reader = client.reader({ topic: deadTopic, from: "earliest", until: "end" });
  for await (const { headers, offset: deadOffset, partition: deadPartition, value } of reader) {
    const texts = new Map(headers.map((header) => [header.name, textOf(header.value)]));
    const origin = {
      partition: Number(texts.get("flotilla-dead-partition")),
      offset: Number(texts.get("flotilla-dead-offset")),
    };
    found.push(nameOf(origin));
    ends.set(deadPartition, deadOffset + 1);
    recorder.note({
      ...{ type: "dead", atMs: performance.now(), value: valueTextOf(value) },
      subscription: texts.get("flotilla-dead-subscription") ?? "",
      topic: texts.get("flotilla-dead-topic") ?? "",
      ...origin,
      failed: Number(texts.get("flotilla-dead-attempts")),
      ...{ deadTopic, deadPartition, deadOffset },
    });
  }
  const atMs = performance.now();
  for (const [partition, to] of ends) {
    note({
      type: "scan",
      atMs,
      beganMs,
      reader: "dead letters",
      topic: deadTopic,
      partition,
      from: 0,
      to,
    });
  }
  note({
    ...{ type: "topic", atMs: 0, topic: deadTopic, partitions: ends.size, replicas: 3 },
    ...{ flush: "sync", keepsAll: true },
  });
  return found;
}

function textOf(value: Uint8Array | null | undefined): string {
  return Buffer.from(value ?? []).toString();
}
