// A partition as the delivery room sees it, and the subscriptions of the metadata: the ports of that room, filled from the
// partition and cluster rooms.
import type { MetadataView } from "../cluster/metadata-image.ts";
import type { DeliveryCommand, DeliveryReply } from "../delivery/delivery-commands.ts";
import { deliveryReplyOf, encodeDeliveryCommand } from "../delivery/delivery-encoder.ts";
import type { DeliveryState } from "../delivery/delivery-state.ts";
import type {
  DeliveryPartition,
  PartitionListener,
  RecordReader,
  SubscriptionDirectory,
} from "../delivery/ports.ts";
import type { BrokerError } from "../model/errors.ts";
import type { PartitionIndex, TopicId } from "../model/ids.ts";
import type { LogIndex, Offset, Term } from "../model/positions.ts";
import type { SubscriptionRow } from "../model/subscription.ts";
import { PartitionCursor } from "../partition/fetch-path.ts";
import type { Partition } from "../partition/partition.ts";

export class BrokerDeliveryPartition implements DeliveryPartition {
  readonly topicName: string;
  readonly deliveries: DeliveryState;
  readonly #partition: Partition;

  constructor(partition: Partition, topicName: string, deliveries: DeliveryState) {
    this.#partition = partition;
    this.topicName = topicName;
    this.deliveries = deliveries;
  }

  get topicId(): TopicId {
    return this.#partition.topicId;
  }

  get partition(): PartitionIndex {
    return this.#partition.partition;
  }

  get isLeaderReady(): boolean {
    return this.#partition.isLeaderReady;
  }

  get term(): Term {
    return this.#partition.leaderEpoch;
  }

  get layoutEpoch(): number {
    return this.#partition.settings.layoutEpoch;
  }

  get highWatermark(): Offset {
    return this.#partition.highWatermark;
  }

  get logStartOffset(): Offset {
    return this.#partition.logStartOffset;
  }

  get logBytes(): number {
    return this.#partition.replica.status().logBytes;
  }

  notLeader(): BrokerError {
    return this.#partition.notLeader();
  }

  reader(from: Offset): RecordReader {
    return new PartitionCursor(this.#partition, from, { hasHints: true });
  }

  async propose(command: DeliveryCommand): Promise<DeliveryReply> {
    const fields = encodeDeliveryCommand(command);
    return deliveryReplyOf(await this.#partition.proposeCommand(fields));
  }

  async offsetOfTime(timeMs: number): Promise<Offset | undefined> {
    return this.#partition.replica.offsetOfTime(timeMs);
  }

  listen(listener: PartitionListener): () => void {
    let { highWatermark, logStartOffset } = this;
    return this.#partition.replica.listen({
      onAdvance: () => {
        if (highWatermark === this.highWatermark && logStartOffset === this.logStartOffset) return;
        ({ highWatermark, logStartOffset } = this);
        listener.onNews();
      },
      onLeaderReady: (term) => listener.onLeaderReady(term),
      onLeadershipLost: () => listener.onLeadershipLost(),
    });
  }
}

/** Of the metadata as this node has applied it. */
export function directoryOf(view: MetadataView): SubscriptionDirectory {
  return {
    get version(): LogIndex {
      return view.image.version;
    },
    byName: (name: string): SubscriptionRow | undefined => view.image.subscriptionByName(name),
    selecting: (topicId) => view.image.subscriptionsOf(topicId),
    topicCreatedIndex: (topicId) => view.image.topics.get(topicId)?.createdIndex,
    onChange: (changed) =>
      view.onChange((_image, delta) => {
        const { deletedTopics, isReset, subscriptions, topics } = delta;
        const isNews = subscriptions.length + topics.length + deletedTopics.length > 0;
        if (isReset || isNews) changed();
      }),
  };
}
