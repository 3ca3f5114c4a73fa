// Subscriptions as objects of a real cluster: made, changed and found again by the SDK and the command line, over an election
// of the metadata leader and a restart of all brokers.
import { afterEach, beforeEach, expect, test } from "vitest";
import { buildProgram } from "../../src/cli/program.ts";
import { connectSdk } from "../../src/cli/sdk.ts";
import { type Client, createClient, type SubscriptionAdmin } from "../../src/client/index.ts";
import { fakeContext, recorder } from "../cli/support.ts";
import { InProcessCluster } from "../support/in-process-cluster.ts";

let cluster: InProcessCluster;
let client: Client;
let admin: SubscriptionAdmin;

beforeEach(async () => {
  cluster = await InProcessCluster.start();
  client = createClient({ bootstrap: cluster.nodes.map((node) => node.client) });
  admin = client.admin().subscriptions;
});

afterEach(async () => {
  await client.close({ timeoutMs: 500 });
  await cluster.close();
});

async function namesOf(topic?: string): Promise<readonly string[]> {
  const names: string[] = [];
  for await (const { name } of admin.list({ topic, pageSize: 2 })) names.push(name);
  return names;
}

/** One command of the tool. @returns what it wrote, data and talk */
async function flotilla(...words: readonly string[]): Promise<string> {
  const terminal = recorder();
  const port = connectSdk(
    cluster.nodes.map((node) => node.client),
    20_000,
  );
  const program = buildProgram("0.0.0", fakeContext(port, terminal));
  await program.parseAsync([...words], { from: "user" });
  return [...terminal.out, ...terminal.talk].join("\n");
}

test("life of a subscription: created, listed, altered, paused, resumed, deleted", async () => {
  await cluster.createTopic("orders", { "retention.ms": "1000" }, 2);
  const { subscriptionId, topics } = await admin.create({
    name: "mail",
    topics: "orders",
    mode: "keyed",
    filter: { kind: "sql", expression: "amount > 100" },
  });
  expect(topics).toEqual(["orders"]);
  const first = await admin.describe("mail");
  expect(first.subscription).toMatchObject({
    subscriptionId,
    mode: "keyed",
    filter: { kind: "sql", expression: "amount > 100" },
    deadLetterTopic: "dlq/mail",
    onFailure: "park",
    retry: { attempts: 16 },
  });
  expect(first.topics).toMatchObject([{ name: "orders", partitions: 2 }]);
  const dead = await client.admin().describeTopic("dlq/mail");
  expect(dead.settings.find(({ name }) => name === "retention.ms")?.value).toBe("2000");

  const { version } = await admin.alter("mail", { filter: { kind: "all" }, ackDeadlineMs: 5000 });
  expect(version).toBeGreaterThan(first.subscription.version);
  const late = admin.alter(
    "mail",
    { ackDeadlineMs: 6000 },
    { version: first.subscription.version },
  );
  await expect(late).rejects.toMatchObject({ reason: "VERSION_CONFLICT" });
  await admin.pause("mail");
  await cluster.until("every broker knows of the pause", () =>
    cluster.nodes.every(
      ({ broker }) =>
        broker.view.image.subscriptionByName("mail")?.definition.pausedUntilMs ===
        Number.MAX_SAFE_INTEGER,
    ),
  );
  await admin.resume("mail");
  await expect(admin.create({ name: "mail", topics: "orders" })).rejects.toMatchObject({
    reason: "SUBSCRIPTION_EXISTS",
  });

  await admin.delete("mail");
  await cluster.until("every broker knows that it is gone", () =>
    cluster.nodes.every(({ broker }) => broker.view.image.subscriptionByName("mail") === undefined),
  );
  await expect(admin.describe("mail")).rejects.toMatchObject({ reason: "UNKNOWN_SUBSCRIPTION" });
  expect(await client.admin().describeTopic("dlq/mail")).toBeDefined();
}, 240_000);

test("topics that are created later join by themselves; dead letters never do (patterns, regex)", async () => {
  await cluster.createTopic("shop/eu");
  await admin.create({ name: "audit", topics: { patterns: ["#"] }, deadLetter: false });
  await admin.create({ name: "shop", topics: { regex: "shop/.*" } });
  await admin.create({ name: "eu", topics: ["shop/eu"], deadLetter: false });
  await cluster.createTopic("shop/us");
  await cluster.createTopic("logs");
  const topicsOf = async (name: string): Promise<readonly string[]> =>
    (await admin.describe(name)).topics.map((topic) => topic.name);
  await cluster.until("every broker knows all topics", () =>
    cluster.nodes.every(({ broker }) => broker.view.image.topicByName("logs") !== undefined),
  );
  expect(await topicsOf("audit")).toEqual(["logs", "shop/eu", "shop/us"]);
  expect(await topicsOf("shop")).toEqual(["shop/eu", "shop/us"]);
  expect(await namesOf()).toEqual(["audit", "eu", "shop"]);
  expect(await namesOf("shop/us")).toEqual(["audit", "shop"]);
  expect(await namesOf("dlq/shop")).toEqual([]);
}, 240_000);

test("the command line: makes, lists, describes, changes and deletes", async () => {
  await cluster.createTopic("orders", {}, 2);
  const dry = await flotilla("subscription", "create", "mail", "--topics", "orders", "--dry-run");
  expect(dry).toContain("nothing was changed");
  const filter = ["--sql", "amount > 100 AND region IN ('eu', 'uk')"];
  const made = await flotilla("subscription", "create", "mail", "--topics", "orders", ...filter);
  expect(made).toContain("created mail");
  expect(await flotilla("subscription", "list")).toMatch(/mail +shared +orders +sql amount > 100/);
  await flotilla("subscription", "alter", "mail", "--tags", "paid", "--retry-delays", "1s,1m");
  await cluster.until("every broker knows of the change", () =>
    cluster.nodes.every(
      ({ broker }) =>
        broker.view.image.subscriptionByName("mail")?.definition.retry.delaysMs.length === 2,
    ),
  );
  const described = await flotilla("subscription", "describe", "mail");
  expect(described).toMatch(/wants +tags paid/);
  expect(described).toMatch(/retries +16 attempts, after 1 s, 1 min/);
  const bad = flotilla("subscription", "alter", "mail", "--sql", "amount >");
  await expect(bad).rejects.toMatchObject({ fields: { field: "filter.expression", position: 8 } });
  await flotilla("subscription", "delete", "mail", "--yes");
  await expect(admin.alter("mail", { deadLetter: false })).rejects.toMatchObject({
    reason: "UNKNOWN_SUBSCRIPTION",
  });
}, 240_000);

test("positions: how far it is, what a seek would do, and what it does", async () => {
  await cluster.createTopic("orders", {}, 2);
  const producer = client.producer();
  for (let partition = 0; partition < 2; partition += 1)
    for (let count = 0; count < 5; count += 1)
      await producer.send({ topic: "orders", partition, value: "x".repeat(100) });
  await admin.create({ name: "mail", topics: "orders" });
  const unsettled = async (): Promise<readonly number[]> => {
    const { partitions, unknown } = await admin.progress("mail");
    expect(unknown).toEqual([]);
    expect(partitions.every(({ attached }) => attached)).toBe(true);
    return partitions.map(({ unsettledMessages }) => unsettledMessages);
  };
  expect(await unsettled()).toEqual([5, 5]);
  expect(await flotilla("lag", "mail")).toMatch(/orders\/0 +5 .*\norders\/1 +5 /);
  expect(await flotilla("lag")).toMatch(/mail +10 /);
  const message = { topic: "orders", partition: 1, offset: 2 };
  expect(await admin.explain("mail", message)).toMatchObject({ fate: "ready" });

  const refused = flotilla("subscription", "seek", "mail", "--to", "latest");
  await expect(refused).rejects.toMatchObject({ exitCode: 64 });
  expect(await unsettled()).toEqual([5, 5]);
  const moved = await flotilla("subscription", "seek", "mail", "--to", "latest", "--yes");
  expect(moved).toContain("10 messages skipped");
  expect(await unsettled()).toEqual([0, 0]);
  expect(await admin.explain("mail", message)).toMatchObject({ fate: "settled" });

  const one = { topic: "orders", partition: 1 };
  const answers = await admin.seek("mail", { offset: 2 }, { ...one, dryRun: true });
  expect(answers).toMatchObject([{ ...one, from: 5, to: 2, repeatedMessages: 3 }]);
  expect(await unsettled()).toEqual([0, 0]);
  await admin.seek("mail", { offset: 2 }, one);
  expect(await unsettled()).toEqual([0, 3]);
  await admin.seek("mail", "earliest");
  expect(await unsettled()).toEqual([5, 5]);
  expect(await flotilla("subscription", "parked", "mail")).toContain("nothing is parked");
}, 240_000);

test("nothing is forgotten: another metadata leader, and a restart of all brokers", async () => {
  await cluster.createTopic("orders");
  const { subscriptionId } = await admin.create({ name: "mail", topics: "orders" });
  const { subscription: before } = await admin.describe("mail");
  const former = await cluster.controller();
  await cluster.killNode(former.id);
  await cluster.until("another node leads the metadata", () =>
    cluster.nodes.some((node) => node.running?.controller.isLeader === true),
  );
  const { version } = await admin.alter("mail", { ackDeadlineMs: 7000 });
  await cluster.startNode(former.id);
  for (const { id } of cluster.nodes) await cluster.stopNode(id);
  await Promise.all(cluster.nodes.map(async ({ id }) => cluster.startNode(id)));
  await cluster.controller();
  const { subscription } = await admin.describe("mail", { timeoutMs: 20_000 });
  expect(subscription).toEqual({ ...before, version, ackDeadlineMs: 7000 });
  expect(subscription.subscriptionId).toBe(subscriptionId);
}, 240_000);
