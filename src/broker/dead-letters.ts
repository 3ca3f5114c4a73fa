// Takes dead messages to their topic: found in the metadata, published on its partition's leader, here or over another
// broker's peer listener. A message that was taken there before has its id there and is not stored twice. Implements the
// delivery room's DeadLetterSink.
import { createHash } from "node:crypto";
import type { Clock } from "../base/clock.ts";
import type { LeaderCache } from "../cluster/leader-cache.ts";
import type { MetadataView } from "../cluster/metadata-image.ts";
import type { DeadLetter, DeadLetterSink } from "../delivery/ports.ts";
import { BrokerError } from "../model/errors.ts";
import type { GroupId, NodeId, PartitionIndex, TopicId } from "../model/ids.ts";
import { partitionOfSlot, slotOf } from "../model/slots.ts";
import type { Partition } from "../partition/partition.ts";
import { publish } from "../partition/publish-path.ts";
import { PublishMessage, PublishRequest } from "../rpc/generated/flotilla-v1.ts";
import { produceService } from "../rpc/methods.ts";
import type { Connection, Connector } from "../rpc/ports.ts";

/** A publication that is not answered by then is tried again. */
const PUBLISH_TIMEOUT_MS = 10_000;

export interface DeadLettersDeps {
  readonly nodeId: NodeId;
  readonly clock: Clock;
  readonly connector: Connector;
  readonly view: MetadataView;
  readonly leaders: Pick<LeaderCache, "get">;
  /** On this node. */
  readonly partitionOf: (topicId: TopicId, partition: PartitionIndex) => Partition | undefined;
  readonly peerEndpointOf: (node: NodeId) => string | undefined;
}

export class DeadLetters implements DeadLetterSink {
  readonly #deps: DeadLettersDeps;
  readonly #connections = new Map<string, Connection>();

  constructor(deps: DeadLettersDeps) {
    this.#deps = deps;
  }

  async publish(letter: DeadLetter): Promise<void> {
    const { clock, leaders, nodeId, partitionOf, peerEndpointOf, view } = this.#deps;
    const topic = view.image.topicByName(letter.topic);
    if (topic === undefined) {
      throw new BrokerError("UNKNOWN_TOPIC_OR_PARTITION", "the dead letter topic does not exist", {
        topic: letter.topic,
      });
    }
    const messageId = messageIdOf(letter);
    const slot = slotOf(letter.key ?? Buffer.from(messageId, "utf8"));
    const number = partitionOfSlot(topic.layout, slot);
    const request = requestOf(letter, messageId, number);
    const here = partitionOf(topic.topicId, number);
    if (here?.isLeaderReady === true) {
      await publish(here, { ...request, isInternal: true }, clock.wallMs());
      return;
    }
    const leader = leaders.get((topic.firstGroupId + number) as GroupId)?.nodeId ?? 0;
    const endpoint = leader === 0 || leader === nodeId ? undefined : peerEndpointOf(leader);
    if (endpoint === undefined) {
      throw new BrokerError("LEADER_UNKNOWN", "the dead letter topic has no known leader");
    }
    const options = { timeoutMs: PUBLISH_TIMEOUT_MS };
    await this.#connection(endpoint).unary(produceService.publish, request, options);
  }

  close(): void {
    for (const connection of this.#connections.values()) connection.close();
    this.#connections.clear();
  }

  #connection(endpoint: string): Connection {
    let connection = this.#connections.get(endpoint);
    if (connection === undefined) {
      connection = this.#deps.connector.connect(endpoint, "dead-letters");
      this.#connections.set(endpoint, connection);
    }
    return connection;
  }
}

/**
 * The same for every move of one message, another one for any other message: subscription, topic, partition and offset,
 * which do not fit into 64 bytes as they are.
 */
export function messageIdOf({ origin, subscriptionId }: DeadLetter): string {
  const name = `${subscriptionId}/${origin.topicId}/${origin.partition}/${origin.offset}`;
  return `dead/${createHash("sha256").update(name, "utf8").digest("base64url")}`;
}

function requestOf(letter: DeadLetter, messageId: string, partition: number): PublishRequest {
  const { headers, key, timestampMs, topic, value } = letter;
  return PublishRequest.create({
    topic,
    partition,
    acks: "all",
    messages: [
      PublishMessage.create({
        key,
        value,
        headers: headers.map((header) => ({ name: header.name, value: Buffer.from(header.value) })),
        timestampMs: Math.max(0, timestampMs),
        messageId,
      }),
    ],
  });
}
