import { describe, expect, test } from "vitest";
import { LeaderCache } from "../../src/cluster/leader-cache.ts";
import { Liveness } from "../../src/cluster/liveness.ts";
import { MetadataReader } from "../../src/cluster/metadata-reader.ts";
import type { GroupId } from "../../src/model/ids.ts";
import { VirtualClock } from "../support/virtual-clock.ts";
import { creation, id, node, OneReplicaGroup, reasonOf, registration } from "./support.ts";

async function setUp() {
  const clock = new VirtualClock();
  const group = new OneReplicaGroup();
  await group.registerNodes(3);
  const leaders = new LeaderCache(node(1));
  const liveness = new Liveness(node(1), 0);
  const reader = new MetadataReader({
    clusterId: "cluster",
    nodeId: node(1),
    view: group.view,
    leaders,
    liveness,
    replica: group,
    metadataVoters: () => [1, 2].map((nodeId) => id(nodeId, 0)),
    founders: { metadataVoters: [1, 2, 3].map(node), metadataLearners: [] },
    clock: clock.root,
    ledPartition: (groupId) =>
      groupId === 1
        ? { inSync: [node(1)], logStartOffset: 1, highWatermark: 9, bytes: 99, commitIndex: 5 }
        : undefined,
    recoveringNodes: (groupId) => (groupId === 1 ? [node(2)] : []),
  });
  return { clock, group, leaders, liveness, reader };
}

const ALL = { topics: [], pageSize: 0, pageToken: "", protocolVersion: 0 };

describe("metadata reader", () => {
  test("metadata: topics with partitions, leaders, slots and effective settings", async () => {
    const { group, leaders, reader } = await setUp();
    await group.controller.propose({ ...creation("orders", 2, 2), settings: { flush: "async" } });
    leaders.observeLocal(1 as GroupId, node(1), 3, true);
    const answer = reader.metadata(ALL);
    expect(answer).toMatchObject({ clusterId: "cluster", metadataIndex: 4, controllerId: 1 });
    expect(answer.brokers[2]).toEqual({
      nodeId: 3,
      endpoint: "localhost:9003",
      fenced: false,
      adminEndpoint: "localhost:9203",
    });
    const [topic] = answer.topics;
    expect(topic).toMatchObject({ name: "orders", layoutEpoch: 1, keyHash: "murmur2/4096" });
    expect(topic?.settings).toMatchObject({ flush: "async", acks: "all" });
    expect(topic?.partitions[0]).toMatchObject({ leaderId: 1, leaderEpoch: 3, slotFrom: [0] });
    expect(topic?.partitions[1]).toMatchObject({ leaderId: 0, slotFrom: [2048], slotTo: [4096] });
    expect(reader.leaderHint(1 as GroupId)).toEqual({
      leaderId: 1,
      leaderEpoch: 3,
      leaderEndpoint: "localhost:9001",
    });
    expect(reader.leaderHint(2 as GroupId)).toEqual({});
  });

  test("pages: every topic once, tokens are names, deletions in between do not disturb", async () => {
    const { group, reader } = await setUp();
    for (let number = 10; number < 35; number += 1) {
      await group.controller.propose(creation(`t${number}`));
    }
    const names: string[] = [];
    let pageToken = "";
    do {
      const page = reader.listTopics({ pageSize: 7, pageToken, prefix: "t" });
      names.push(...page.topics.map((topic) => topic.name));
      pageToken = page.nextPageToken;
      if (pageToken === "t16") {
        await group.controller.propose({ type: "delete-topic", topicId: "id-of-t16" as never });
      }
    } while (pageToken !== "");
    expect(names).toEqual(Array.from({ length: 25 }, (_, number) => `t${number + 10}`));
    expect(reader.listTopics({ pageSize: 5, pageToken: "", prefix: "t3" }).topics).toHaveLength(5);
    expect(reader.listTopics({ pageSize: 6, pageToken: "", prefix: "t3" }).nextPageToken).toBe("");
    expect(reader.metadata({ ...ALL, pageSize: 3 }).nextPageToken).toBe("t12");
    const wish = { pageSize: 1001, pageToken: "", prefix: "" };
    expect(await reasonOf(() => reader.listTopics(wish))).toBe("INVALID_REQUEST");
  });

  test("pages: large topics end a page early", async () => {
    const { group, reader } = await setUp();
    for (let number = 0; number < 7; number += 1) {
      await group.controller.propose(creation(`large-${number}`, 4096));
    }
    const page = reader.metadata(ALL);
    expect(page.topics).toHaveLength(5);
    expect(page.nextPageToken).toBe("large-4");
  });

  test("names: unknown ones are left out, versions are checked", async () => {
    const { group, reader } = await setUp();
    await group.controller.propose(creation("orders"));
    const answer = reader.metadata({ ...ALL, topics: ["none", "orders", "orders"] });
    expect(answer.topics.map((topic) => topic.name)).toEqual(["orders"]);
    expect(await reasonOf(() => reader.metadata({ ...ALL, protocolVersion: 2 }))).toBe(
      "UNSUPPORTED_VERSION",
    );
  });

  test("describe: a topic with the state of partitions led here", async () => {
    const { group, liveness, reader } = await setUp();
    await group.controller.propose(creation("orders", 2, 2));
    const status = { nodeId: 1, incarnation: 1, draining: false, recoveringGroups: [1, 9] };
    liveness.heard(status, 0);
    const answer = reader.describeTopic("orders");
    expect(answer.topic).toEqual({
      name: "orders",
      topicId: "id-of-orders",
      partitions: 2,
      replicationFactor: 2,
      durability: "all/sync",
    });
    expect(answer.partitions[0]).toMatchObject({ partition: 0, highWatermark: 9, inSync: [1] });
    expect(answer.partitions.map(({ recovering }) => recovering)).toEqual([[1, 2], []]);
    expect(answer.partitions[1]).toMatchObject({ partition: 1, highWatermark: 0, inSync: [] });
    expect(answer.settings.find((setting) => setting.name === "flush")?.isDefault).toBe(true);
    expect(await reasonOf(() => reader.describeTopic("none"))).toBe("UNKNOWN_TOPIC_OR_PARTITION");
  });

  test("describe: the cluster with leaders, silence and under-replication", async () => {
    const { clock, group, leaders, liveness, reader } = await setUp();
    await group.controller.propose(creation("orders", 3, 3));
    await group.controller.propose(registration(2, { incarnation: 2 }));
    leaders.observeLocal(1 as GroupId, node(1), 3, true);
    liveness.heard({ nodeId: 2, incarnation: 2, draining: false }, clock.nowMs);
    await clock.run(1500);
    const answer = reader.describeCluster();
    expect(answer).toMatchObject({
      nodeId: 1,
      leaderlessPartitions: 2,
      underReplicatedPartitions: 1,
      metadataTerm: 1,
    });
    expect(
      answer.nodes.map(({ leaders: led, replicas, lastHeardMs }) => [led, replicas, lastHeardMs]),
    ).toEqual([
      [1, 3, 0],
      [0, 3, 1500],
      [0, 3, 1500],
    ]);
  });

  test("describe: a partition with fewer replicas than its topic wants is under-replicated, however few are placed", async () => {
    const { group, reader } = await setUp();
    const count = (): number => reader.describeCluster().underReplicatedPartitions;
    await group.controller.propose(creation("orders", 1, 3));
    for (const nodeId of [node(2), node(3)]) {
      await group.controller.propose({ type: "fence-node", nodeId, incarnation: 1 });
    }
    const place = { groupId: 1 as GroupId, nodeId: node(1), replicaId: id(1, 4) };
    await group.controller.propose({ type: "recover-group", ...place });
    expect(group.view.image.partitions.get(place.groupId)?.replicas).toHaveLength(1);
    expect(count()).toBe(1);
  });

  test("describe: a partition that wants one replica and has it is not under-replicated", async () => {
    const { group, reader } = await setUp();
    await group.controller.propose(creation("orders", 1, 1));
    expect(reader.describeCluster().underReplicatedPartitions).toBe(0);
  });
});
