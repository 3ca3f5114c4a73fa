// FetchService: streams of batches, plain messages, offsets.
import type { TopicId } from "../../model/ids.ts";
import { fetchMessages, listOffsets } from "../../partition/fetch-messages.ts";
import { FetchSession } from "../../partition/fetch-session.ts";
import {
  FetchMessagesResponse,
  ListOffsetsResponse,
  Message,
} from "../../rpc/generated/flotilla-v1.ts";
import { fetchService } from "../../rpc/methods.ts";
import type { ServiceRegistry } from "../../rpc/ports.ts";
import type { BrokerNode } from "../node.ts";
import { requirePartition, requireTopic } from "./lookup.ts";

export function registerFetchService(node: BrokerNode, services: ServiceRegistry): void {
  const { clock } = node.ports;
  services.bidi(fetchService.fetch, (stream) => {
    const session = new FetchSession(
      {
        clock,
        lookup: (topicId, partition) => node.partitions.registry.get(topicId, partition),
        slots: node.partitions.slots,
        memory: node.memory,
      },
      {
        send: (answer) => stream.send(answer),
        pause: () => stream.pause(),
        resume: () => stream.resume(),
      },
    );
    stream.onMessage = (message) => session.receive(message);
    stream.onDrain = () => session.drained();
    stream.onEnd = () => {
      session.close();
      stream.end();
    };
  });
  services.unary(fetchService.fetchMessages, async (request, context) => {
    const topic = requireTopic(node, request.topic);
    const partition = requirePartition(node, topic.topicId, request.partition);
    const deps = { clock, slots: node.partitions.slots, memory: node.memory };
    const answer = await fetchMessages(partition, request, deps, context.signal);
    return FetchMessagesResponse.create({
      nextOffset: answer.nextOffset,
      highWatermark: answer.highWatermark,
      logStartOffset: answer.logStartOffset,
      messages: answer.messages.map((message) =>
        Message.create({
          ...message,
          partition: request.partition,
          headers: message.headers.map(({ name, value }) => ({ name, value: Buffer.from(value) })),
        }),
      ),
    });
  });
  services.unary(fetchService.listOffsets, async (request) => {
    const partition = requirePartition(node, request.topicId as TopicId, request.partition);
    return ListOffsetsResponse.create(await listOffsets(partition, request.timeMs));
  });
}
