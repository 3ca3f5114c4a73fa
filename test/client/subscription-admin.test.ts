import { describe, expect, it } from "vitest";
import { seededRandom } from "../../src/base/random.ts";
import {
  createClient,
  type NewSubscription,
  PAUSED_UNTIL_RESUMED,
} from "../../src/client/index.ts";
import type { SubscriptionAdmin } from "../../src/client/subscription-admin.ts";
import { BrokerError } from "../../src/model/errors.ts";
import {
  type AlterSubscriptionRequest,
  type CreateSubscriptionRequest,
  DescribeClusterResponse,
  type GetProgressRequest,
  type ListParkedKeysRequest,
  type ListSubscriptionsRequest,
  NodeState,
  PartitionProgress,
  RetryPolicy,
  type SeekRequest,
  SubscriptionDefinition,
  TopicSelection,
} from "../../src/rpc/generated/flotilla-v1.ts";
import { VirtualClock } from "../support/virtual-clock.ts";
import { type FakeBroker, FakeCluster } from "./fake-cluster.ts";

/** Brokers that keep one subscription, "mail", of the topic "orders" (three partitions). */
class Subject {
  readonly time = new VirtualClock();
  readonly cluster = new FakeCluster(this.time.root);
  readonly admin: SubscriptionAdmin;
  definition = SubscriptionDefinition.create({
    name: "mail",
    topics: TopicSelection.create({ names: ["orders"] }),
    mode: "shared",
    retry: RetryPolicy.create({
      attemptsMax: 16,
      initialMs: 1000,
      maxMs: 600_000,
      multiplierPercent: 200,
      jitterPercent: 20,
    }),
    deadLetter: { enabled: true, topic: "dlq/mail" },
    onFailure: "skip",
    ackDeadlineMs: 30_000,
    start: { kind: "earliest", timeMs: 0 },
  });
  version = 5;
  exists = true;
  created: CreateSubscriptionRequest[] = [];
  altered: AlterSubscriptionRequest[] = [];
  sought: SeekRequest[] = [];
  /** Somebody else changes it so often in between. */
  conflicts = 0;
  attached = true;

  constructor() {
    const { bootstrap, connector, handlers } = this.cluster;
    const clock = this.time.fork();
    const client = createClient({ bootstrap, connector, clock, random: seededRandom(2) });
    this.admin = client.admin().subscriptions;
    this.cluster.addTopic("orders", 3);
    handlers.set("CreateSubscription", (_, request: CreateSubscriptionRequest) => {
      this.created.push(request);
      if (this.exists) throw new BrokerError("SUBSCRIPTION_EXISTS", "exists");
      return { subscriptionId: "s-1", topics: ["orders"] };
    });
    handlers.set("AlterSubscription", (_, request: AlterSubscriptionRequest) =>
      this.#alter(request),
    );
    handlers.set("DescribeSubscription", () => this.#describe());
    handlers.set("DescribeCluster", () => {
      const nodes = this.cluster.brokers.map(({ nodeId }) => NodeState.create({ nodeId }));
      return DescribeClusterResponse.create({ nodes });
    });
    handlers.set("GetProgress", (broker, request: GetProgressRequest) => ({
      partitions: this.#ledBy(broker).map((partition) =>
        PartitionProgress.create({
          topic: "orders",
          partition,
          attached: this.attached,
          unsettledMessages: request.subscription.length,
        }),
      ),
    }));
    handlers.set("Seek", (broker, request: SeekRequest) => {
      this.cluster.lead(broker, request.topicId, request.partition);
      this.sought.push(request);
      return { from: 10, to: request.partition, skippedMessages: 0, repeatedMessages: 1 };
    });
    handlers.set("ListParkedKeys", (broker, request: ListParkedKeysRequest) => {
      this.cluster.lead(broker, request.topicId, request.partition);
      const offset = request.pageToken === "" ? 1 : 2;
      const keys = [{ key: Buffer.from("k"), offset, sinceMs: 7, failures: [] }];
      return { keys, nextPageToken: offset === 1 ? "1" : "" };
    });
  }

  #ledBy(broker: FakeBroker): number[] {
    const { partitions } = this.cluster.topics.get("orders") ?? { partitions: [] };
    return partitions.flatMap(({ leader }, at) => (leader === broker.endpoint ? [at] : []));
  }

  #describe(): unknown {
    const { definition, version } = this;
    const topicId = this.cluster.topics.get("orders")?.topicId;
    return {
      subscription: { subscriptionId: "s-1", version, definition },
      topics: [{ topicId, name: "orders", partitions: 3 }],
    };
  }

  #alter(request: AlterSubscriptionRequest): unknown {
    if (this.conflicts > 0) {
      this.conflicts -= 1;
      this.version += 1;
      this.definition = { ...this.definition, ackDeadlineMs: 5000 + this.version };
    }
    this.altered.push(request);
    if (request.version !== this.version) throw new BrokerError("VERSION_CONFLICT", "changed");
    this.version += 1;
    this.definition = request.definition ?? this.definition;
    return { version: this.version };
  }
}

describe("subscription admin", () => {
  it("create: short forms and defaults go out as the protocol has them", async () => {
    const subject = new Subject();
    subject.exists = false;
    const { admin, created, time } = subject;
    expect(await time.until(admin.create({ name: "mail", topics: "orders" }))).toEqual({
      subscriptionId: "s-1",
      topics: ["orders"],
    });
    const filter = { kind: "tags", tags: ["a"] } as const;
    await time.until(
      admin.create(
        {
          name: "audit",
          topics: { patterns: ["shop/#"] },
          filter,
          mode: "keyed",
          retry: { attempts: 3, multiplier: 1.5, jitter: 0 },
          deadLetter: "dlq/all",
          start: { timeMs: 7 },
          paused: true,
        },
        { validateOnly: true },
      ),
    );
    expect(created).toMatchObject([
      {
        definition: { name: "mail", topics: { names: ["orders"] }, mode: "shared", filter: "" },
        validateOnly: false,
      },
      {
        definition: {
          topics: { names: [], patterns: ["shop/#"] },
          filter: JSON.stringify(filter),
          mode: "keyed",
          retry: { attemptsMax: 3, initialMs: 0, multiplierPercent: 150, jitterPercent: 0 },
          deadLetter: { enabled: true, topic: "dlq/all" },
          start: { kind: "time", timeMs: 7 },
          pausedUntilMs: PAUSED_UNTIL_RESUMED,
        },
        validateOnly: true,
      },
    ]);
    expect(created[0]?.definition?.deadLetter).toBeUndefined();
  });

  it("create: after a lost answer the subscription is its own, once all partitions are attached", async () => {
    const subject = new Subject();
    const { admin, cluster, time } = subject;
    const path = "/flotilla.v1.SubscriptionService/CreateSubscription";
    cluster.failures.set(path, [new BrokerError("UNREACHABLE", "lost")]);
    subject.attached = false;
    let isDone = false;
    const creation = admin.create({ name: "mail", topics: "orders" }).then((answer) => {
      isDone = true;
      return answer;
    });
    await time.run(2000);
    expect(isDone).toBe(false);
    subject.attached = true;
    expect(await time.until(creation)).toEqual({ subscriptionId: "s-1", topics: ["orders"] });
    const other = admin.create({ name: "mail", topics: "orders" });
    await expect(time.until(other)).rejects.toMatchObject({ reason: "SUBSCRIPTION_EXISTS" });
  });

  it("create: after a lost answer what differs from what was asked is somebody else's; so is everything for a check", async () => {
    const others: readonly Partial<NewSubscription>[] = [
      { mode: "keyed" },
      { topics: "shipments" },
      { topics: { patterns: ["orders"] } },
      { filter: { kind: "tags", tags: ["a"] } },
      { start: "latest" },
      { retry: { attempts: 3 } },
      { retry: { delaysMs: [1, 2] } },
      { retry: { jitter: 0 } },
      { deadLetter: false },
      { deadLetter: "dlq/all" },
      { onFailure: "stop" },
      { ackDeadlineMs: 9000 },
      { paused: true },
    ];
    const lost = async (
      asked: Partial<NewSubscription>,
      settings: { readonly validateOnly?: boolean } = {},
      change: Partial<SubscriptionDefinition> = {},
    ): Promise<unknown> => {
      const subject = new Subject();
      const { admin, cluster, time } = subject;
      subject.definition = { ...subject.definition, ...change };
      const path = "/flotilla.v1.SubscriptionService/CreateSubscription";
      cluster.failures.set(path, [new BrokerError("UNREACHABLE", "lost")]);
      return time
        .until(admin.create({ name: "mail", topics: "orders", ...asked }, settings))
        .catch((error: unknown) => error);
    };
    const exists = { reason: "SUBSCRIPTION_EXISTS" };
    for (const other of others) {
      expect(await lost(other), JSON.stringify(other)).toMatchObject(exists);
    }
    expect(await lost({}, { validateOnly: true })).toMatchObject(exists);
    const filter = JSON.stringify({ kind: "tags", tags: ["a", "b"] });
    const same: readonly Partial<NewSubscription>[] = [
      { filter: { kind: "tags", tags: ["b", "a", "b"] }, retry: { attempts: 16, jitter: 0.2 } },
      { filter: '{ "tags": ["b", "a"], "kind": "tags" }', deadLetter: "dlq/mail" },
    ];
    for (const one of same) {
      const answer = await lost(one, {}, { filter });
      expect(answer, JSON.stringify(one)).toMatchObject({ subscriptionId: "s-1" });
    }
  });

  it("seek, parked keys: a partition needs its topic", async () => {
    const { admin, sought, time } = new Subject();
    const refused = { reason: "INVALID_REQUEST", fields: { field: "topic" } };
    const seek = admin.seek("mail", "earliest", { partition: 99 });
    await expect(time.until(seek)).rejects.toMatchObject(refused);
    const keys = admin.parkedKeys("mail", { partition: 1 });
    await expect(time.until(keys.next())).rejects.toMatchObject(refused);
    expect(sought).toEqual([]);
  });

  it("alter: changes what is named, over the version that was read", async () => {
    const { admin, altered, time } = new Subject();
    await time.until(admin.alter("mail", { ackDeadlineMs: 9000, retry: { attempts: 2 } }));
    expect(altered).toMatchObject([
      {
        version: 5,
        definition: {
          name: "mail",
          mode: "shared",
          ackDeadlineMs: 9000,
          retry: { attemptsMax: 2, initialMs: 1000 },
          deadLetter: { enabled: true, topic: "dlq/mail" },
        },
      },
    ]);
  });

  it("alter: reads again when somebody else was quicker, but not over a version that is named", async () => {
    const subject = new Subject();
    const { admin, time } = subject;
    subject.conflicts = 2;
    await time.until(admin.pause("mail"));
    expect(subject.altered.map(({ version }) => version)).toEqual([5, 6, 7]);
    expect(subject.definition).toMatchObject({
      pausedUntilMs: PAUSED_UNTIL_RESUMED,
      ackDeadlineMs: 5007,
    });
    await time.until(admin.resume("mail"));
    expect(subject.definition.pausedUntilMs).toBe(0);
    const late = admin.alter("mail", { ackDeadlineMs: 2000 }, { version: 5 });
    await expect(time.until(late)).rejects.toMatchObject({ reason: "VERSION_CONFLICT" });
  });

  it("describe and list: definitions as they were written, page by page", async () => {
    const { admin, cluster, definition, time } = new Subject();
    const { subscription, topics } = await time.until(admin.describe("mail"));
    expect(subscription).toEqual({
      subscriptionId: "s-1",
      version: 5,
      name: "mail",
      topics: { kind: "names", names: ["orders"] },
      filter: { kind: "all" },
      mode: "shared",
      retry: {
        attempts: 16,
        delaysMs: [],
        initialMs: 1000,
        maxMs: 600_000,
        multiplier: 2,
        jitter: 0.2,
      },
      deadLetterTopic: "dlq/mail",
      onFailure: "skip",
      ackDeadlineMs: 30_000,
      start: { kind: "earliest" },
      pausedUntilMs: 0,
    });
    expect(topics).toMatchObject([{ name: "orders", partitions: 3 }]);
    cluster.handlers.set("ListSubscriptions", (_, request: ListSubscriptionsRequest) => ({
      subscriptions: [
        {
          subscriptionId: "s",
          version: 1,
          definition: { ...definition, name: `${request.topic}-${request.pageToken}` },
        },
      ],
      nextPageToken: request.pageToken === "" ? "next" : "",
    }));
    const names: string[] = [];
    const read = async (): Promise<void> => {
      for await (const { name } of admin.list({ topic: "t", pageSize: 1 })) names.push(name);
    };
    await time.until(read());
    expect(names).toEqual(["t-", "t-next"]);
  });

  it("progress: of all leaders; what nobody answers is unknown", async () => {
    const { admin, cluster, time } = new Subject();
    const all = await time.until(admin.progress("mail"));
    expect(all.partitions.map(({ partition }) => partition)).toEqual([0, 1, 2]);
    expect(all.unknown).toEqual([]);
    cluster.brokers[1]?.stop();
    const some = await time.until(admin.progress("mail"), 10_000);
    expect(some.partitions.map(({ partition }) => partition)).toEqual([0, 2]);
    expect(some.unknown).toEqual([{ topic: "orders", partition: 1 }]);
  });

  it("seek: on each partition's leader, dry run or not; an offset needs a partition", async () => {
    const { admin, cluster, sought, time } = new Subject();
    cluster.moveLeader(cluster.partition("orders", 0), "b3:1");
    const answers = await time.until(admin.seek("mail", { timeMs: 7 }, { dryRun: true }));
    expect(answers).toMatchObject([
      { topic: "orders", partition: 0, from: 10, to: 0, repeatedMessages: 1 },
      { topic: "orders", partition: 1, to: 1 },
      { topic: "orders", partition: 2, to: 2 },
    ]);
    expect(sought[0]).toMatchObject({
      subscription: "mail",
      kind: "time",
      timeMs: 7,
      dryRun: true,
    });
    await time.until(admin.seek("mail", { offset: 4 }, { topic: "orders", partition: 2 }));
    expect(sought.at(-1)).toMatchObject({ kind: "offset", offset: 4, partition: 2, dryRun: false });
    await expect(time.until(admin.seek("mail", { offset: 4 }))).rejects.toMatchObject({
      reason: "INVALID_REQUEST",
    });
    await expect(time.until(admin.seek("mail", "latest", { topic: "no" }))).rejects.toMatchObject({
      reason: "UNKNOWN_TOPIC_OR_PARTITION",
    });
  });

  it("parked keys: of all partitions, page by page", async () => {
    const { admin, time } = new Subject();
    const found: string[] = [];
    const read = async (): Promise<void> => {
      for await (const { offset, partition } of admin.parkedKeys("mail"))
        found.push(`${partition}:${offset}`);
    };
    await time.until(read());
    expect(found).toEqual(["0:1", "0:2", "1:1", "1:2", "2:1", "2:2"]);
  });

  it("describe: another broker is asked when one does not know it, however long that lasts", async () => {
    const { admin, cluster, time } = new Subject();
    const describe = cluster.handlers.get("DescribeSubscription");
    for (const { nodeId } of cluster.brokers) {
      cluster.handlers.set("DescribeSubscription", (broker, request) => {
        if (broker.nodeId === nodeId) throw new BrokerError("UNKNOWN_SUBSCRIPTION", "not yet");
        return describe?.(broker, request);
      });
      expect((await time.until(admin.describe("mail"))).subscription.name).toBe("mail");
    }
  });

  it("delete: a repetition after a lost answer finds it done", async () => {
    const { admin, cluster, time } = new Subject();
    const path = "/flotilla.v1.SubscriptionService/DeleteSubscription";
    cluster.handlers.set("DeleteSubscription", () => {
      throw new BrokerError("UNKNOWN_SUBSCRIPTION", "none");
    });
    cluster.failures.set(path, [new BrokerError("UNREACHABLE", "lost")]);
    await time.until(admin.delete("mail"));
    await expect(time.until(admin.delete("mail"))).rejects.toMatchObject({
      reason: "UNKNOWN_SUBSCRIPTION",
    });
  });
});
