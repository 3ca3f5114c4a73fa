// `explain` through the API on three real brokers: what became of each message of one partition, for two subscriptions.
import { afterEach, beforeEach, expect, it } from "vitest";
import { type Client, type ConsumerMessage, createClient } from "../../src/client/index.ts";
import { InProcessCluster } from "../support/in-process-cluster.ts";

let cluster: InProcessCluster;
let client: Client;

beforeEach(async () => {
  cluster = await InProcessCluster.start();
  await cluster.createTopic("orders");
  client = createClient({ bootstrap: cluster.nodes.map((node) => node.client) });
});

afterEach(async () => {
  await client.close({ timeoutMs: 500 });
  await cluster.close();
});

type Message = ConsumerMessage<Buffer | undefined>;

const FILTER = { kind: "sql", expression: "region = 'eu'" } as const;
const RETRY = { attempts: 2, delaysMs: [3_600_000] };

/** Messages of key and region, at offsets from 0. */
async function send(...messages: readonly (readonly [string, string])[]): Promise<void> {
  const producer = client.producer();
  for (const [key, region] of messages) {
    const headers = [{ name: "region", value: region }];
    await producer.send({ topic: "orders", key, value: "x", headers });
  }
  await producer.close();
}

async function take(from: AsyncIterator<Message>): Promise<Message> {
  const next = await from.next();
  if (next.done === true) throw new Error("the consumer ended");
  return next.value;
}

async function toldOf(subscription: string, offset: number) {
  const { fate, behindOffset, consumer, failed, failures, filter, key, sentence, untilMs } =
    await client
      .admin()
      .subscriptions.explain(subscription, { topic: "orders", partition: 0, offset });
  expect(sentence).toMatch(/^[A-Z].*\.$/);
  const causes = failures.map(({ cause, error }) => `${cause} ${error}`);
  return { fate, behindOffset, consumer, failed, causes, filter, key: key?.toString(), untilMs };
}

it("explain: settled, filtered, leased, waiting, parked, delayed, ready, absent, paused (keyed)", async () => {
  const beganMs = Date.now();
  const { subscriptions } = client.admin();
  await subscriptions.create({
    name: "s",
    topics: "orders",
    mode: "keyed",
    filter: FILTER,
    retry: RETRY,
  });
  await send(
    ["a", "eu"],
    ["a", "us"],
    ["b", "eu"],
    ["b", "eu"],
    ["c", "eu"],
    ["c", "eu"],
    ["d", "eu"],
  );
  const consumer = client.consumer({ subscription: "s", consumerId: "me", autoAck: false });
  const messages = consumer[Symbol.asyncIterator]();
  const taken = new Map<number, Message>();
  while (taken.size < 4) {
    const message = await take(messages);
    taken.set(message.offset, message);
  }
  expect([...taken.keys()].sort()).toEqual([0, 2, 4, 6]);
  await taken.get(0)?.ack();
  await taken.get(4)?.reject("no such customer");
  await taken.get(6)?.nack({ error: "busy" });

  expect(await toldOf("s", 0)).toMatchObject({ fate: "settled" });
  expect(await toldOf("s", 1)).toMatchObject({ fate: "filtered", filter: JSON.stringify(FILTER) });
  const leased = await toldOf("s", 2);
  expect(leased).toMatchObject({ fate: "leased", consumer: "me", failed: 0 });
  expect(leased.untilMs).toBeGreaterThan(beganMs + 30_000);
  expect(leased.untilMs).toBeLessThanOrEqual(Date.now() + 30_001);
  expect(await toldOf("s", 3)).toMatchObject({ fate: "waiting", behindOffset: 2, key: "b" });
  const rejected = { failed: 1, causes: ["reject no such customer"] };
  expect(await toldOf("s", 4)).toMatchObject({ fate: "parked", behindOffset: 4, ...rejected });
  expect(await toldOf("s", 5)).toMatchObject({ fate: "parked", behindOffset: 4, key: "c" });
  const busy = { failed: 1, causes: ["nack busy"] };
  expect(await toldOf("s", 6)).toMatchObject({ fate: "delayed", ...busy });
  expect(await toldOf("s", 7)).toMatchObject({ fate: "absent" });
  await consumer.close({ timeoutMs: 100 });

  await send(["e", "eu"]);
  expect(await toldOf("s", 7)).toMatchObject({ fate: "ready" });
  await subscriptions.pause("s");
  await expect.poll(() => toldOf("s", 7), { timeout: 10_000 }).toMatchObject({ fate: "paused" });

  // Of an altered subscription nobody knows whether a filter or a consumer settled what the present filter does not want.
  const other = { kind: "sql", expression: "region = 'asia'" } as const;
  await subscriptions.alter("s", { filter: other });
  const doubtful = { fate: "settled", filter: JSON.stringify(other) };
  await expect.poll(() => toldOf("s", 1), { timeout: 10_000 }).toMatchObject(doubtful);
  expect(await toldOf("s", 0)).toMatchObject(doubtful);
  expect(await toldOf("s", 7)).toMatchObject({ fate: "filtered", filter: JSON.stringify(other) });
}, 240_000);

it("explain: dead, with its attempts, while the dead letter topic does not take it", async () => {
  const { subscriptions } = client.admin();
  const retry = { attempts: 2, delaysMs: [1] };
  await subscriptions.create({ name: "s", topics: "orders", retry });
  await client.admin().deleteTopic("dlq/s");
  await send(["a", "eu"]);
  const consumer = client.consumer({ subscription: "s", autoAck: false });
  const messages = consumer[Symbol.asyncIterator]();
  for (const error of ["first", "second"]) await (await take(messages)).nack({ error });
  expect(await toldOf("s", 0)).toMatchObject({
    fate: "dead",
    failed: 2,
    causes: ["nack first", "nack second"],
  });
  await consumer.close({ timeoutMs: 100 });
}, 240_000);

it("explain: dead, with its attempts, once it stands in the dead letter topic; then redriven and done", async () => {
  const { deadLetters, subscriptions } = client.admin();
  const retry = { attempts: 2, delaysMs: [1] };
  await subscriptions.create({ name: "s", topics: "orders", retry });
  await send(["a", "eu"], ["b", "eu"]);
  const consumer = client.consumer({ subscription: "s", autoAck: false });
  const messages = consumer[Symbol.asyncIterator]();
  for (let taken = 0; taken < 3; taken += 1) {
    const message = await take(messages);
    if (message.offset === 0) await message.ack();
    else await message.nack({ error: `attempt ${message.attempt}` });
  }
  const place = { topic: "orders", partition: 0, offset: 1 };
  const plain = () => subscriptions.explain("s", place, { deadLetters: false });
  await expect.poll(plain, { timeout: 20_000 }).toMatchObject({ fate: "settled", failures: [] });
  expect(await toldOf("s", 1)).toMatchObject({
    fate: "dead",
    failed: 2,
    causes: ["nack attempt 1", "nack attempt 2"],
  });
  const told = await subscriptions.explain("s", place);
  expect(told.deadLetter).toMatchObject({
    topic: "dlq/s",
    partition: 0,
    offset: 0,
    reason: "attempts",
    error: "attempt 2",
    open: true,
  });
  expect(told.sentence).toContain(
    "(attempts: attempt 2), and its letter stands in dlq/s/0 at offset 0.",
  );
  expect(await toldOf("s", 0)).toMatchObject({ fate: "settled", failed: 0 });

  await deadLetters.redrive("s");
  await (await take(messages)).ack();
  const done = await subscriptions.explain("s", place);
  expect(done).toMatchObject({ fate: "dead", deadLetter: { open: false } });
  expect(done.sentence).toContain("dealt with: it was redriven, or acknowledged in dlq/s");
  await consumer.close({ timeoutMs: 100 });
}, 240_000);
