// What the history lacks when all is calm: who led, what the nodes say about metadata, where the partitions end, and what
// QueryOutcome says about sends that were acknowledged. Asked by simulate.ts before the last reading.
import { type Client, FlotillaError } from "../../src/client/index.ts";
import type { SendAcknowledged, SendInvoked } from "../../src/testkit/index.ts";
import type { SimCluster } from "./sim-cluster.ts";

/** Sends that are asked about: more would cost more than they tell. */
const ASKED_MAX = 120;
const CALL = { timeoutMs: 5000 };

interface Place {
  readonly topic: string;
  readonly partition: number;
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

/** Asks the leaders. A refusal is no answer, and no violation: the calm phase has shown that they serve. */
export async function askLeaders(cluster: SimCluster, client: Client): Promise<void> {
  const admin = client.admin();
  const { history, world } = cluster;
  for (const { event, topic } of acknowledgedSample(cluster)) {
    const { leaderEpoch, offset, partition, value } = event;
    const place = { partition, offset, leaderEpoch };
    const answer = await answerOf(admin.queryOutcome({ topic, ...place }, CALL));
    if (answer === undefined) continue;
    const { outcome } = answer;
    const atMs = world.nowMs;
    history.add({ type: "outcome", atMs, value, by: "position", outcome, ...place });
  }
  for (const { partition, topic } of declaredPlaces(cluster)) {
    const beganMs = world.nowMs;
    const answer = await answerOf(admin.listOffsets(topic, partition, 0, CALL));
    if (answer === undefined) continue;
    const { highWatermark, leaderEpoch, logStartOffset } = answer;
    const bounds = { topic, partition, leaderEpoch, logStartOffset, highWatermark };
    history.add({ type: "bounds", atMs: world.nowMs, beganMs, ...bounds });
  }
}

/** Every send of a leader's class first, then others, evenly spread. */
function acknowledgedSample({
  history,
}: SimCluster): { readonly event: SendAcknowledged; readonly topic: string }[] {
  const sends = new Map<string, SendInvoked>();
  for (const event of history.events) if (event.type === "send") sends.set(event.value, event);
  const acks = history.events.filter((event) => event.type === "ack");
  const weak = acks.filter(({ value }) => sends.get(value)?.durability.startsWith("leader"));
  const strong = acks.filter(({ value }) => sends.get(value)?.durability.startsWith("all"));
  return [...spread(weak, ASKED_MAX / 2), ...spread(strong, ASKED_MAX / 2)].map((event) => {
    return { event, topic: sends.get(event.value)?.topic ?? "" };
  });
}

function spread<T>(items: readonly T[], count: number): T[] {
  const step = Math.max(1, Math.ceil(items.length / count));
  return items.filter((_, position) => position % step === 0);
}

function declaredPlaces({ history }: SimCluster): Place[] {
  const topics = history.events.filter((event) => event.type === "topic");
  return topics.flatMap(({ partitions, topic }) =>
    Array.from({ length: partitions }, (_, partition) => ({ topic, partition })),
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
