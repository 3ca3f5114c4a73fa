import { describe, expect, test } from "vitest";
import { LeaderCache } from "../../src/cluster/leader-cache.ts";
import { TOPIC_CREATION_DEFAULTS, TopicFrontend } from "../../src/cluster/topic-frontend.ts";
import { settle, VirtualClock } from "../support/virtual-clock.ts";
import { node, OneReplicaGroup, random, reasonOf, subscription } from "./support.ts";

async function setUp(nodes = 3) {
  const clock = new VirtualClock();
  const group = new OneReplicaGroup();
  await group.registerNodes(nodes);
  const leaders = new LeaderCache(node(1));
  const frontend = new TopicFrontend({
    controller: group.controller,
    view: group.view,
    leaders,
    clock: clock.root,
    random: random(),
    nodesExpected: 3,
    defaults: TOPIC_CREATION_DEFAULTS,
  });
  const elect = (): void => {
    for (const row of group.view.image.partitions.values()) {
      leaders.observeLocal(row.groupId, node(1), 1, true);
    }
  };
  return { clock, group, frontend, leaders, elect };
}

const WISH = {
  name: "orders",
  partitions: 4,
  replicationFactor: 0,
  settings: { flush: "async" },
  validateOnly: false,
};

describe("topic frontend", () => {
  test("create: resolves when every partition has a ready leader", async () => {
    const { elect, frontend, group, leaders } = await setUp();
    let isDone = false;
    const created = frontend.createTopic(WISH, { deadlineMs: 5000 }).then((answer) => {
      isDone = true;
      return answer;
    });
    await settle();
    const topic = group.view.image.topicByName("orders");
    expect(topic).toMatchObject({
      partitions: 4,
      replicationFactor: 3,
      settings: { flush: "async" },
    });
    leaders.observeLocal(
      [...group.view.image.partitions.keys()][0] ?? (0 as never),
      node(1),
      1,
      true,
    );
    await settle();
    expect(isDone).toBe(false);
    elect();
    expect(await created).toEqual({ topicId: topic?.topicId });
  });

  test("create: the deadline says that the topic exists without leaders", async () => {
    const { clock, frontend, group } = await setUp();
    const created = frontend.createTopic(WISH, { deadlineMs: 5000 });
    const reason = reasonOf(() => created);
    await clock.run(5001);
    expect(await reason).toBe("DEADLINE");
    expect(group.view.image.topicByName("orders")).toBeDefined();
  });

  test("create: a topic that patterns of too many subscriptions select is refused", async () => {
    const { frontend, group } = await setUp();
    const kind = "patterns";
    for (let i = 0; i <= 1000; i += 1) {
      const topics = { kind, patterns: ["*/eu"] } as const;
      await group.controller.propose(subscription(`s${i}`, { topics }));
    }
    const before = group.view.image.topics.size;
    const refused = frontend.createTopic({ ...WISH, name: "orders/eu" }, { deadlineMs: 5000 });
    await expect(refused).rejects.toMatchObject({
      reason: "OVERLOADED",
      fields: { limit: "subscriptionsPerTopic", topic: "orders/eu" },
    });
    expect(group.view.image.topics.size).toBe(before);
    void frontend.createTopic(WISH, { deadlineMs: 5000 }).catch(() => undefined);
    await settle();
    expect(group.view.image.topicByName("orders")).toBeDefined();
  });

  test("create: names of topics that do not come to exist are not remembered", async () => {
    const { frontend, group } = await setUp();
    const topics = { kind: "patterns", patterns: ["#"] } as const;
    await group.controller.propose(subscription("all", { topics }));
    await frontend.createTopic({ ...WISH, validateOnly: true }, { deadlineMs: 10 });
    for (const name of ["orders", "redrive/all"]) {
      const wish = { ...WISH, name, replicationFactor: 5 };
      expect(await reasonOf(() => frontend.createTopic(wish, { deadlineMs: 10 }))).toBe(
        "INVALID_REPLICATION_FACTOR",
      );
    }
    expect(group.view.image.subscriptions.kept).toBe(0);
  });

  test("create: an aborted caller stops waiting; a deleted topic ends the wait", async () => {
    const { frontend } = await setUp();
    const abort = new AbortController();
    const first = frontend.createTopic(WISH, { deadlineMs: 5000, signal: abort.signal });
    const reason = reasonOf(() => first);
    await settle();
    abort.abort();
    expect(await reason).toBe("CANCELLED");
    const second = frontend.createTopic({ ...WISH, name: "other" }, { deadlineMs: 5000 });
    await settle();
    await frontend.deleteTopic("other");
    await second;
  });

  test.each([
    ["bad name", { name: "__own" }, "INVALID_REQUEST"],
    ["too many partitions", { partitions: 5000 }, "INVALID_REQUEST"],
    ["too many replicas", { replicationFactor: 8 }, "INVALID_REQUEST"],
    ["more replicas than nodes", { replicationFactor: 5 }, "INVALID_REPLICATION_FACTOR"],
    ["unknown setting", { settings: { flsh: "sync" } }, "INVALID_REQUEST"],
    ["bad value", { settings: { flush: "maybe" } }, "INVALID_REQUEST"],
  ])("create: %s is refused, dry run or not", async (_, fields, reason) => {
    const { frontend, group } = await setUp();
    for (const validateOnly of [true, false]) {
      const wish = { ...WISH, ...fields, validateOnly };
      expect(await reasonOf(() => frontend.createTopic(wish, { deadlineMs: 10 }))).toBe(reason);
    }
    expect(group.view.image.topicNames).toEqual([]);
  });

  test("create: a node that is about to leave gets no replica, dry run or not", async () => {
    const { frontend, group } = await setUp();
    const decommission = { successor: 0, mustBeFenced: false, nodeId: node(3) } as const;
    await group.controller.propose({ type: "decommission-node", ...decommission });
    for (const validateOnly of [true, false]) {
      const creating = frontend.createTopic({ ...WISH, validateOnly }, { deadlineMs: 10 });
      await expect(creating).rejects.toMatchObject({
        reason: "INVALID_REPLICATION_FACTOR",
        fields: { nodesAvailable: 2, replicationFactor: 3 },
      });
    }
  });

  test("create: the default replication factor does not shrink while nodes start (two of three)", async () => {
    const { frontend } = await setUp(2);
    expect(await reasonOf(() => frontend.createTopic(WISH, { deadlineMs: 10 }))).toBe(
      "INVALID_REPLICATION_FACTOR",
    );
  });

  test("create: a dry run changes nothing and knows taken names", async () => {
    const { elect, frontend } = await setUp();
    const dry = { ...WISH, validateOnly: true };
    expect(await frontend.createTopic(dry, { deadlineMs: 10 })).toEqual({ topicId: "" });
    const created = frontend.createTopic(WISH, { deadlineMs: 10 });
    await settle();
    elect();
    await created;
    expect(await reasonOf(() => frontend.createTopic(dry, { deadlineMs: 10 }))).toBe(
      "TOPIC_EXISTS",
    );
  });

  test("alter and delete: by name, with the rules of settings", async () => {
    const { elect, frontend, group } = await setUp();
    const created = frontend.createTopic(WISH, { deadlineMs: 10 });
    await settle();
    elect();
    await created;
    await frontend.alterTopic("orders", { flush: "", "retention.ms": "1000" });
    expect(group.view.image.topicByName("orders")?.settings).toEqual({ "retention.ms": "1000" });
    expect(await reasonOf(() => frontend.alterTopic("orders", { nothing: "" }))).toBe(
      "INVALID_REQUEST",
    );
    await frontend.deleteTopic("orders");
    expect(await reasonOf(() => frontend.deleteTopic("orders"))).toBe("UNKNOWN_TOPIC_OR_PARTITION");
  });

  test("leadership: followers name the leader, a lost leadership is an unknown outcome", async () => {
    const { frontend, group } = await setUp();
    group.isLeaderReady = false;
    group.leaderNode = node(2);
    await expect(frontend.deleteTopic("orders")).rejects.toMatchObject({
      reason: "NOT_LEADER",
      fields: { leaderId: 2, leaderEndpoint: "localhost:9002", leaderEpoch: 1 },
    });
    group.leaderNode = node(1);
    expect(await reasonOf(() => frontend.deleteTopic("orders"))).toBe("LEADER_UNKNOWN");
    group.isLeaderReady = true;
    const creating = frontend.createTopic(WISH, { deadlineMs: 10 });
    group.isLeaderReady = false;
    expect(await reasonOf(() => creating)).toBe("LEADERSHIP_LOST");
  });

  test("peers: commands are checked before they get into the log, refusals are replies", async () => {
    const { group } = await setUp();
    const entries = group.frames.length;
    const answer = (text: string) => group.controller.answer(Buffer.from(text));
    expect(await reasonOf(() => answer('{"v":1,"type":"new"}'))).toBe("UNSUPPORTED_VERSION");
    expect(group.frames).toHaveLength(entries);
    const { index, reply } = await answer(
      '{"v":1,"type":"alter-topic","topicId":"x","settings":{}}',
    );
    expect(index).toBe(entries + 1);
    expect(JSON.parse(reply.toString())).toMatchObject({
      error: { reason: "UNKNOWN_TOPIC_OR_PARTITION" },
    });
  });
});
