// The quickstart's second act: what it calls complete, and a run of it with a few flights on brokers in this process.
import { describe, expect, it } from "vitest";
import type { FlightEvent } from "../../scripts/quickstart-steps/flights.ts";
import {
  isComplete,
  type SubscriptionCount,
  showSubscriptions,
} from "../../scripts/quickstart-steps/subscriptions.ts";
import { createClient } from "../../src/client/index.ts";
import { InProcessCluster } from "../support/in-process-cluster.ts";

const TOPIC = "flights";
const PARTITIONS = 2;
/** Minutes late: at once, at the second attempt, never. */
const DELAYS = [0, 30, 59, 60, 179, 180, 400];
const FLIGHTS = 70;

const COUNT: SubscriptionCount = {
  name: "s",
  mode: "keyed",
  expected: 10,
  done: 10,
  retried: 2,
  deadLetters: 3,
  deadLettersExpected: 3,
  lost: 0,
  repeated: 0,
  outOfOrder: 0,
  seconds: 1,
};

describe("quickstart: a subscription is complete", () => {
  it.each<[string, Partial<SubscriptionCount>]>([
    ["everything was done once", {}],
    ["no order is promised", { outOfOrder: undefined }],
    ["nothing had to be retried", { retried: 0 }],
    ["nothing dies", { deadLetters: 0, deadLettersExpected: 0 }],
  ])("yes: %s", (_name, change) => {
    expect(isComplete({ ...COUNT, ...change })).toBe(true);
  });

  it.each<[string, Partial<SubscriptionCount>]>([
    ["a message is lost", { done: 9, lost: 1 }],
    ["a message came again after its acknowledgement", { repeated: 1 }],
    ["two of a key were out of order", { outOfOrder: 1 }],
    ["a dead letter is missing", { deadLetters: 2 }],
    ["a dead letter too many", { deadLetters: 4 }],
    ["a dead letter though nothing may die", { deadLetters: 1, deadLettersExpected: 0 }],
  ])("no: %s", (_name, change) => {
    expect(isComplete({ ...COUNT, ...change })).toBe(false);
  });
});

it("quickstart: two subscriptions of a few flights, in order, with retries and dead letters", async () => {
  const events = Array.from({ length: FLIGHTS }, (_, id): FlightEvent => {
    const value = JSON.stringify({ id, delay: DELAYS[id % DELAYS.length] });
    return { id, key: `airport ${id % 5}`, value };
  });
  const cluster = await InProcessCluster.start();
  const client = createClient({ bootstrap: cluster.nodes.map((node) => node.client) });
  try {
    await cluster.createTopic(TOPIC, {}, PARTITIONS);
    const producer = client.producer();
    await Promise.all(events.map(({ key, value }) => producer.send({ topic: TOPIC, key, value })));
    const [board, refunds] = await showSubscriptions(client, TOPIC, events);
    const each = FLIGHTS / DELAYS.length;
    expect(board).toMatchObject({ mode: "keyed", expected: FLIGHTS, done: FLIGHTS, outOfOrder: 0 });
    expect(refunds).toMatchObject({ mode: "shared", done: 5 * each, retried: 2 * each });
    expect(refunds).toMatchObject({ deadLetters: 2 * each, deadLettersExpected: 2 * each });
    expect([board, refunds].map((count) => count !== undefined && isComplete(count))).toEqual([
      true,
      true,
    ]);
  } finally {
    await client.close();
    await cluster.close();
  }
}, 60_000);
