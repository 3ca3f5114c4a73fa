// A broker whose wall clock is an hour ahead of the others': it hands on what it leads, and while it leads nothing is
// dropped for its age.
import { afterEach, expect, test } from "vitest";
import { PublishMessage } from "../../src/rpc/generated/flotilla-v1.ts";
import { InProcessCluster } from "../support/in-process-cluster.ts";
import { WireClient } from "../support/wire-client.ts";

const HOUR_MS = 3_600_000;
const AHEAD = 2;
const ROUNDS = 3;

let cluster: InProcessCluster;
afterEach(async () => {
  await cluster.close();
});

test("wrong clock: leads only until another one can, and drops nothing by age meanwhile", async () => {
  cluster = await InProcessCluster.start({
    node: { retentionIntervalMs: 20 },
    wallAheadMs: { [AHEAD]: HOUR_MS },
  });
  const topicId = await cluster.createTopic("t", {
    "segment.bytes": String(64 * 1024),
    "retention.ms": String(HOUR_MS / 2),
  });
  await cluster.transferLeadership("t", topicId, 1);
  const client = new WireClient(cluster.connect(1), "t", topicId);
  const messages = Array.from({ length: 20 }, () =>
    PublishMessage.create({ value: Buffer.alloc(4096) }),
  );
  for (let round = 0; round < ROUNDS; round += 1) await client.publishAll({ messages });

  for (let round = 0; round < ROUNDS; round += 1) {
    await cluster.transferLeadership("t", topicId, AHEAD);
    await cluster.until("it hands the leadership on", () => {
      return !cluster.partition(AHEAD, topicId).isLeaderReady;
    });
  }
  const leader = await cluster.leaderOf(topicId);
  expect(leader.id).not.toBe(AHEAD);
  const there = new WireClient(cluster.connect(leader.id), "t", topicId);
  expect(await there.offsets()).toMatchObject({ logStartOffset: 0, highWatermark: 60 });
});
