import { describe, expect, it } from "vitest";
import { seededRandom } from "../../src/base/random.ts";
import { silentLogger } from "../../src/client/client-deps.ts";
import { ConnectionPool } from "../../src/client/connection-pool.ts";
import { MetadataCache } from "../../src/client/metadata-cache.ts";
import { Partitioner } from "../../src/client/partitioner.ts";
import { TopicRoute } from "../../src/client/topic-route.ts";
import { UnaryCaller } from "../../src/client/unary-caller.ts";
import type { ListTopicsRequest, TopicInfo } from "../../src/rpc/generated/flotilla-v1.ts";
import { adminService } from "../../src/rpc/methods.ts";
import { VirtualClock } from "../support/virtual-clock.ts";
import { FakeCluster } from "./fake-cluster.ts";

const GET_METADATA = "/flotilla.v1.MetadataService/GetMetadata";

function setUp(topicsMax?: number): {
  time: VirtualClock;
  cluster: FakeCluster;
  cache: MetadataCache;
  caller: UnaryCaller;
} {
  const time = new VirtualClock();
  const cluster = new FakeCluster(time.root);
  const connections = new ConnectionPool(cluster.connector);
  const clock = time.fork();
  const { bootstrap } = cluster;
  const random = seededRandom(3);
  const metadata = new MetadataCache({ bootstrap, connections, clock, random, topicsMax });
  const caller = new UnaryCaller({ clock, random, log: silentLogger, connections, metadata });
  return { time, cluster, cache: metadata, caller };
}

function questions(cluster: FakeCluster): number {
  return cluster.brokers.flatMap((broker) => broker.calls).filter((path) => path === GET_METADATA)
    .length;
}

const ENDPOINTS = new Map([
  [1, "a:1"],
  [2, "b:1"],
]);

function info(leaderId: number, leaderEpoch: number, layoutEpoch = 1): TopicInfo {
  const one = { replicas: [1, 2], slotFrom: [0], slotTo: [4096] };
  const partitions = [{ partition: 0, leaderId, leaderEpoch, ...one }];
  return { name: "t", topicId: "x", layoutEpoch, partitions, settings: {}, keyHash: "" };
}

describe("metadata cache", () => {
  it("too many topics: the oldest is forgotten that nobody goes by", async () => {
    const { time, cluster, cache } = setUp(2);
    for (const name of ["a", "b", "c"]) cluster.addTopic(name, 1);
    const held = await time.until(cache.refresh("a"));
    if (held === undefined) throw new Error("unknown");
    held.holders += 1;
    await time.until(cache.refresh("b"));
    await time.until(cache.refresh("c"));
    expect([cache.topic("a") === held, cache.topic("b")]).toEqual([true, undefined]);
    held.holders -= 1;
    await time.until(cache.refresh("b"));
    expect(cache.topic("a")).toBe(undefined);
    expect(cache.topic("c")?.name).toBe("c");
  });

  it("questions: concurrent ones are one; a new topic is asked for behind a running one", async () => {
    const { time, cluster, cache } = setUp();
    cluster.addTopic("a", 1);
    cluster.addTopic("b", 1);
    await time.until(Promise.all([cache.refresh("a"), cache.refresh("a"), cache.refresh()]));
    expect(questions(cluster)).toBe(1);
    const running = cache.refresh("a");
    const both = [running, cache.refresh("b"), cache.refresh("b")];
    const [, b] = await time.until(Promise.all(both));
    expect(b?.name).toBe("b");
    expect(questions(cluster)).toBe(3);
  });

  it("pace: two questions are at least 20 ms apart (a storm of refreshes)", async () => {
    const { time, cluster, cache } = setUp();
    const startMs = time.nowMs;
    for (let i = 0; i < 10; i += 1) await time.until(cache.refresh());
    expect(questions(cluster)).toBe(10);
    expect(time.nowMs - startMs).toBeGreaterThanOrEqual(9 * 20);
  });

  it("lag: an older answer takes nothing back (metadata index)", async () => {
    const { time, cluster, cache } = setUp();
    const { topicId } = cluster.addTopic("a", 1);
    await time.until(cache.refresh("a"));
    const topic = cluster.topics.get("a");
    cluster.topics.delete("a");
    cluster.metadataIndex -= 1;
    expect((await time.until(cache.refresh("a")))?.topicId).toBe(topicId);
    cluster.metadataIndex += 2;
    expect(await time.until(cache.refresh("a"))).toBeUndefined();
    expect(topic?.topicId).toBe(topicId);
  });

  it("leaders: a broker that knows none is not asked twice in a row (it was cut off from the others)", async () => {
    for (const cutOff of [0, 1, 2]) {
      const { time, cluster, cache } = setUp();
      cluster.addTopic("a", 1);
      for (const [at, broker] of cluster.brokers.entries()) broker.knowsNoLeaders = at === cutOff;
      await time.until(cache.refresh("a"));
      const route = await time.until(cache.refresh("a"));
      expect(route?.leaderOf(0)).toBeDefined();
    }
  });

  it("leaders: those who did not answer once are asked when the only other one knows none", async () => {
    for (const cutOff of [0, 1, 2]) {
      const { time, cluster, cache } = setUp();
      cluster.addTopic("a", 1);
      await time.until(cache.refresh("a"));
      for (const [at, broker] of cluster.brokers.entries()) {
        broker.knowsNoLeaders = at === cutOff;
        if (at !== cutOff) cache.suspect(broker.endpoint);
      }
      cache.topic("a")?.disown(0, cluster.partition("a", 0).leader);
      await time.until(cache.refresh("a"));
      const route = await time.until(cache.refresh("a"));
      expect(route?.leaderOf(0)).toBeDefined();
    }
  });

  it("topics: a broker that does not know one is not asked for it twice in a row (it is behind)", async () => {
    for (const behind of [0, 1, 2]) {
      for (const wereSilent of [false, true]) {
        const { time, cluster, cache } = setUp();
        cluster.addTopic("a", 1);
        for (const [at, broker] of cluster.brokers.entries()) {
          broker.knowsNoTopics = at === behind;
          if (wereSilent && at !== behind) cache.suspect(broker.endpoint);
        }
        await time.until(cache.refresh("a"));
        expect((await time.until(cache.refresh("a")))?.name).toBe("a");
      }
    }
  });

  it("topics: what nobody asks for any more sends no question elsewhere (a deleted topic, one mute broker)", async () => {
    const { time, cluster, cache } = setUp();
    await time.until(cache.refresh("gone"));
    for (const broker of cluster.brokers.slice(1)) broker.isMute = true;
    await time.until(cache.refresh());
    const startMs = time.nowMs;
    for (let i = 0; i < 10; i += 1) await time.until(cache.refresh());
    expect(time.nowMs - startMs).toBeLessThan(300);
  });

  it("silence: the next broker is asked as well, and the first answer counts (one is mute)", async () => {
    for (const mute of [0, 1, 2]) {
      const { time, cluster, cache } = setUp();
      for (const [at, broker] of cluster.brokers.entries()) broker.isMute = at === mute;
      const startMs = time.nowMs;
      await time.until(cache.refresh());
      await time.until(cache.refresh());
      expect(time.nowMs - startMs).toBeLessThan(400);
    }
  });

  it("silence: the failure is told when nobody answers (all are mute)", async () => {
    const { time, cluster, cache } = setUp();
    for (const broker of cluster.brokers) broker.isMute = true;
    await expect(time.until(cache.refresh(), 5000)).rejects.toMatchObject({ reason: "DEADLINE" });
  });

  it("another cluster: is refused (a bootstrap endpoint of a different one)", async () => {
    const { time, cluster, cache } = setUp();
    await time.until(cache.refresh());
    expect(cache.clusterId).toBe("fake");
    cluster.clusterId = "other";
    await expect(time.until(cache.refresh())).rejects.toMatchObject({ reason: "CLUSTER_MISMATCH" });
  });
});

describe("any broker", () => {
  it("one that is gone is not asked for ever, though all others were silent once", async () => {
    for (const gone of [0, 1, 2]) {
      const { time, cluster, cache, caller } = setUp();
      cluster.addTopic("a", 1);
      await time.until(cache.refresh());
      for (const [at, broker] of cluster.brokers.entries()) {
        if (at === gone) broker.stop();
        else cache.suspect(broker.endpoint);
      }
      const method = adminService.listTopics;
      const request = (): ListTopicsRequest => ({ prefix: "", pageSize: 10, pageToken: "" });
      const answer = caller.call({ method, target: { kind: "any" }, request, timeoutMs: 2000 });
      expect((await time.until(answer, 3000)).topics.map(({ name }) => name)).toEqual(["a"]);
    }
  });

  it("one that is behind is not asked again for what it does not know", async () => {
    for (const behind of [0, 1, 2]) {
      const { time, cluster, caller } = setUp();
      cluster.addTopic("a", 1);
      for (const [at, broker] of cluster.brokers.entries()) broker.knowsNoTopics = at === behind;
      const method = adminService.describeTopic;
      const request = (): { readonly name: string } => ({ name: "a" });
      const answer = caller.call({ method, target: { kind: "any" }, request });
      expect((await time.until(answer, 3000)).topic?.name).toBe("a");
    }
  });
});

describe("topic route", () => {
  it("leaders: the highest epoch wins, whoever says it (metadata and hints)", () => {
    const route = new TopicRoute("t", "x");
    route.update(info(1, 5), ENDPOINTS);
    expect(route.leaderOf(0)).toEqual({ endpoint: "a:1", epoch: 5 });
    expect(route.hint(0, "b:1", 4)).toBe(false);
    expect(route.hint(0, "b:1", 6)).toBe(true);
    route.update(info(1, 5), ENDPOINTS);
    expect(route.leaderOf(0)).toEqual({ endpoint: "b:1", epoch: 6 });
    route.update(info(0, 6), ENDPOINTS);
    expect(route.leaderOf(0)?.endpoint).toBe("b:1");
    route.update(info(0, 7), ENDPOINTS);
    expect([route.leaderOf(0), route.epochOf(0)]).toEqual([undefined, 7]);
  });

  it("disowned: an endpoint that refused is forgotten until somebody names it again", () => {
    const route = new TopicRoute("t", "x");
    route.update(info(1, 5), ENDPOINTS);
    route.disown(0, "b:1");
    expect(route.leaderOf(0)?.endpoint).toBe("a:1");
    route.disown(0, "a:1");
    expect(route.leaderOf(0)).toBeUndefined();
    route.update(info(1, 5), ENDPOINTS);
    expect(route.leaderOf(0)?.endpoint).toBe("a:1");
  });

  it("settings: unknown and malformed ones are passed over (a newer broker)", () => {
    const route = new TopicRoute("t", "x");
    route.updateSettings({ acks: "leader", flush: "async", "some.day": "1" });
    expect([route.acks, route.flush]).toEqual(["leader", "async"]);
    route.updateSettings({ acks: "three" });
    expect(route.acks).toBe("leader");
  });
});

describe("partitioner", () => {
  it("without key: stays for 64 KiB, then takes another partition that has a leader", () => {
    const route = new TopicRoute("t", "x");
    const one = { replicas: [1], slotFrom: [], slotTo: [] };
    const partitions = [0, 1, 2].map((partition) => ({
      partition,
      leaderId: partition === 1 ? 0 : 1,
      leaderEpoch: 1,
      ...one,
    }));
    route.update({ ...info(1, 1), partitions }, ENDPOINTS);
    const partitioner = new Partitioner(route, seededRandom(1));
    const chosen = Array.from({ length: 400 }, () => partitioner.withoutKey(1024));
    const changes = chosen.filter((partition, i) => i > 0 && partition !== chosen[i - 1]).length;
    expect(changes).toBe(Math.floor(399 / 64));
    expect(new Set(chosen)).toEqual(new Set([0, 2]));
  });
});
