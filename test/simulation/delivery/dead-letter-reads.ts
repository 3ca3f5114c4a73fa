// Reads the dead letter topics in the end and notes what stands there. Called by judge.ts.
import type { Client, ReceivedMessage } from "../../../src/client/index.ts";
import { DEAD_HEADER } from "../../../src/model/headers.ts";
import type { SimCluster } from "../sim-cluster.ts";
import type { Deliveries } from "./deliveries.ts";

/** A topic that lost what it had acknowledged, legally, is not said to have been read completely. */
export async function readDeadLetters(
  cluster: SimCluster,
  client: Client,
  deliveries: Deliveries,
): Promise<void> {
  for (const topic of deliveries.deadLetterTopics) {
    const beganMs = cluster.world.nowMs;
    let end = 0;
    for await (const message of client.reader({ topic: topic.name, until: "end" })) {
      note(cluster, deliveries, topic.name, message);
      end = message.offset + 1;
    }
    if (cluster.mayLack(topic)) continue;
    const atMs = cluster.world.nowMs;
    const about = { topic: topic.name, partition: 0, reader: `final-${topic.name}` };
    cluster.history.add({ type: "scan", atMs, beganMs, ...about, from: 0, to: end });
  }
}

function note(
  { world }: SimCluster,
  deliveries: Deliveries,
  deadTopic: string,
  message: ReceivedMessage,
): void {
  const texts = new Map(message.headers.map(({ name, value }) => [name, value?.toString() ?? ""]));
  deliveries.deadLetters += 1;
  deliveries.recorder.note({
    ...{ type: "dead", atMs: world.nowMs },
    subscription: texts.get(DEAD_HEADER.SUBSCRIPTION) ?? "",
    topic: texts.get(DEAD_HEADER.TOPIC) ?? "",
    partition: Number(texts.get(DEAD_HEADER.PARTITION)),
    offset: Number(texts.get(DEAD_HEADER.OFFSET)),
    value: message.value?.toString() ?? "",
    ...{ deadTopic, deadPartition: message.partition, deadOffset: message.offset },
    failed: Number(texts.get(DEAD_HEADER.ATTEMPTS)),
  });
}
