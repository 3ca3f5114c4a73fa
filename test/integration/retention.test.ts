// A follower that was away for longer than messages are kept: the log no longer reaches back to where it stopped, so it
// catches up by a state image, serves as leader afterwards, and still knows what producers sent before the log's start.
import { afterEach, expect, test } from "vitest";
import type { TopicId } from "../../src/model/ids.ts";
import { DigestReplicaRequest, PublishMessage } from "../../src/rpc/generated/flotilla-v1.ts";
import { adminService } from "../../src/rpc/methods.ts";
import { InProcessCluster, type InProcessNode } from "../support/in-process-cluster.ts";
import { WireClient } from "../support/wire-client.ts";

const SEGMENT_BYTES = 64 * 1024;

let cluster: InProcessCluster;
afterEach(async () => {
  await cluster.close();
});

function clientOf(node: InProcessNode, topicId: TopicId): WireClient {
  return new WireClient(cluster.connect(node.id), "t", topicId);
}

/** Writes messages "0", "1", … from `from` on, each padded to 4 KiB. */
async function write(client: WireClient, from: number, count: number): Promise<void> {
  for (let number = from; number < from + count; number += 20) {
    const messages = Array.from({ length: Math.min(20, from + count - number) }, (_, place) =>
      PublishMessage.create({ value: Buffer.from(String(number + place).padEnd(4096)) }),
    );
    await client.publishAll({ messages });
  }
}

/** Values from the log start to the high watermark, each with its offset. */
async function readAll(client: WireClient): Promise<readonly (readonly [number, string])[]> {
  const read: (readonly [number, string])[] = [];
  const { logStartOffset, highWatermark } = await client.offsets();
  for (let offset = logStartOffset; offset < highWatermark; ) {
    const { messages, nextOffset } = await client.fetchMessages({ offset });
    for (const message of messages) {
      read.push([message.offset, (message.value ?? Buffer.alloc(0)).toString().trim()]);
    }
    offset = nextOffset;
  }
  return read;
}

async function digestOf(node: InProcessNode, topicId: TopicId, range: object): Promise<string> {
  const request = DigestReplicaRequest.create({ topic: "t", partition: 0, ...range });
  const { connection } = clientOf(node, topicId);
  return (await connection.unary(adminService.digestReplica, request, { timeoutMs: 5000 })).sha256;
}

test.each(["stopped", "killed"] as const)(
  "a follower %s for longer than retention: catches up by image, leads, answers an old retry with its offset",
  async (how) => {
    cluster = await InProcessCluster.start({ node: { retentionIntervalMs: 200 } });
    const topicId = await cluster.createTopic("t", {
      "segment.bytes": String(SEGMENT_BYTES),
      "retention.bytes": String(2 * SEGMENT_BYTES),
    });
    const leader = await cluster.leaderOf(topicId);
    const [away] = cluster.nodes.filter((node) => node !== leader);
    if (away === undefined) throw new Error("no follower");
    const client = clientOf(leader, topicId);
    const { producerId, epoch: producerEpoch } = await client.openProducer();
    const producer = { producerId, producerEpoch, baseSequence: 0 };
    await write(client, 0, 5);
    const lane = client.lane();
    const original = await lane.append(["kept in mind"], producer);
    const published = await client.publish({ value: Buffer.from("id"), messageId: "message-1" });
    lane.close();
    const lastIndexSeen = cluster.partition(away.id, topicId).replica.watermarks.writtenIndex;
    if (how === "stopped") await cluster.stopNode(away.id);
    else await cluster.killNode(away.id);

    await write(client, 7, 300);
    const { replica } = cluster.partition(leader.id, topicId);
    await cluster.until("the log's beginning is gone", () => {
      return (replica.segments()[0]?.firstIndex ?? 0) > lastIndexSeen + 1;
    });
    const { logStartOffset } = await client.offsets();
    expect(logStartOffset).toBeGreaterThan(published.offset);

    await cluster.startNode(away.id);
    await cluster.until("the follower has everything", () => {
      const found = [...away.broker.partitions.registry.ofTopic(topicId)][0];
      return found?.highWatermark === 307;
    });
    expect(away.counters.get("images_installed")).toBeGreaterThanOrEqual(1);

    await cluster.transferLeadership("t", topicId, away.id);
    const there = clientOf(away, topicId);
    const records = await readAll(there);
    expect(records.at(-1)).toEqual([306, "306"]);
    expect(records).toEqual(
      records.map((_, place) => {
        const offset = (records[0]?.[0] ?? 0) + place;
        return [offset, String(offset)];
      }),
    );
    // Both are older than the log: only the state that came with the image knows them.
    const retry = there.lane();
    expect(await retry.append(["kept in mind"], producer)).toMatchObject({
      baseOffsets: original.baseOffsets,
      leaderEpoch: original.leaderEpoch,
      duplicate: true,
    });
    retry.close();
    expect(await there.publish({ value: Buffer.from("id"), messageId: "message-1" })).toMatchObject(
      {
        offset: published.offset,
        duplicate: true,
      },
    );
    // It takes part like any other: writes go on, and the replicas hold the same bytes.
    expect(await there.publish({ value: Buffer.from("307") })).toMatchObject({ offset: 307 });
    const { commitIndex } = cluster.partition(away.id, topicId).replica.watermarks;
    const ids = cluster.nodes.map((node) => node.id);
    await cluster.until("all have committed it", () =>
      ids.every(
        (id) => cluster.partition(id, topicId).replica.watermarks.commitIndex >= commitIndex,
      ),
    );
    const firstIndex = Math.max(
      ...ids.map((id) => cluster.partition(id, topicId).replica.segments()[0]?.firstIndex ?? 1),
    );
    const range = { firstIndex, lastIndex: commitIndex };
    const digests = await Promise.all(
      cluster.nodes.map(async (node) => digestOf(node, topicId, range)),
    );
    expect(new Set(digests).size).toBe(1);
  },
  60_000,
);
