import { afterAll, beforeAll, expect, test } from "vitest";
import { seededRandom } from "../../src/base/random.ts";
import { createClient } from "../../src/client/index.ts";
import { BrokerError } from "../../src/model/errors.ts";
import { slotOf } from "../../src/model/slots.ts";
import {
  CreateTopicResponse,
  FetchMessagesResponse,
  GetMetadataResponse,
  Message,
  PublishResponse,
  Receipt,
} from "../../src/rpc/generated/flotilla-v1.ts";
import {
  adminService,
  fetchService,
  metadataService,
  produceService,
} from "../../src/rpc/methods.ts";
import type { ServiceRegistry } from "../../src/rpc/ports.ts";
import { type Loopback, openLoopback } from "../rpc/loopback.ts";
import { LocalCluster } from "../support/local-cluster.ts";
import {
  findPython,
  pythonSlots,
  runPythonConsumer,
  runPythonExample,
} from "./rpc-python-example.ts";

// Publishing against stubs of two brokers that keep one partition in memory, the first of which leads nothing; publishing and
// consuming against three brokers. All of Python is in this file: the first look for it may install what is needed.

const brokers: Loopback[] = [];
let cluster: LocalCluster;
beforeAll(async () => {
  cluster = await LocalCluster.create();
  await cluster.up();
});
afterAll(async () => {
  for (const broker of brokers) await broker.close();
  await cluster.close();
});

const stored: Message[] = [];
const offsets = new Map<string, number>();

function services(isLeader: boolean): (registry: ServiceRegistry) => void {
  const requireLeader = (): void => {
    if (isLeader) return;
    const leaderEndpoint = brokers[1]?.endpoint ?? "";
    throw new BrokerError("NOT_LEADER", "broker 2 leads", { leaderId: 2, leaderEndpoint });
  };
  return (registry) => {
    registry.unary(metadataService.getMetadata, () => Promise.resolve(metadata()));
    registry.unary(adminService.createTopic, () => {
      requireLeader();
      return Promise.resolve(CreateTopicResponse.create());
    });
    registry.unary(produceService.publish, async ({ messages, partition }) => {
      requireLeader();
      const [message] = messages;
      if (message === undefined || partition !== 1) throw new BrokerError("INVALID_REQUEST", "?");
      const known = offsets.get(message.messageId);
      const offset = known ?? stored.length;
      if (known === undefined) {
        const { key, value, headers } = message;
        stored.push(Message.create({ partition: 1, offset, key, value, headers }));
        offsets.set(message.messageId, offset);
      }
      const receipt = Receipt.create({ partition: 1, offset, duplicate: known !== undefined });
      return Promise.resolve(PublishResponse.create({ receipts: [receipt] }));
    });
    registry.unary(fetchService.fetchMessages, async ({ offset }) => {
      requireLeader();
      const messages = stored.slice(offset);
      return Promise.resolve(FetchMessagesResponse.create({ messages, nextOffset: stored.length }));
    });
  };
}

/** Partition 1 has all slots. */
function metadata(): GetMetadataResponse {
  const partition = { leaderEpoch: 1, replicas: [2] };
  return GetMetadataResponse.create({
    brokers: brokers.map(({ endpoint }, index) => ({
      nodeId: index + 1,
      endpoint,
      fenced: false,
      adminEndpoint: "",
    })),
    topics: [
      {
        name: "orders",
        topicId: "",
        layoutEpoch: 1,
        keyHash: "murmur2/4096",
        settings: {},
        partitions: [
          { ...partition, partition: 0, leaderId: 1, slotFrom: [], slotTo: [] },
          { ...partition, partition: 1, leaderId: 2, slotFrom: [0, 100], slotTo: [100, 4096] },
        ],
      },
    ],
  });
}

test("python example: publishes once, follows the hint, reads back (two stub brokers)", async (context) => {
  brokers.push(await openLoopback(services(false)), await openLoopback(services(true)));
  const result = await runPythonExample(
    brokers.map((broker) => broker.endpoint),
    "orders",
    { create: true },
  );
  if ("skipped" in result) {
    context.skip(result.skipped);
    return;
  }
  expect(result.summary).toEqual({
    partition: 1,
    offset: 0,
    // Creating the topic, and the repetition that began at broker 1.
    hintsFollowed: 2,
    checks: { "stored once": true, "read back": true, "header kept": true },
  });
  expect(stored).toHaveLength(1);
});

test("python example: its hash of keys is ours (random keys, seed 7)", async (context) => {
  const found = await findPython();
  if ("skipped" in found) {
    context.skip(found.skipped);
    return;
  }
  const random = seededRandom(7);
  const keys = Array.from({ length: 200 }, (_, length) =>
    Buffer.from(Array.from({ length: length % 40 }, () => random.integer(0, 256))),
  );
  expect(await pythonSlots(found.python, keys)).toEqual(keys.map((key) => slotOf(key)));
});

test("python example: a client made from proto/ publishes without duplicates and fetches (three brokers)", async (context) => {
  const result = await runPythonExample(cluster.bootstrap, "from-python", { create: true });
  if ("skipped" in result) {
    context.skip(result.skipped);
    return;
  }
  expect(result.summary.checks).toEqual({
    "stored once": true,
    "read back": true,
    "header kept": true,
  });
});

test("python example: consumes a subscription, acknowledges one by one (three brokers)", async (context) => {
  const result = await runPythonConsumer(cluster.bootstrap, "orders", 25);
  if ("skipped" in result) {
    context.skip(result.skipped);
    return;
  }
  expect(result.summary).toEqual({
    handled: 25,
    confirmed: 25,
    checks: { "all handled": true, "all confirmed": true, "failed one came again": true },
  });
  const client = createClient({ bootstrap: cluster.bootstrap });
  const { partitions } = await client.admin().subscriptions.progress("from-python");
  expect(partitions.map(({ unsettledMessages }) => unsettledMessages)).toEqual([0, 0, 0]);
  await client.close();
}, 240_000);
