import { describe, expect, it } from "vitest";
import { seededRandom } from "../../src/base/random.ts";
import { type Admin, createClient } from "../../src/client/index.ts";
import { BrokerError } from "../../src/model/errors.ts";
import { VirtualClock } from "../support/virtual-clock.ts";
import { FakeCluster } from "./fake-cluster.ts";

function setUp(): { time: VirtualClock; cluster: FakeCluster; admin: Admin } {
  const time = new VirtualClock();
  const cluster = new FakeCluster(time.root);
  const { bootstrap, connector } = cluster;
  const client = createClient({
    bootstrap,
    connector,
    clock: time.fork(),
    random: seededRandom(2),
  });
  return { time, cluster, admin: client.admin() };
}

const CREATE = "/flotilla.v1.AdminService/CreateTopic";

describe("admin", () => {
  it("changes: find the controller and follow its moves (hints)", async () => {
    const { time, cluster, admin } = setUp();
    await time.until(admin.createTopic({ name: "a" }));
    cluster.controllerId = 3;
    await time.until(admin.createTopic({ name: "b", partitions: 2 }));
    cluster.controllerId = 2;
    await time.until(admin.deleteTopic("a"));
    expect([...cluster.topics.keys()]).toEqual(["b"]);
    expect(cluster.partition("b", 1)).toBeDefined();
  });

  it("elections: are waited for within the deadline (LEADER_UNKNOWN)", async () => {
    const { time, cluster, admin } = setUp();
    const busy = Array.from({ length: 5 }, () => new BrokerError("LEADER_UNKNOWN", "election"));
    cluster.failures.set(CREATE, busy);
    await time.until(admin.createTopic({ name: "a" }));
    expect(cluster.topics.has("a")).toBe(true);
    cluster.failures.set(
      CREATE,
      Array.from({ length: 500 }, () => new BrokerError("LEADER_UNKNOWN", "election")),
    );
    const late = admin.createTopic({ name: "b" }, { timeoutMs: 2000 });
    await expect(time.until(late, 3000)).rejects.toMatchObject({
      reason: "DEADLINE",
      outcome: "not-applied",
      fields: { lastReason: "LEADER_UNKNOWN" },
    });
  });

  it("create: a repetition after an unknown outcome takes the topic as its own (lost answer)", async () => {
    const { time, cluster, admin } = setUp();
    const first = cluster.addTopic("a", 1);
    cluster.failures.set(CREATE, [new BrokerError("UNREACHABLE", "lost")]);
    expect(await time.until(admin.createTopic({ name: "a" }))).toEqual({ topicId: first.topicId });
    await expect(time.until(admin.createTopic({ name: "a" }))).rejects.toMatchObject({
      reason: "TOPIC_EXISTS",
      outcome: "not-applied",
    });
  });

  it("lists: go through all pages (page size 2)", async () => {
    const { time, cluster, admin } = setUp();
    for (const name of ["c", "a", "e", "b", "d"]) cluster.addTopic(name, 1);
    const names: string[] = [];
    const read = async (): Promise<void> => {
      for await (const topic of admin.listTopics({ pageSize: 2 })) names.push(topic.name);
    };
    await time.until(read());
    expect(names).toEqual(["a", "b", "c", "d", "e"]);
  });

  it("offsets: are asked of the leader (it moves)", async () => {
    const { time, cluster, admin } = setUp();
    cluster.addTopic("t", 1);
    const bounds = { logStartOffset: 0, highWatermark: 0, offset: 0 };
    expect(await time.until(admin.listOffsets("t", 0))).toEqual({ ...bounds, leaderEpoch: 1 });
    cluster.moveLeader(cluster.partition("t", 0), "b2:1");
    expect(await time.until(admin.listOffsets("t", 0))).toEqual({ ...bounds, leaderEpoch: 2 });
    await expect(time.until(admin.listOffsets("t", 9))).rejects.toMatchObject({
      reason: "INVALID_REQUEST",
    });
    expect((await time.until(admin.metadata("t"))).partitions).toEqual([
      { partition: 0, leaderEndpoint: "b2:1", leaderEpoch: 2 },
    ]);
  });

  it("brokers: those that are down are passed over (two of three)", async () => {
    const { time, cluster, admin } = setUp();
    cluster.addTopic("t", 1);
    cluster.brokers[0]?.stop();
    cluster.brokers[2]?.stop();
    expect((await time.until(admin.describeTopic("t"))).topic?.name).toBe("t");
  });

  it("abort: ends a call that waits (signal)", async () => {
    const { time, cluster, admin } = setUp();
    for (const broker of cluster.brokers) broker.stop();
    const abort = new AbortController();
    const call = admin.describeTopic("t", { signal: abort.signal });
    const seen = expect(call).rejects.toMatchObject({ reason: "CANCELLED" });
    await time.run(500);
    abort.abort();
    await time.run(1);
    await seen;
  });

  it("options: bootstrap must name brokers (empty, no port)", () => {
    for (const bootstrap of [[], ["host"]])
      expect(() => createClient({ bootstrap })).toThrow(/bootstrap/);
  });
});
