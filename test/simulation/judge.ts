// The end of a run: everything is read by a client that knows nothing yet, and the history is judged. Called by
// simulate.ts.
import { type Client, isBrokerError } from "../../src/client/index.ts";
import {
  checkHistory,
  type DurabilityClass,
  type HistoryEvent,
  type RecordRead,
} from "../../src/testkit/index.ts";
import { sdkClient } from "./clients.ts";
import type { Operations } from "./operations.ts";
import type { TopicPlan } from "./plan/seed-plan.ts";
import type { SimCluster } from "./sim-cluster.ts";
import type { Workload } from "./workload.ts";

const READ_LIMIT_MS = 200_000;
const PASSES_MAX = 3;
const SHOWN = 60;

/** What the final reads covered. */
interface Covered {
  /** "topic/partition" → first offset that was there. */
  readonly logStarts: Map<string, number>;
  readonly topics: Set<string>;
}

export async function judge(cluster: SimCluster, workload: Workload): Promise<void> {
  const topics = [...cluster.plan.topics, ...workload.passing.kept];
  const covered: Covered = {
    logStarts: new Map(),
    topics: new Set(topics.map(({ name }) => name)),
  };
  const readAll = async (): Promise<void> => {
    const client = sdkClient(cluster);
    for (const topic of topics) await readTopic(client, topic, workload.operations, covered);
    await client.close();
  };
  await cluster.complete(cluster.sdkHost, readAll, READ_LIMIT_MS);
  const survivors = new Set<DurabilityClass>(["all/sync"]);
  if (!cluster.hasForgotten) survivors.add("all/async");
  const report = checkHistory(withoutDropped(cluster.history.events, covered), {
    finalReader: "final",
    mustSurvive: survivors,
  });
  for (const { detail, kind, value } of report.anomalies) {
    cluster.violation(`${kind}: ${value.slice(0, SHOWN)}: ${detail}`);
  }
  checkVerdicts(cluster, workload.operations, covered);
}

async function readTopic(
  client: Client,
  topic: TopicPlan,
  operations: Operations,
  covered: Covered,
): Promise<void> {
  for (let pass = 1; pass <= PASSES_MAX; pass += 1) {
    try {
      await readOnce(client, topic, pass, operations, covered);
      return;
    } catch (error) {
      // Retention may overtake a reader that has just begun.
      const isOvertaken = topic.isRolling && isBrokerError(error, "OFFSET_OUT_OF_RANGE");
      if (!isOvertaken || pass === PASSES_MAX) throw error;
    }
  }
}

async function readOnce(
  client: Client,
  { name }: TopicPlan,
  pass: number,
  operations: Operations,
  { logStarts }: Covered,
): Promise<void> {
  const begun = new Set<number>();
  for await (const message of client.reader({ topic: name, until: "end" })) {
    if (!begun.has(message.partition)) {
      logStarts.set(`${name}/${message.partition}`, message.offset);
      begun.add(message.partition);
    }
    operations.read(`final-${name}-${pass}`, name, message);
  }
}

/** Leaves out acknowledgements of records below the log start, which retention may take, and of deleted topics. */
function withoutDropped(events: readonly HistoryEvent[], covered: Covered): HistoryEvent[] {
  const topicOf = new Map<string, string>();
  for (const event of events) if (event.type === "send") topicOf.set(event.value, event.topic);
  return events.filter((event) => {
    if (event.type !== "ack") return true;
    const topic = topicOf.get(event.value) ?? "";
    if (!covered.topics.has(topic)) return false;
    return event.offset >= (covered.logStarts.get(`${topic}/${event.partition}`) ?? 0);
  });
}

/** I28: what was said to be committed is there, what was said to be lost is not. */
function checkVerdicts(cluster: SimCluster, operations: Operations, covered: Covered): void {
  const places = new Map<string, RecordRead>();
  for (const event of cluster.history.events) {
    if (event.type !== "read" || !event.reader.startsWith("final")) continue;
    places.set(`${event.topic}/${event.partition}@${event.offset}`, event);
  }
  for (const { leaderEpoch, offset, outcome, partition, topic, value } of operations.verdicts) {
    const start = covered.logStarts.get(`${topic}/${partition}`) ?? 0;
    const isAsync = cluster.plan.topics.some(
      ({ flush, name }) => name === topic && flush === "async",
    );
    if (offset < start || (isAsync && cluster.hasForgotten)) continue;
    const found = places.get(`${topic}/${partition}@${offset}`);
    const isThere = found?.leaderEpoch === leaderEpoch && found.value === value;
    if (isThere === (outcome === "committed")) continue;
    const place = `${topic}/${partition}@${offset} epoch ${leaderEpoch}`;
    cluster.violation(
      `verdict: "${value.slice(0, SHOWN)}" at ${place} is ${outcome}, but there: ${isThere}`,
    );
  }
}
