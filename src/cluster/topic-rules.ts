// Whether there is room for a new topic. Pure; the metadata state asks when a creation is applied, the frontend for a dry
// run: both see the same rules.
import { TOPICS_MAX } from "../model/limits.ts";
import type { CreateTopic } from "./metadata-commands.ts";
import { type MetadataReply, refused } from "./metadata-reply.ts";

/**
 * Partitions of all topics. Beyond: OVERLOADED. Part of the replicated rules: changing it needs a
 * feature level.
 */
export const PARTITIONS_MAX = 200_000;

export type NewTopic = Pick<CreateTopic, "name" | "partitions" | "replicationFactor">;

/** What is there already. */
export interface TopicsThere {
  readonly isNameTaken: boolean;
  readonly topics: number;
  /** Of all topics. */
  readonly partitions: number;
  /** Nodes that may get replicas. */
  readonly nodesAvailable: number;
}

/** @returns the refusal TOPIC_EXISTS | OVERLOADED | INVALID_REPLICATION_FACTOR; undefined: it may be created */
export function refuseTopic(topic: NewTopic, there: TopicsThere): MetadataReply | undefined {
  const { name, partitions, replicationFactor } = topic;
  const { nodesAvailable } = there;
  if (there.isNameTaken) {
    return refused("TOPIC_EXISTS", `topic "${name}" exists already`, { topic: name });
  }
  if (there.topics >= TOPICS_MAX) {
    return refused("OVERLOADED", `the cluster has ${TOPICS_MAX} topics`, { limit: "topics" });
  }
  if (there.partitions + partitions > PARTITIONS_MAX) {
    const message = `the cluster would have more than ${PARTITIONS_MAX} partitions`;
    return refused("OVERLOADED", message, { limit: "partitions" });
  }
  if (nodesAvailable >= replicationFactor) return undefined;
  return refused(
    "INVALID_REPLICATION_FACTOR",
    `${replicationFactor} replicas need as many nodes, ${nodesAvailable} are in service`,
    { nodesAvailable, replicationFactor },
  );
}
