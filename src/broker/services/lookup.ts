// What several services need: topics by name, partitions by place, with the errors that clients expect.
import type { TopicRow } from "../../cluster/topic-table.ts";
import { BrokerError } from "../../model/errors.ts";
import type { TopicId } from "../../model/ids.ts";
import type { Partition } from "../../partition/partition.ts";
import type { Replica } from "../../replica/replica.ts";
import type { BrokerNode } from "../node.ts";

/** @throws BrokerError UNKNOWN_TOPIC_OR_PARTITION */
export function requireTopic(node: BrokerNode, name: string): TopicRow {
  return node.topics.requireTopic(name);
}

/**
 * The partition's replica on this node, leader or not.
 * @throws BrokerError NOT_LEADER with the leader's endpoint when only other nodes hold it; LEADER_UNKNOWN when it is not
 * open yet; UNKNOWN_TOPIC_OR_PARTITION
 */
export function requirePartition(node: BrokerNode, topicId: TopicId, partition: number): Partition {
  const local = node.partitions.registry.get(topicId, partition);
  if (local !== undefined) return local;
  const row = node.view.image.partitionsOf(topicId)[partition];
  if (row === undefined) {
    throw new BrokerError("UNKNOWN_TOPIC_OR_PARTITION", "no such topic or partition", {
      topicId,
      partition,
    });
  }
  const hint = node.reader.leaderHint(row.groupId);
  const isElsewhere = !row.replicas.some((replica) => replica.nodeId === node.nodeId);
  if (isElsewhere || hint["leaderEndpoint"] !== undefined) {
    throw new BrokerError("NOT_LEADER", "another broker leads the partition", hint);
  }
  throw new BrokerError("LEADER_UNKNOWN", "the partition is not open on this broker yet");
}

/** The raft replica of a partition on this node. @throws BrokerError as requirePartition */
export function requireReplica(node: BrokerNode, topic: string, partition: number): Replica {
  const found = requirePartition(node, requireTopic(node, topic).topicId, partition);
  const replica = node.replicas.get(found.groupId);
  if (replica === undefined) throw found.notLeader();
  return replica;
}
