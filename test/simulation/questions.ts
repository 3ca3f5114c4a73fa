// What the history lacks when all is calm: who led, what the nodes say about metadata, where the partitions end, and what
// QueryOutcome says about sends that were acknowledged. Asked by judge.ts before the last reading.
import { type Client, FlotillaError } from "../../src/client/index.ts";
import type { SendAcknowledged, SendInvoked } from "../../src/testkit/index.ts";
import type { TopicPlan } from "./plan/seed-plan.ts";
import type { SimCluster } from "./sim-cluster.ts";

/** Sends that are asked about: more would cost more than they tell. */
const ASKED_MAX = 40;
const CALL = { timeoutMs: 5000 };

interface Place {
  readonly topic: string;
  readonly partition: number;
}

interface Asked {
  readonly event: SendAcknowledged;
  readonly topic: string;
}

/** Leaderships of partitions, and the metadata of every node that is up. */
export function noteObservations(cluster: SimCluster): void {
  const { brokers, history, leaderships, world } = cluster;
  const places = new Map<number, Place>();
  for (const { node, nodeId } of brokers) {
    if (node === undefined) continue;
    const { image } = node.view;
    for (const topic of image.topics.values()) {
      const partitions = image.partitionsOf(topic.topicId);
      for (const { groupId, partition } of partitions) {
        places.set(groupId, { topic: topic.name, partition });
      }
      const index = image.version;
      const state = JSON.stringify({ topic, partitions });
      const subject = `topic ${topic.name}`;
      history.add({ type: "metadata", atMs: world.nowMs, node: nodeId, index, subject, state });
    }
  }
  for (const { atMs, group, node, term } of leaderships) {
    const place = places.get(group);
    if (place !== undefined) {
      history.add({ type: "leader", atMs, ...place, node, leaderEpoch: term });
    }
  }
}

/** A refusal is no answer, and no violation: the calm phase has shown that they serve. */
export async function askLeaders(
  cluster: SimCluster,
  client: Client,
  topics: readonly TopicPlan[],
): Promise<void> {
  const admin = client.admin();
  const { history, world } = cluster;
  for (const { event, topic } of acknowledgedSample(cluster, topics)) {
    const { leaderEpoch, offset, partition, value } = event;
    const place = { partition, offset, leaderEpoch };
    const answer = await answerOf(admin.queryOutcome({ topic, ...place }, CALL));
    if (answer === undefined) continue;
    const { outcome } = answer;
    const atMs = world.nowMs;
    history.add({ type: "outcome", atMs, value, by: "position", outcome, ...place });
  }
  for (const { partition, topic } of placesOf(topics)) {
    const beganMs = world.nowMs;
    const answer = await answerOf(admin.listOffsets(topic, partition, 0, CALL));
    if (answer === undefined) continue;
    const { highWatermark, leaderEpoch, logStartOffset } = answer;
    const bounds = { topic, partition, leaderEpoch, logStartOffset, highWatermark };
    history.add({ type: "bounds", atMs: world.nowMs, beganMs, ...bounds });
  }
}

/** Half of the sends that only their leader acknowledged, half of the others, evenly spread. */
function acknowledgedSample({ history }: SimCluster, topics: readonly TopicPlan[]): Asked[] {
  const names = new Set(topics.map(({ name }) => name));
  const sends = new Map<string, SendInvoked>();
  for (const event of history.events) {
    if (event.type === "send" && names.has(event.topic)) sends.set(event.value, event);
  }
  const acks = history.events.filter((event) => event.type === "ack");
  const ofClass = (acked: string): SendAcknowledged[] =>
    acks.filter(({ value }) => sends.get(value)?.durability.startsWith(acked));
  const sample = [
    ...spread(ofClass("leader"), ASKED_MAX / 2),
    ...spread(ofClass("all"), ASKED_MAX / 2),
  ];
  return sample.map((event) => ({ event, topic: sends.get(event.value)?.topic ?? "" }));
}

function spread<T>(items: readonly T[], count: number): T[] {
  const step = Math.max(1, Math.ceil(items.length / count));
  return items.filter((_, position) => position % step === 0);
}

function placesOf(topics: readonly TopicPlan[]): Place[] {
  return topics.flatMap(({ name, partitions }) =>
    Array.from({ length: partitions }, (_, partition) => ({ topic: name, partition })),
  );
}

async function answerOf<T>(answer: Promise<T>): Promise<T | undefined> {
  try {
    return await answer;
  } catch (error) {
    if (error instanceof FlotillaError) return undefined;
    throw error;
  }
}
