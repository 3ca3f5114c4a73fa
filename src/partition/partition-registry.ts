// The partitions that this node holds, by topic and number. The broker adds and removes them as replicas open and close.
import type { PartitionIndex, TopicId } from "../model/ids.ts";
import type { Partition } from "./partition.ts";

export class PartitionRegistry {
  readonly #byTopic = new Map<TopicId, Map<PartitionIndex, Partition>>();

  /** Replaces an earlier one of the same place (a re-created replica); the caller closes that. */
  add(partition: Partition): void {
    let partitions = this.#byTopic.get(partition.topicId);
    if (partitions === undefined) {
      partitions = new Map();
      this.#byTopic.set(partition.topicId, partitions);
    }
    partitions.set(partition.partition, partition);
  }

  /** Does nothing when another one took its place meanwhile. */
  remove(partition: Partition): void {
    const partitions = this.#byTopic.get(partition.topicId);
    if (partitions?.get(partition.partition) !== partition) return;
    partitions.delete(partition.partition);
    if (partitions.size === 0) this.#byTopic.delete(partition.topicId);
  }

  /** A PartitionLookup when bound. */
  get(topicId: TopicId, partition: PartitionIndex): Partition | undefined {
    return this.#byTopic.get(topicId)?.get(partition);
  }

  /** Those of one topic, in no order. */
  *ofTopic(topicId: TopicId): Generator<Partition> {
    yield* this.#byTopic.get(topicId)?.values() ?? [];
  }

  *all(): Generator<Partition> {
    for (const partitions of this.#byTopic.values()) yield* partitions.values();
  }
}
