import { describe, expect, test } from "vitest";
import { LeaderCache } from "../../src/cluster/leader-cache.ts";
import { RedrivePreparation } from "../../src/cluster/redrive-preparation.ts";
import type { DefinitionWish } from "../../src/cluster/subscription-check.ts";
import { SubscriptionFrontend } from "../../src/cluster/subscription-frontend.ts";
import { SubscriptionReader } from "../../src/cluster/subscription-reader.ts";
import { TOPIC_CREATION_DEFAULTS, TopicFrontend } from "../../src/cluster/topic-frontend.ts";
import { settle, VirtualClock } from "../support/virtual-clock.ts";
import { node, OneReplicaGroup, random, reasonOf, topicId as topicIdOf } from "./support.ts";

const WISH: DefinitionWish = {
  name: "mail",
  topics: { names: ["orders"], patterns: [], regex: "" },
  filter: "",
  mode: "shared",
  ackDeadlineMs: 0,
  pausedUntilMs: 0,
};

const named = (name: string, fields: Partial<DefinitionWish> = {}) => ({
  definition: { ...WISH, name, ...fields },
  validateOnly: false,
});

/** A cluster whose partitions have a leader at once, and attach as the test says. */
async function setUp() {
  const clock = new VirtualClock();
  const group = new OneReplicaGroup();
  await group.registerNodes(3);
  const leaders = new LeaderCache(node(1));
  group.view.onChange((image) => {
    for (const row of image.partitions.values())
      leaders.observeLocal(row.groupId, node(1), 1, true);
  });
  const { controller, view } = group;
  const topics = new TopicFrontend({
    controller,
    view,
    leaders,
    clock: clock.root,
    random: random(),
    nodesExpected: 3,
    defaults: TOPIC_CREATION_DEFAULTS,
  });
  const attachments = { left: 0, asked: 0, pending: (_: string): number => 0 };
  attachments.pending = () => {
    attachments.asked += 1;
    return attachments.left;
  };
  const frontend = new SubscriptionFrontend({
    controller,
    view,
    topics,
    attachments,
    clock: clock.root,
    random: random(2),
  });
  const createTopic = (name: string, settings: Record<string, string> = {}) =>
    topics.createTopic(
      { name, partitions: 1, replicationFactor: 1, settings, validateOnly: false },
      { deadlineMs: 5000 },
    );
  await createTopic("orders", { "retention.ms": "1000" });
  const create = (name: string, fields?: Partial<DefinitionWish>) =>
    frontend.create(named(name, fields), { deadlineMs: 5000 });
  return { clock, group, view, topics, frontend, attachments, createTopic, create };
}

describe("redrive preparation", () => {
  async function prepared() {
    const stage = await setUp();
    const { frontend: definitions, group, topics } = stage;
    const { controller, view } = group;
    const preparation = new RedrivePreparation({ controller, view, topics, definitions });
    const prepare = (name: string) => preparation.prepare(name, { deadlineMs: 5000 });
    return { ...stage, prepare };
  }

  test("makes topic and ledger once, as safe as the dead letters; the subscription selects its topic, nobody else does", async () => {
    const { create, prepare, view } = await prepared();
    await create("mail");
    await create("audit", { topics: { names: [], patterns: ["#"], regex: "" } });
    const names = { deadLetterTopic: "dlq/mail", redriveTopic: "redrive/mail", ledger: "dlq/mail" };
    expect(await prepare("mail")).toEqual(names);
    const dead = view.image.topicByName("dlq/mail");
    const topic = view.image.topicByName("redrive/mail");
    const { partitions, replicationFactor, settings } = { ...dead };
    expect(topic).toMatchObject({ partitions, replicationFactor, settings });
    const ledger = view.image.subscriptionByName("dlq/mail");
    expect(ledger?.definition).toMatchObject({
      topics: { kind: "names", names: ["dlq/mail"] },
      mode: "shared",
      start: { kind: "earliest" },
      deadLetterTopic: undefined,
    });
    const mail = view.image.subscriptionByName("mail");
    if (topic === undefined || mail === undefined) throw new Error("not there");
    expect(view.image.subscriptionsOf(topic.topicId)).toEqual([mail]);
    expect(view.image.topicsOf(mail).map(({ name }) => name)).toEqual(["orders", "redrive/mail"]);
    const { version } = view.image;
    expect(await prepare("mail")).toEqual(names);
    expect(view.image.version).toBe(version);
  });

  test("another dead letter topic later: the ledger follows and keeps the former one", async () => {
    const { create, frontend, prepare, view } = await prepared();
    await create("mail");
    await prepare("mail");
    const moved = named("mail", { deadLetter: { enabled: true, topic: "dlq/all" } });
    await frontend.alter({ ...moved, version: 0 }, { deadlineMs: 5000 });
    await prepare("mail");
    const ledger = view.image.subscriptionByName("dlq/mail");
    expect(ledger?.definition.topics).toEqual({ kind: "names", names: ["dlq/mail", "dlq/all"] });
  });

  test("a deleted subscription takes its redriven messages along; its dead letters and their ledger stay", async () => {
    const { create, frontend, prepare, view } = await prepared();
    await create("mail");
    await create("bills");
    await prepare("mail");
    await prepare("bills");
    const row = view.image.topicByName("redrive/mail");
    await frontend.delete("mail");
    expect(view.image.topicNames).toEqual(["dlq/bills", "dlq/mail", "orders", "redrive/bills"]);
    expect(view.image.deletedTopics.has(row?.topicId ?? topicIdOf("none"))).toBe(true);
    expect(view.image.subscriptions.names).toEqual(["bills", "dlq/bills", "dlq/mail"]);
    await create("mail");
    expect(view.image.topicByName("redrive/mail")).toBeUndefined();
    await prepare("mail");
    const topic = view.image.topicByName("redrive/mail");
    const again = view.image.subscriptionByName("mail");
    expect(topic?.topicId).not.toBe(row?.topicId);
    expect(view.image.subscriptionsOf(topic?.topicId ?? topicIdOf("none"))).toEqual([again]);
  });

  test("what was left of a deleted subscription is gone before its name is anybody's again, and only then", async () => {
    const { create, frontend, group, prepare, view } = await prepared();
    await create("mail");
    await prepare("mail");
    const { subscriptionId } = view.image.subscriptionByName("mail") ?? { subscriptionId: "" };
    // As its deletion leaves it when the leader dies between the two commands, and as former versions did.
    await group.controller.propose({ type: "delete-subscription", subscriptionId });
    expect(view.image.topicByName("redrive/mail")).toBeDefined();
    const selected: string[] = [];
    view.onChange((image) => {
      const mail = image.subscriptionByName("mail");
      if (mail === undefined) return;
      selected.push(...image.topicsOf(mail).map(({ name }) => name));
    });
    const dry = { ...named("mail"), validateOnly: true };
    await frontend.create(dry, { deadlineMs: 10 });
    expect(view.image.topicByName("redrive/mail")).toBeDefined();
    await create("mail");
    expect(new Set(selected)).toEqual(new Set(["orders"]));
    await prepare("mail");
    expect(await reasonOf(() => create("mail"))).toBe("SUBSCRIPTION_EXISTS");
    expect(view.image.topicByName("redrive/mail")).toBeDefined();
  });

  test("a deletion whose second half is refused is done: the next of that name begins without the rest", async () => {
    const { create, frontend, group, prepare, view } = await prepared();
    await create("mail");
    await prepare("mail");
    const stop = view.onChange((image) => {
      group.isLeaderReady = image.subscriptionByName("mail") !== undefined;
    });
    await frontend.delete("mail");
    stop();
    expect(view.image.topicByName("redrive/mail")).toBeDefined();
    group.isLeaderReady = true;
    await create("mail");
    expect(view.image.topicByName("redrive/mail")).toBeUndefined();
  });

  test("refused: no such subscription, one without dead letters, a ledger's name for anything else", async () => {
    const { create, prepare } = await prepared();
    expect(await reasonOf(() => prepare("nobody"))).toBe("UNKNOWN_SUBSCRIPTION");
    await create("none", { deadLetter: { enabled: false, topic: "" } });
    await expect(prepare("none")).rejects.toMatchObject({
      reason: "INVALID_REQUEST",
      fields: { field: "subscription" },
    });
    await expect(create("dlq/mail")).rejects.toMatchObject({
      reason: "INVALID_REQUEST",
      fields: { field: "name" },
    });
  });
});

describe("subscription frontend", () => {
  test("create: with its dead letter topic, kept twice as long as the messages", async () => {
    const { create, view } = await setUp();
    const { subscriptionId, topics } = await create("mail");
    expect(topics).toEqual(["orders"]);
    expect(view.image.subscriptionByName("mail")).toMatchObject({ subscriptionId });
    expect(view.image.topicByName("dlq/mail")).toMatchObject({
      partitions: 1,
      replicationFactor: 3,
      settings: { "retention.ms": "2000" },
    });
  });

  test("create: dead letters of topics to come are kept for two weeks, those of eternal ones for ever", async () => {
    const { create, createTopic, view } = await setUp();
    await create("later", { topics: { names: [], patterns: ["later/#"], regex: "" } });
    expect(view.image.topicByName("dlq/later")?.settings).toEqual({ "retention.ms": "1209600000" });
    await createTopic("for-ever", { "retention.ms": "-1" });
    await create("all", { topics: { names: [], patterns: ["#"], regex: "" } });
    expect(view.image.topicByName("dlq/all")?.settings).toEqual({ "retention.ms": "-1" });
  });

  test("create: a dead letter topic that is there is used as it is; disabled ones are not made", async () => {
    const { create, createTopic, view } = await setUp();
    await createTopic("dlq/mail", { flush: "async" });
    await create("mail");
    expect(view.image.topicByName("dlq/mail")?.settings).toEqual({ flush: "async" });
    await create("none", { deadLetter: { enabled: false, topic: "" } });
    await create("of-dead", { topics: { names: ["dlq/mail"], patterns: [], regex: "" } });
    expect(view.image.topicNames).toEqual(["dlq/mail", "orders"]);
  });

  test("create: resolves when every partition is attached", async () => {
    const { attachments, clock, create } = await setUp();
    attachments.left = 2;
    let isDone = false;
    const created = create("mail").then(() => {
      isDone = true;
    });
    await clock.run(1000);
    expect(isDone).toBe(false);
    expect(attachments.asked).toBeGreaterThan(3);
    attachments.left = 0;
    await clock.run(600);
    await created;
  });

  test("create: the deadline says that it exists", async () => {
    const { attachments, clock, create, view } = await setUp();
    attachments.left = 2;
    const seen = expect(create("mail")).rejects.toMatchObject({
      reason: "DEADLINE",
      fields: { partitionsPending: 2 },
    });
    await clock.run(6000);
    await seen;
    expect(view.image.subscriptionByName("mail")).toBeDefined();
  });

  test("create: an aborted caller stops waiting; a deleted subscription ends the wait", async () => {
    const { attachments, clock, create, frontend } = await setUp();
    attachments.left = 1;
    const abort = new AbortController();
    const first = frontend.create(named("a"), { deadlineMs: 9000, signal: abort.signal });
    const reason = reasonOf(() => first);
    await clock.run(100);
    abort.abort();
    await settle();
    expect(await reason).toBe("CANCELLED");
    const second = create("b");
    await clock.run(100);
    await frontend.delete("b");
    await clock.run(1000);
    await second;
  });

  test("create: a dry run checks everything and changes nothing", async () => {
    const { create, frontend, group, view } = await setUp();
    const dry = { ...named("mail"), validateOnly: true };
    const entries = group.frames.length;
    expect(await frontend.create(dry, { deadlineMs: 10 })).toEqual({
      subscriptionId: "",
      topics: ["orders"],
    });
    expect(group.frames).toHaveLength(entries);
    expect(view.image.topicByName("dlq/mail")).toBeUndefined();
    await create("mail");
    expect(await reasonOf(() => frontend.create(dry, { deadlineMs: 10 }))).toBe(
      "SUBSCRIPTION_EXISTS",
    );
  });

  test("create: a taken name makes no dead letter topic; unknown topics and nothing at all are refused", async () => {
    const { create, frontend, view } = await setUp();
    await create("mail", { deadLetter: { enabled: false, topic: "" } });
    expect(await reasonOf(() => create("mail"))).toBe("SUBSCRIPTION_EXISTS");
    expect(view.image.topicByName("dlq/mail")).toBeUndefined();
    const nowhere = { topics: { names: ["orders", "nowhere"], patterns: [], regex: "" } };
    await expect(create("lost", nowhere)).rejects.toMatchObject({
      reason: "UNKNOWN_TOPIC_OR_PARTITION",
      fields: { topic: "nowhere" },
    });
    const empty = { validateOnly: false };
    expect(await reasonOf(() => frontend.create(empty, { deadlineMs: 10 }))).toBe(
      "INVALID_REQUEST",
    );
  });

  test("alter: what is left out of mode and start stays, everything else has its default again", async () => {
    const { create, frontend, view } = await setUp();
    await create("mail", {
      mode: "keyed",
      start: { kind: "time", timeMs: 5 },
      ackDeadlineMs: 5000,
    });
    const version = view.image.subscriptionByName("mail")?.version ?? 0;
    const { mode: _, ...rest } = WISH;
    const answer = await frontend.alter({ definition: rest, version }, { deadlineMs: 10 });
    expect(answer.version).toBeGreaterThan(version);
    expect(view.image.subscriptionByName("mail")).toMatchObject({
      version: answer.version,
      definition: { mode: "keyed", start: { kind: "time", timeMs: 5 }, ackDeadlineMs: 30_000 },
    });
    const late = { definition: { ...rest, ackDeadlineMs: 7000 }, version };
    expect(await reasonOf(() => frontend.alter(late, { deadlineMs: 10 }))).toBe("VERSION_CONFLICT");
    const moded = { definition: WISH, version: 0 };
    await expect(frontend.alter(moded, { deadlineMs: 10 })).rejects.toMatchObject({
      reason: "INVALID_REQUEST",
      fields: { field: "mode" },
    });
  });

  test("alter: another dead letter topic is made", async () => {
    const { create, frontend, view } = await setUp();
    await create("mail");
    const definition = { ...WISH, deadLetter: { enabled: true, topic: "dlq/all" } };
    await frontend.alter({ definition, version: 0 }, { deadlineMs: 5000 });
    expect(view.image.topicByName("dlq/all")).toBeDefined();
    expect(view.image.subscriptionByName("mail")?.definition.deadLetterTopic).toBe("dlq/all");
  });

  test("alter: another selection waits for its cursors, also when it is said again; a pause waits for nothing", async () => {
    const { attachments, clock, create, createTopic, frontend } = await setUp();
    await create("mail");
    await createTopic("more");
    attachments.left = 1;
    const topics = { names: ["orders", "more"], patterns: [], regex: "" };
    const done: string[] = [];
    const alter = (title: string, fields: Partial<DefinitionWish>): Promise<void> =>
      frontend
        .alter({ definition: { ...WISH, ...fields }, version: 0 }, { deadlineMs: 60_000 })
        .then(() => void done.push(title));
    const first = alter("first", { topics });
    await clock.run(1000);
    const again = alter("again", { topics });
    await clock.run(1000);
    expect(done).toEqual([]);
    await alter("paused", { topics, pausedUntilMs: Number.MAX_SAFE_INTEGER });
    expect(done).toEqual(["paused"]);
    attachments.left = 0;
    await clock.run(1000);
    await Promise.all([first, again]);
    expect([...done].sort()).toEqual(["again", "first", "paused"]);
  });

  test("alter: works although a topic was deleted; only names that are new must exist", async () => {
    const { create, frontend, group, view } = await setUp();
    await create("mail");
    const { topicId } = view.image.topicByName("orders") ?? { topicId: topicIdOf("none") };
    await group.controller.propose({ type: "delete-topic", topicId });
    const paused = { ...WISH, pausedUntilMs: Number.MAX_SAFE_INTEGER };
    await frontend.alter({ definition: paused, version: 0 }, { deadlineMs: 10 });
    const row = view.image.subscriptionByName("mail");
    expect(row?.definition.pausedUntilMs).toBe(Number.MAX_SAFE_INTEGER);
    const more = { ...WISH, topics: { names: ["orders", "new"], patterns: [], regex: "" } };
    await expect(
      frontend.alter({ definition: more, version: 0 }, { deadlineMs: 10 }),
    ).rejects.toMatchObject({ reason: "UNKNOWN_TOPIC_OR_PARTITION", fields: { topic: "new" } });
  });

  test("unknown: altered and deleted ones", async () => {
    const { frontend } = await setUp();
    const definition = { ...WISH, name: "nobody" };
    const reasons = [
      await reasonOf(() => frontend.alter({ definition, version: 0 }, { deadlineMs: 10 })),
      await reasonOf(() => frontend.delete("nobody")),
    ];
    expect(reasons).toEqual(["UNKNOWN_SUBSCRIPTION", "UNKNOWN_SUBSCRIPTION"]);
  });

  test("leadership: followers say who leads", async () => {
    const { create, group } = await setUp();
    group.isLeaderReady = false;
    group.leaderNode = node(2);
    expect(await reasonOf(() => create("mail"))).toBe("NOT_LEADER");
  });
});

describe("subscription reader", () => {
  test("list: pages in name order, by prefix and by topic", async () => {
    const { create, createTopic, view } = await setUp();
    await createTopic("other");
    for (const name of ["c", "a", "ab", "b"]) await create(name);
    await create("abc", { topics: { names: ["other"], patterns: [], regex: "" } });
    const reader = new SubscriptionReader(view);
    const all = { pageSize: 2, pageToken: "", prefix: "", topic: "" };
    const namesOf = (wish: Partial<typeof all>): [string[], string] => {
      const { nextPageToken, subscriptions } = reader.list({ ...all, ...wish });
      return [subscriptions.map(({ definition }) => definition.name), nextPageToken];
    };
    expect(namesOf({})).toEqual([["a", "ab"], "ab"]);
    expect(namesOf({ pageToken: "ab" })).toEqual([["abc", "b"], "b"]);
    expect(namesOf({ pageToken: "b" })).toEqual([["c"], ""]);
    expect(namesOf({ prefix: "ab" })).toEqual([["ab", "abc"], ""]);
    expect(namesOf({ topic: "other" })).toEqual([["abc"], ""]);
    expect(namesOf({ topic: "dlq/a" })).toEqual([[], ""]);
    expect(await reasonOf(() => reader.list({ ...all, topic: "no" }))).toBe(
      "UNKNOWN_TOPIC_OR_PARTITION",
    );
    expect(await reasonOf(() => reader.list({ ...all, pageSize: 1001 }))).toBe("INVALID_REQUEST");
  });

  test("describe: the definition with its defaults, and the topics that match now", async () => {
    const { create, createTopic, view } = await setUp();
    await create("mail", { topics: { names: [], patterns: ["shop/*"], regex: "" } });
    await createTopic("shop/b");
    await createTopic("shop/a");
    const answer = new SubscriptionReader(view).describe("mail");
    expect(answer).toMatchObject({
      subscription: {
        version: view.image.subscriptionByName("mail")?.version,
        definition: {
          topics: { names: [], patterns: ["shop/*"], regex: "" },
          deadLetter: { enabled: true, topic: "dlq/mail" },
          retry: { attemptsMax: 16 },
        },
      },
      topics: [
        { name: "shop/a", partitions: 1 },
        { name: "shop/b", partitions: 1 },
      ],
    });
    expect(await reasonOf(() => new SubscriptionReader(view).describe("no"))).toBe(
      "UNKNOWN_SUBSCRIPTION",
    );
  });
});
