// ProduceService: streams of batches, plain messages, producer sessions, verdicts.
import type { TopicRow } from "../../cluster/topic-table.ts";
import { BrokerError } from "../../model/errors.ts";
import type { TopicId } from "../../model/ids.ts";
import { PROTOCOL_VERSION_MAX, PROTOCOL_VERSION_MIN } from "../../model/limits.ts";
import { partitionOfSlot, slotOf } from "../../model/slots.ts";
import type { Partition } from "../../partition/partition.ts";
import { ProduceSession } from "../../partition/produce-session.ts";
import { publish } from "../../partition/publish-path.ts";
import { queryOutcome } from "../../partition/query-outcome.ts";
import {
  OpenProducerResponse,
  type PublishRequest,
  PublishResponse,
  QueryOutcomeResponse,
  Receipt,
} from "../../rpc/generated/flotilla-v1.ts";
import { produceService } from "../../rpc/methods.ts";
import type { ServiceRegistry } from "../../rpc/ports.ts";
import type { BrokerNode } from "../node.ts";
import { requirePartition, requireTopic } from "./lookup.ts";

export function registerProduceService(node: BrokerNode, services: ServiceRegistry): void {
  const { clock } = node.ports;
  const lookup = (topicId: TopicId, partition: number): Partition | undefined =>
    node.partitions.registry.get(topicId, partition);
  services.bidi(produceService.produce, (stream) => {
    const session = new ProduceSession(
      { clock, lookup, memory: node.memory },
      {
        send: (answer) => stream.send(answer),
        pause: () => stream.pause(),
        resume: () => stream.resume(),
      },
      node.options.produceInflightBytesMax,
    );
    stream.onMessage = (message) => session.receive(message);
    stream.onDrain = () => session.drained();
    stream.onEnd = () => {
      session.close();
      stream.end();
    };
  });
  services.unary(produceService.publish, (request) => publishPlain(node, request));
  services.unary(produceService.openProducer, async ({ protocolVersion, ...wish }) => {
    checkVersion(protocolVersion);
    return OpenProducerResponse.create(await node.producerIds.open(wish));
  });
  services.unary(produceService.queryOutcome, async (request) => {
    const partition = requirePartition(node, request.topicId as TopicId, request.partition);
    return QueryOutcomeResponse.create(await queryOutcome(partition, request));
  });
}

/** For brokers only: dead letters, which carry headers that producers may not set. */
export function registerInternalPublish(node: BrokerNode, services: ServiceRegistry): void {
  services.unary(produceService.publish, (request) => publishPlain(node, request, true));
}

async function publishPlain(
  node: BrokerNode,
  request: PublishRequest,
  isInternal = false,
): Promise<PublishResponse> {
  const topic = requireTopic(node, request.topic);
  const number = routeOf(node, topic, request);
  const partition = requirePartition(node, topic.topicId, number);
  const { clock } = node.ports;
  const receipts = await publish(partition, { ...request, isInternal }, clock.wallMs());
  return PublishResponse.create({
    receipts: receipts.map((receipt) => Receipt.create({ partition: number, ...receipt })),
  });
}

/** Explicit partition, slot of the first key, slot of the first message id, or any partition that is led here. */
function routeOf(node: BrokerNode, topic: TopicRow, request: PublishRequest): number {
  if (request.partition !== undefined) return request.partition;
  const first = request.messages[0];
  if (first?.key !== undefined) return partitionOfSlot(topic.layout, slotOf(first.key));
  if (first !== undefined && first.messageId !== "") {
    return partitionOfSlot(topic.layout, slotOf(Buffer.from(first.messageId)));
  }
  const led = [...node.partitions.registry.ofTopic(topic.topicId)].filter(
    (partition) => partition.isLeaderReady,
  );
  const chosen = led[node.ports.random.integer(0, Math.max(led.length, 1))];
  return chosen?.partition ?? 0;
}

function checkVersion(version: number): void {
  if (version >= PROTOCOL_VERSION_MIN && version <= PROTOCOL_VERSION_MAX) return;
  throw new BrokerError("UNSUPPORTED_VERSION", `protocol version ${version} is not spoken here`, {
    versionMin: PROTOCOL_VERSION_MIN,
    versionMax: PROTOCOL_VERSION_MAX,
  });
}
