// Takes dead messages to their topic, and those that are tried again to theirs: found in the metadata, published on its
// partition's leader, here or over another broker's peer listener. A message that was taken there before has its id there and
// is not stored twice. Implements the delivery room's DeadLetterSink and RedriveSink.
import { createHash } from "node:crypto";
import type { Clock } from "../base/clock.ts";
import type { LeaderCache } from "../cluster/leader-cache.ts";
import type { MetadataView } from "../cluster/metadata-image.ts";
import type { TopicRow } from "../cluster/topic-table.ts";
import type {
  DeadLetter,
  DeadLetterSink,
  RedrivenLetter,
  RedriveReceipt,
  RedriveSink,
} from "../delivery/ports.ts";
import { BrokerError, isBrokerError } from "../model/errors.ts";
import type { GroupId, NodeId, PartitionIndex, TopicId } from "../model/ids.ts";
import type { Offset } from "../model/positions.ts";
import { partitionOfSlot, slotOf } from "../model/slots.ts";
import type { Partition } from "../partition/partition.ts";
import { publish } from "../partition/publish-path.ts";
import { PublishMessage, PublishRequest } from "../rpc/generated/flotilla-v1.ts";
import { produceService } from "../rpc/methods.ts";
import type { Connection, Connector } from "../rpc/ports.ts";

/** A publication that is not answered by then is tried again. */
const PUBLISH_TIMEOUT_MS = 10_000;
/** Of messages in one request; a larger message goes alone. */
const REQUEST_BYTES_MAX = 1024 * 1024;

export interface StoredMessage extends Omit<RedrivenLetter, "id"> {
  readonly messageId: string;
}

/** Messages of one request. */
export interface MessageGroup {
  readonly messages: StoredMessage[];
  /** Where each stands in the list that they come from. */
  readonly places: number[];
}

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

export class DeadLetters implements DeadLetterSink, RedriveSink {
  readonly #deps: DeadLettersDeps;
  readonly #connections = new Map<string, Connection>();

  constructor(deps: DeadLettersDeps) {
    this.#deps = deps;
  }

  async publish(letter: DeadLetter): Promise<void> {
    const topic = this.#topic(letter.topic);
    const { headers, key, timestampMs, value } = letter;
    const messageId = messageIdOf(letter);
    const number = numberOf(topic, key, messageId);
    await this.#store(topic, number, [{ key, value, headers, timestampMs, messageId }]);
  }

  async redrive(
    name: string,
    letters: readonly RedrivenLetter[],
  ): ReturnType<RedriveSink["redrive"]> {
    const topic = this.#topic(name);
    const messages = letters.map(redriveMessageOf);
    const receipts: (RedriveReceipt | undefined)[] = letters.map(() => undefined);
    const errors = await Promise.all(
      [...groupsOf(topic, messages)].map(([number, groups]) =>
        this.#redriveTo(topic, number, groups, receipts),
      ),
    );
    return { receipts, error: errors.find((error) => error !== undefined) };
  }

  /** One request after the other, so that the order stays. @returns why the rest was not stored */
  async #redriveTo(
    topic: TopicRow,
    partition: PartitionIndex,
    groups: readonly MessageGroup[],
    receipts: (RedriveReceipt | undefined)[],
  ): Promise<BrokerError | undefined> {
    for (const { messages, places } of groups) {
      try {
        const stored = await this.#store(topic, partition, messages);
        for (const [at, place] of places.entries()) {
          const receipt = stored[at];
          if (receipt === undefined) continue;
          const { duplicate, offset } = receipt;
          receipts[place] = { partition, offset, duplicate };
        }
      } catch (error) {
        if (!isBrokerError(error)) throw error;
        return error;
      }
    }
    return undefined;
  }

  /** @throws BrokerError */
  #topic(name: string): TopicRow {
    const topic = this.#deps.view.image.topicByName(name);
    if (topic !== undefined) return topic;
    throw new BrokerError("UNKNOWN_TOPIC_OR_PARTITION", "the topic for them does not exist", {
      topic: name,
    });
  }

  /** @throws BrokerError */
  async #store(
    topic: TopicRow,
    number: PartitionIndex,
    letters: readonly StoredMessage[],
  ): Promise<readonly { readonly offset: Offset; readonly duplicate: boolean }[]> {
    const { clock, leaders, nodeId, partitionOf, peerEndpointOf } = this.#deps;
    const request = requestOf(topic.name, letters, number);
    const here = partitionOf(topic.topicId, number);
    if (here?.isLeaderReady === true) {
      return publish(here, { ...request, isInternal: true }, clock.wallMs());
    }
    const leader = leaders.get((topic.firstGroupId + number) as GroupId)?.nodeId ?? 0;
    const endpoint = leader === 0 || leader === nodeId ? undefined : peerEndpointOf(leader);
    if (endpoint === undefined) {
      throw new BrokerError("LEADER_UNKNOWN", `topic "${topic.name}" has no known leader`);
    }
    const options = { timeoutMs: PUBLISH_TIMEOUT_MS };
    const connection = this.#connection(endpoint);
    return (await connection.unary(produceService.publish, request, options)).receipts;
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
 * The same for every move of one death, another one for any other: subscription, topic, partition, offset and death, which do
 * not fit into 64 bytes as they are.
 */
export function messageIdOf({ death, origin, subscriptionId }: DeadLetter): string {
  const { offset, partition, topicId } = origin;
  const name = `${subscriptionId}/${topicId}/${partition}/${offset}/${death}`;
  return `dead/${digestOf(name)}`;
}

function redriveMessageOf({ id, ...letter }: RedrivenLetter): StoredMessage {
  return { ...letter, messageId: `redrive/${digestOf(id)}` };
}

function digestOf(name: string): string {
  return createHash("sha256").update(name, "utf8").digest("base64url");
}

/** By partition, in order, about so many bytes each. */
export function groupsOf(
  topic: Pick<TopicRow, "layout">,
  messages: readonly StoredMessage[],
  bytesMax: number = REQUEST_BYTES_MAX,
): ReadonlyMap<PartitionIndex, readonly MessageGroup[]> {
  const byPartition = new Map<PartitionIndex, MessageGroup[]>();
  const bytesOfLast = new Map<PartitionIndex, number>();
  for (const [place, message] of messages.entries()) {
    const number = numberOf(topic, message.key, message.messageId);
    const groups = byPartition.get(number) ?? [];
    byPartition.set(number, groups);
    const bytes = (bytesOfLast.get(number) ?? 0) + bytesOf(message);
    const last = groups.at(-1);
    if (last === undefined || bytes > bytesMax) {
      groups.push({ messages: [message], places: [place] });
      bytesOfLast.set(number, bytesOf(message));
    } else {
      last.messages.push(message);
      last.places.push(place);
      bytesOfLast.set(number, bytes);
    }
  }
  return byPartition;
}

function numberOf(
  topic: Pick<TopicRow, "layout">,
  key: Buffer | undefined,
  messageId: string,
): PartitionIndex {
  return partitionOfSlot(topic.layout, slotOf(key ?? Buffer.from(messageId, "utf8")));
}

function bytesOf({ headers, key, value }: StoredMessage): number {
  const own = (key?.length ?? 0) + (value?.length ?? 0);
  return headers.reduce((bytes, header) => bytes + header.name.length + header.value.length, own);
}

function requestOf(
  topic: string,
  letters: readonly StoredMessage[],
  partition: number,
): PublishRequest {
  const messages = letters.map(({ headers, key, messageId, timestampMs, value }) =>
    PublishMessage.create({
      key,
      value,
      headers: headers.map((header) => ({ name: header.name, value: Buffer.from(header.value) })),
      timestampMs: Math.max(0, timestampMs),
      messageId,
    }),
  );
  return PublishRequest.create({ topic, partition, acks: "all", messages });
}
