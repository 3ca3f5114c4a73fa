// AdminService: changes on the metadata leader, inspection on any broker.
import { createHash } from "node:crypto";
import { BrokerError } from "../../model/errors.ts";
import type { NodeId } from "../../model/ids.ts";
import type { Replica } from "../../replica/replica.ts";
import {
  AlterTopicResponse,
  CreateTopicResponse,
  DeleteTopicResponse,
  DescribeClusterResponse,
  DescribeTopicResponse,
  type DigestReplicaRequest,
  DigestReplicaResponse,
  ListTopicsResponse,
  TransferLeadershipResponse,
} from "../../rpc/generated/flotilla-v1.ts";
import { adminService } from "../../rpc/methods.ts";
import type { ServiceRegistry } from "../../rpc/ports.ts";
import type { BrokerNode } from "../node.ts";
import { requirePartition, requireReplica, requireTopic } from "./lookup.ts";

/** For callers without a deadline of their own. */
const CREATE_TIMEOUT_MS = 30_000;
const DIGEST_READ_BYTES = 1024 * 1024;

export function registerAdminService(node: BrokerNode, services: ServiceRegistry): void {
  const { clock } = node.ports;
  services.unary(adminService.createTopic, async (request, { deadlineMs, signal }) => {
    const waiting = { deadlineMs: deadlineMs ?? clock.monotonicMs() + CREATE_TIMEOUT_MS, signal };
    return CreateTopicResponse.create(await node.topics.createTopic(request, waiting));
  });
  services.unary(adminService.alterTopic, async ({ name, settings }) => {
    await node.topics.alterTopic(name, settings);
    return AlterTopicResponse.create();
  });
  services.unary(adminService.deleteTopic, async ({ name }) => {
    await node.topics.deleteTopic(name);
    return DeleteTopicResponse.create();
  });
  services.unary(adminService.listTopics, (request) =>
    Promise.resolve().then(() => ListTopicsResponse.create(node.reader.listTopics(request))),
  );
  services.unary(adminService.describeTopic, ({ name }) =>
    Promise.resolve().then(() => DescribeTopicResponse.create(node.reader.describeTopic(name))),
  );
  services.unary(adminService.describeCluster, () =>
    Promise.resolve().then(() => DescribeClusterResponse.create(node.reader.describeCluster())),
  );
  services.unary(adminService.transferLeadership, async ({ topic, partition, toNode }) => {
    const replica = replicaOf(node, topic, partition);
    if (!replica.isLeaderReady) throw notLeader(node, topic, partition);
    await replica.transferLeadership(toNode === 0 ? undefined : (toNode as NodeId));
    return TransferLeadershipResponse.create();
  });
  services.unary(adminService.digestReplica, (request) => digest(node, request));
}

/** The replica on this broker. @throws BrokerError as requirePartition */
function replicaOf(node: BrokerNode, topic: string, partition: number): Replica {
  return topic === "" ? node.metadata : requireReplica(node, topic, partition);
}

function notLeader(node: BrokerNode, topic: string, partition: number): BrokerError {
  if (topic !== "") {
    return requirePartition(node, requireTopic(node, topic).topicId, partition).notLeader();
  }
  const hint = node.reader.leaderHint(node.metadata.groupId);
  return new BrokerError("NOT_LEADER", "another broker leads the metadata group", hint);
}

/** Rolling hash of committed frames; replicas of one group must agree on it byte by byte. */
async function digest(
  node: BrokerNode,
  request: DigestReplicaRequest,
): Promise<DigestReplicaResponse> {
  const replica = replicaOf(node, request.topic, request.partition);
  const { commitIndex } = replica.watermarks;
  const firstKept = replica.segments()[0]?.firstIndex ?? 1;
  const firstIndex = Math.max(request.firstIndex, firstKept, 1);
  const wanted = request.lastIndex === 0 ? commitIndex : Math.min(request.lastIndex, commitIndex);
  const hash = createHash("sha256");
  let next = firstIndex;
  while (next <= wanted) {
    const frames = await replica.read(next, DIGEST_READ_BYTES);
    if (frames.length === 0) break;
    for (const frame of frames) {
      if (frame.index > wanted) break;
      hash.update(frame.bytes);
      next = frame.index + 1;
    }
  }
  const sha256 = hash.digest("hex");
  return DigestReplicaResponse.create({ firstIndex, lastIndex: next - 1, commitIndex, sha256 });
}
