// The end of a run: leaders are asked, everything is read by a client that knows nothing yet, and the history is judged.
// Called by simulate.ts.
import { type Client, isBrokerError } from "../../src/client/index.ts";
import { checkHistory, type DurabilityClass, type HistoryEvent } from "../../src/testkit/index.ts";
import { sdkClient } from "./clients.ts";
import { readDeadLetters } from "./delivery/dead-letter-reads.ts";
import type { Deliveries } from "./delivery/deliveries.ts";
import { addExamined, type Examined } from "./examined.ts";
import type { Operations } from "./operations.ts";
import { replicasOf, type TopicPlan } from "./plan/seed-plan.ts";
import { askLeaders, noteObservations } from "./questions.ts";
import type { SimCluster } from "./sim-cluster.ts";
import type { Workload } from "./workload.ts";

const LIMIT_MS = 200_000;
const PASSES_MAX = 3;

/** Notes in the history what the topic promises. */
export function declare({ history, world }: SimCluster, topic: TopicPlan): void {
  const { flush, isRolling, name, partitions } = topic;
  const size = { partitions, replicas: replicasOf(topic) };
  const atMs = world.nowMs;
  history.add({ type: "topic", atMs, topic: name, ...size, flush, keepsAll: !isRolling });
}

export async function judge(
  cluster: SimCluster,
  workload: Workload,
  deliveries: Deliveries,
): Promise<Examined> {
  const passing = workload.passing.kept;
  for (const topic of passing) declare(cluster, topic);
  const topics = [...cluster.plan.topics, ...passing];
  const client = sdkClient(cluster);
  const { sdkHost } = cluster;
  noteObservations(cluster);
  await cluster.complete(sdkHost, () => askLeaders(cluster, client, topics), LIMIT_MS);
  await deliveries.ask();
  await cluster.complete(sdkHost, () => readDeadLetters(cluster, client, deliveries), LIMIT_MS);
  deliveries.write();
  await cluster.complete(sdkHost, () => readAll(cluster, client, topics, workload), LIMIT_MS);
  const lacking = topics.filter((topic) => cluster.mayLack(topic));
  const whole = topics.filter((topic) => !cluster.mayLack(topic));
  const dead = deliveries.deadLetterTopics;
  const examined = {};
  addExamined(examined, examine(cluster, whole, dead, ["all/sync", "all/async"]));
  addExamined(examined, examine(cluster, lacking, dead, ["all/sync"]));
  return examined;
}

/**
 * What is about these topics: acknowledged sends of these classes must be there.
 * @returns how much was looked at
 */
function examine(
  cluster: SimCluster,
  topics: readonly TopicPlan[],
  deadLetterTopics: readonly TopicPlan[],
  survivors: readonly DurabilityClass[],
): Examined {
  if (topics.length === 0) return {};
  const names = new Set([...topics, ...deadLetterTopics].map(({ name }) => name));
  const events = about(names, cluster.history.lines());
  const { anomalies, examined } = checkHistory(events, { mustSurvive: new Set(survivors) });
  for (const { detail, id, kind } of anomalies) cluster.violation(`${id} ${kind}: ${detail}`);
  return examined;
}

/** Every partition from its log start to its end. */
async function readAll(
  cluster: SimCluster,
  client: Client,
  topics: readonly TopicPlan[],
  { operations }: Workload,
): Promise<void> {
  for (const topic of topics) {
    for (let pass = 1, isDone = false; !isDone; pass += 1) {
      try {
        await readTopic(cluster, client, topic, pass, operations);
        isDone = true;
      } catch (error) {
        // Retention may overtake a reader that has just begun.
        const isOvertaken = topic.isRolling && isBrokerError(error, "OFFSET_OUT_OF_RANGE");
        if (!isOvertaken || pass === PASSES_MAX) throw error;
      }
    }
  }
  await client.close();
}

async function readTopic(
  cluster: SimCluster,
  client: Client,
  { name, partitions }: TopicPlan,
  pass: number,
  operations: Operations,
): Promise<void> {
  const reader = `final-${name}-${pass}`;
  const beganMs = cluster.world.nowMs;
  const ranges = Array.from({ length: partitions }, (_, partition) => {
    return { partition, beganMs, from: Number.POSITIVE_INFINITY, to: 0 };
  });
  for await (const message of client.reader({ topic: name, until: "end" })) {
    operations.read(reader, name, message);
    const range = ranges[message.partition];
    if (range === undefined) continue;
    range.from = Math.min(range.from, message.offset);
    range.to = message.offset + 1;
  }
  // Nothing read: the log is taken to begin at 0, so that everything acknowledged is missed.
  for (const range of ranges) {
    operations.scanned(reader, name, { ...range, from: Math.min(range.from, range.to) });
  }
}

/** Leaves out what is about topics that were deleted, or may have been. */
function* about(
  names: ReadonlySet<string>,
  events: Iterable<HistoryEvent>,
): Generator<HistoryEvent> {
  const strangers = new Set<string>();
  const settlements = new Set<string>();
  for (const event of events) {
    if ("topic" in event && !names.has(event.topic)) {
      if (event.type === "send") strangers.add(event.value);
      continue;
    }
    if (event.type === "settlement") settlements.add(`${event.consumer} ${event.number}`);
    if (event.type === "settled" && !settlements.has(`${event.consumer} ${event.number}`)) continue;
    if ("value" in event && strangers.has(event.value)) continue;
    yield event;
  }
}
