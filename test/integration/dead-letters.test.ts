// Dead letters on three real brokers, by SDK and command line: listed, shown, sent back with filter, canary and rate, interrupted
// and repeated. Other subscriptions of the topic see nothing of it.
import { afterEach, beforeEach, expect, test } from "vitest";
import { buildProgram } from "../../src/cli/program.ts";
import { connectSdk } from "../../src/cli/sdk.ts";
import {
  type Client,
  type Consumer,
  createClient,
  type DeadLetterAdmin,
  type DeadLetterOfPartition,
} from "../../src/client/index.ts";
import { fakeContext, recorder } from "../cli/support.ts";
import { InProcessCluster } from "../support/in-process-cluster.ts";

let cluster: InProcessCluster;
let client: Client;
let deadLetters: DeadLetterAdmin;
const consumers: Consumer[] = [];

beforeEach(async () => {
  cluster = await InProcessCluster.start();
  client = createClient({ bootstrap: cluster.nodes.map((node) => node.client) });
  ({ deadLetters } = client.admin());
});

afterEach(async () => {
  await Promise.all(consumers.splice(0).map((consumer) => consumer.close({ timeoutMs: 500 })));
  await client.close({ timeoutMs: 500 });
  await cluster.close();
});

async function flotilla(...words: readonly string[]): Promise<string> {
  const terminal = recorder();
  const endpoints = cluster.nodes.map((node) => node.client);
  const program = buildProgram("0.0.0", fakeContext(connectSdk(endpoints, 20_000), terminal));
  await program.parseAsync([...words], { from: "user" });
  return [...terminal.out, ...terminal.talk].join("\n");
}

interface Seen {
  readonly topic: string;
  readonly value: string;
  readonly headers: ReadonlyMap<string, string>;
}

/** Consumes until the test ends. */
function consume(subscription: string, handle: (seen: Seen) => void): void {
  const consumer = client.consumer({ subscription });
  consumers.push(consumer);
  void consumer.run((message) => {
    const headers = message.headers.map(
      ({ name, value }) => [name, Buffer.from(value).toString("utf8")] as const,
    );
    handle({ topic: message.topic, value: message.text() ?? "", headers: new Map(headers) });
    return Promise.resolve();
  });
}

async function lettersOf(name: string, filter?: string): Promise<DeadLetterOfPartition[]> {
  const letters: DeadLetterOfPartition[] = [];
  const options = { withValues: true, filter: filter === undefined ? undefined : sqlOf(filter) };
  for await (const letter of deadLetters.list(name, options)) letters.push(letter);
  return letters;
}

async function open(name: string, filter?: string): Promise<readonly string[]> {
  const letters = await lettersOf(name, filter);
  return letters.map(({ value }) => Buffer.from(value ?? []).toString("utf8")).sort();
}

test("dead letters: listed, shown, counted, sent back to their subscription alone, and never twice", async () => {
  await cluster.createTopic("orders", {}, 2);
  const { subscriptions } = client.admin();
  const retry = { attempts: 1 };
  const filter = { kind: "sql", expression: "$topic = 'orders'" } as const;
  await subscriptions.create({ name: "mail", topics: "orders", filter, retry });
  await subscriptions.create({ name: "audit", topics: { patterns: ["#"] }, deadLetter: false });
  const audited: Seen[] = [];
  consume("audit", (seen) => void audited.push(seen));
  let isBroken = true;
  const handled: Seen[] = [];
  consume("mail", (seen) => {
    if (isBroken) throw new Error(`no account for ${seen.value}`);
    handled.push(seen);
  });
  const producer = client.producer();
  const values = Array.from({ length: 12 }, (_, at) => `m${`${at}`.padStart(2, "0")}`);
  for (const [at, value] of values.entries()) {
    const headers = [{ name: "region", value: at < 6 ? "eu" : "us" }];
    await producer.send({ topic: "orders", key: `k${at}`, value, headers });
  }
  const all = [...values].sort();
  await expect.poll(() => open("mail"), { timeout: 20_000 }).toEqual(all);

  expect(await flotilla("dlq", "list", "mail")).toMatch(
    /orders\/\d \d+ +attempts +1 +0.* no account/,
  );
  expect(await open("mail", "region = 'eu' AND dead_error LIKE '%m0%'")).toEqual(all.slice(0, 6));
  const [first] = await lettersOf("mail");
  const shown = await flotilla("dlq", "show", "mail", "0", `${first?.offset}`);
  expect(shown).toMatch(/header region +eu/);
  expect(shown).toMatch(/CAUSE +ERROR\n.* nack.* no account/);
  await expect(flotilla("dlq", "show", "mail", "0", "99")).rejects.toMatchObject({
    reason: "INVALID_REQUEST",
    fields: { field: "offset" },
  });

  // Only counted: nothing is made, nothing moves.
  expect(
    await flotilla("dlq", "redrive", "mail", "--dry-run", "--filter", "region = 'eu'"),
  ).toContain("6 of 12 open dead letters would be sent");
  await expect(client.admin().describeTopic("redrive/mail")).rejects.toMatchObject({
    reason: "UNKNOWN_TOPIC_OR_PARTITION",
  });

  // Still broken: the canaries die again, the rest stays.
  const redrive = ["dlq", "redrive", "mail", "--yes", "--filter", "region = 'eu'", "--canary", "2"];
  await expect(flotilla(...redrive)).rejects.toThrow(/of the first 2, [12] died again/);
  await expect.poll(async () => (await open("mail")).length, { timeout: 20_000 }).toBe(12);
  const again = await lettersOf("mail", "dead_redriven = 1");
  expect(again).toHaveLength(2);
  for (const { attempts, originTopic, redriven } of again) {
    expect({ originTopic, redriven, attempts: attempts.length }).toEqual({
      originTopic: "orders",
      redriven: 1,
      attempts: 2,
    });
  }

  // Repaired: the canaries are settled, the rest follows.
  isBroken = false;
  const text = await flotilla(...redrive);
  expect(text).toContain("sent 6 dead letters back to mail");
  await expect.poll(() => handled.length, { timeout: 20_000 }).toBe(6);
  expect(handled.map(({ value }) => value).sort()).toEqual(all.slice(0, 6));
  expect(new Set(handled.map(({ topic }) => topic))).toEqual(new Set(["redrive/mail"]));
  expect(handled[0]?.headers.get("flotilla-dead-topic")).toBe("orders");
  expect(handled[0]?.headers.get("region")).toBe("eu");
  expect(handled[0]?.headers.has("flotilla-dead-reason")).toBe(false);

  // Interrupted in the middle, then run again.
  const giveUp = new AbortController();
  const cut = deadLetters.redrive("mail", {
    ratePerSecond: 4,
    signal: giveUp.signal,
    onProgress: ({ redriven }) => {
      if (redriven >= 2) giveUp.abort();
    },
  });
  await expect(cut).rejects.toMatchObject({ reason: "CANCELLED" });
  const left = (await open("mail")).length;
  expect(left).toBeGreaterThan(0);
  expect(left).toBeLessThan(6);
  const report = await deadLetters.redrive("mail");
  expect(report.outcome).toBe("done");
  // The call that was given up may have stored its letters, and may settle them meanwhile.
  expect(report.redriven).toBeLessThanOrEqual(left);
  await expect.poll(() => handled.length, { timeout: 20_000 }).toBe(12);
  expect(handled.map(({ value }) => value).sort()).toEqual(all);
  expect(await open("mail")).toEqual([]);
  expect(await flotilla("dlq", "redrive", "mail", "--yes")).toContain("nothing to do");
  const { partitions } = await subscriptions.progress("dlq/mail");
  expect(partitions.map(({ unsettledMessages }) => unsettledMessages)).toEqual([0]);

  expect(audited.map(({ value }) => value).sort()).toEqual(all);
  expect(new Set(audited.map(({ topic }) => topic))).toEqual(new Set(["orders"]));
}, 240_000);

test("dealt with by hand: what a consumer of dlq/… acknowledges is not sent back; what it works on is left to it", async () => {
  await cluster.createTopic("orders");
  const { subscriptions } = client.admin();
  await subscriptions.create({ name: "mail", topics: "orders", retry: { attempts: 1 } });
  consume("mail", () => {
    throw new Error("never");
  });
  const producer = client.producer();
  for (const value of ["a", "b", "c"]) await producer.send({ topic: "orders", value });
  await expect.poll(() => open("mail"), { timeout: 20_000 }).toEqual(["a", "b", "c"]);
  await deadLetters.redrive("mail", { filter: sqlOf("$key = 'nobody'") });
  const byHand = client.consumer({ subscription: "dlq/mail", autoAck: false });
  consumers.push(byHand);
  for await (const message of byHand) {
    expect(message.text()).toBe("a");
    await message.ack();
    const report = await deadLetters.redrive("mail");
    expect(report).toMatchObject({ lookedAt: 2, matching: 2, held: 2, redriven: 0 });
    break;
  }
  expect(await open("mail")).toEqual(["b", "c"]);
  expect(await deadLetters.redrive("mail")).toMatchObject({ held: 0, redriven: 2 });
}, 240_000);

test("a subscription of a deleted one's name gets nothing that was sent back to that one, and what is sent back to itself", async () => {
  await cluster.createTopic("orders");
  await cluster.createTopic("bills");
  const { subscriptions } = client.admin();
  const retry = { attempts: 1 };
  await subscriptions.create({ name: "mail", topics: "orders", retry });
  consume("mail", () => {
    throw new Error("never");
  });
  const producer = client.producer();
  for (const value of ["old-a", "old-b"]) await producer.send({ topic: "orders", value });
  await expect.poll(() => open("mail"), { timeout: 20_000 }).toEqual(["old-a", "old-b"]);
  await subscriptions.pause("mail");
  expect(await deadLetters.redrive("mail")).toMatchObject({ redriven: 2 });
  await Promise.all(consumers.splice(0).map((consumer) => consumer.close({ timeoutMs: 500 })));
  await subscriptions.delete("mail");
  await subscriptions.create({ name: "mail", topics: "bills", retry });
  let isBroken = true;
  const handled: Seen[] = [];
  consume("mail", (seen) => {
    if (isBroken && seen.value === "new-b") throw new Error("not yet");
    handled.push(seen);
  });
  for (const value of ["new-a", "new-b"]) await producer.send({ topic: "bills", value });
  await expect.poll(() => open("mail"), { timeout: 20_000 }).toEqual(["new-b"]);
  isBroken = false;
  expect(await deadLetters.redrive("mail")).toMatchObject({ redriven: 1, duplicates: 0 });
  const settled = async (): Promise<boolean> => {
    const { partitions } = await subscriptions.progress("mail");
    const isDone = partitions.every(({ unsettledMessages }) => unsettledMessages === 0);
    return partitions.length === 2 && isDone;
  };
  await expect.poll(settled, { timeout: 20_000 }).toBe(true);
  expect(handled.map(({ topic, value }) => `${topic} ${value}`).sort()).toEqual([
    "bills new-a",
    "redrive/mail new-b",
  ]);
  expect((await lettersOf("mail")).filter(({ open: isOpen }) => isOpen)).toEqual([]);
}, 240_000);

test("leader of the dead letters killed in the middle of a redrive: it goes on, each letter is stored once", async () => {
  await cluster.createTopic("orders");
  const { subscriptions } = client.admin();
  await subscriptions.create({ name: "mail", topics: "orders", retry: { attempts: 1 } });
  let isBroken = true;
  const handled = new Set<string>();
  consume("mail", ({ value }) => {
    if (isBroken) throw new Error("not yet");
    handled.add(value);
  });
  const producer = client.producer();
  const values = Array.from({ length: 30 }, (_, at) => `m${10 + at}`);
  await Promise.all(values.map((value) => producer.send({ topic: "orders", value })));
  await expect.poll(() => open("mail"), { timeout: 20_000 }).toEqual(values);
  isBroken = false;
  const dead = cluster.node(1).broker.view.image.topicByName("dlq/mail");
  if (dead === undefined) throw new Error("no topic of dead letters");
  const leader = await cluster.leaderOf(dead.topicId);
  let killed: Promise<void> | undefined;
  const report = await deadLetters.redrive("mail", {
    ratePerSecond: 40,
    timeoutMs: 20_000,
    onProgress: ({ redriven }) => {
      if (redriven >= 10) killed ??= cluster.killNode(leader.id);
    },
  });
  expect(killed).toBeDefined();
  await killed;
  expect(report.outcome).toBe("done");
  expect(await open("mail")).toEqual([]);
  await expect.poll(() => [...handled].sort(), { timeout: 30_000 }).toEqual(values);
  const copies: string[] = [];
  const reader = client.reader({ topic: "redrive/mail", from: "earliest", until: "end" });
  for await (const message of reader) copies.push(message.text() ?? "");
  expect(copies.sort()).toEqual(values);
}, 240_000);

function sqlOf(expression: string) {
  return { kind: "sql", expression } as const;
}
