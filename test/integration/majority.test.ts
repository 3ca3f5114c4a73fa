// Two of three broker processes die. Sends with a deadline are refused with a typed error, nothing is acknowledged, and
// the survivor never answers reads with something new; when one broker comes back, writes resume by themselves.
import { afterEach, expect, test } from "vitest";
import { type Client, createClient, FlotillaError, type Receipt } from "../../src/client/index.ts";
import { grpcConnector } from "../../src/rpc/connector.ts";
import { GetMetadataRequest, PublishMessage } from "../../src/rpc/generated/flotilla-v1.ts";
import { metadataService } from "../../src/rpc/methods.ts";
import type { Connection } from "../../src/rpc/ports.ts";
import { LocalCluster } from "../support/local-cluster.ts";
import { refusalOf, WireClient } from "../support/wire-client.ts";

const TOPIC = "t";

let cluster: LocalCluster;
let client: Client;
let connection: Connection;
afterEach(async () => {
  await client.close({ timeoutMs: 500 });
  connection.close();
  await cluster.close();
});

test("majority lost: writes are refused with typed errors, nothing is acknowledged, they resume by themselves", async () => {
  cluster = await LocalCluster.create();
  await cluster.up();
  client = createClient({ bootstrap: cluster.bootstrap });
  const { topicId } = await client.admin().createTopic({ name: TOPIC, partitions: 3 });
  const patient = client.producer();
  const impatient = client.producer({ deliveryTimeoutMs: 1500 });
  const send = (producer: typeof patient, value: string, partition: number): Promise<Receipt> =>
    producer.send({ topic: TOPIC, partition, value });
  for (const partition of [0, 1, 2]) {
    await send(patient, "before", partition);
    await send(impatient, "before", partition);
  }
  connection = grpcConnector({}).connect(cluster.node(3).client, "test");
  await Promise.all([cluster.kill(1), cluster.kill(2)]);

  const waiting = [0, 1, 2].map((partition) => send(patient, "patient", partition));
  const answered: number[] = [];
  for (const [partition, promise] of waiting.entries()) {
    void promise.then(() => answered.push(partition));
  }
  const refused = await Promise.allSettled(
    [0, 1, 2].flatMap((partition) =>
      Array.from({ length: 10 }, () => send(impatient, "impatient", partition)),
    ),
  );
  for (const result of refused) {
    if (result.status === "fulfilled") throw new Error("acknowledged without a majority");
    expect(result.reason).toBeInstanceOf(FlotillaError);
    expect(["not-applied", "unknown"]).toContain((result.reason as FlotillaError).outcome);
  }
  // Straight at the survivor: it does not lead anything any more, and says so before it appends.
  for (const partition of [0, 1, 2]) {
    const wire = new WireClient(connection, TOPIC, topicId);
    const messages = [PublishMessage.create({ value: Buffer.from("direct") })];
    const error = await refusalOf(wire.publishAll({ partition, messages }));
    expect(["LEADER_UNKNOWN", "NOT_LEADER"]).toContain(error.reason);
    expect(error).toMatchObject({ retryable: true, outcome: "not-applied" });
  }
  const metadata = await connection.unary(
    metadataService.getMetadata,
    GetMetadataRequest.create(),
    { timeoutMs: 2000 },
  );
  expect(metadata.topics.map((topic) => topic.name)).toEqual([TOPIC]);
  expect(answered).toEqual([]);

  cluster.start(1);
  const receipts = await Promise.all(waiting);
  expect(receipts.map((receipt) => receipt.partition)).toEqual([0, 1, 2]);
  for (const partition of [0, 1, 2]) await send(impatient, "after", partition);

  // What was refused as not applied is not there; what was acknowledged is there once.
  const values = new Map<string, number>();
  for await (const message of client.reader({ topic: TOPIC, until: "end" })) {
    const value = message.value?.toString() ?? "";
    values.set(value, (values.get(value) ?? 0) + 1);
  }
  expect(values.get("before")).toBe(6);
  expect(values.get("patient")).toBe(3);
  expect(values.get("after")).toBe(3);
  expect(values.get("direct")).toBeUndefined();
});
