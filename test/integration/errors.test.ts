// Every refusal over a real socket: the reason, what it says, that nothing was written, and that the same connection is
// used again. Cases: error-cases.ts; what needs a cluster in trouble: errors-in-trouble.test.ts.
import { readdirSync, readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ERROR_TABLE, type ErrorReason } from "../../src/model/errors.ts";
import type { TopicId } from "../../src/model/ids.ts";
import { ProposeMetadataRequest } from "../../src/rpc/generated/flotilla-internal-v1.ts";
import { GetMetadataRequest } from "../../src/rpc/generated/flotilla-v1.ts";
import { metadataService, peerService } from "../../src/rpc/methods.ts";
import type { Connection } from "../../src/rpc/ports.ts";
import { InProcessCluster, type InProcessNode } from "../support/in-process-cluster.ts";
import { WireClient } from "../support/wire-client.ts";
import { CONNECTIONS_MAX, type Ends, PARKED_MAX, STREAMS_MAX } from "./error-case.ts";
import { ERROR_CASES } from "./error-cases.ts";
import { IN_TROUBLE, INSIDE, NOT_YET_SENT } from "./error-coverage.ts";

let cluster: InProcessCluster;
let ends: Ends;
let topicId: TopicId;
let strictId: TopicId;
/** One connection per node for the whole table. */
const connections = new Map<number, Connection>();
let peer: Connection;

beforeAll(async () => {
  cluster = await InProcessCluster.start({
    node: { parkedFetchesMax: PARKED_MAX },
    limits: { connectionsMax: CONNECTIONS_MAX, streamsPerConnectionMax: STREAMS_MAX },
  });
  topicId = await cluster.createTopic("t");
  const settings = { "min.acks": "all", "message.bytes.max": "1000" };
  strictId = await cluster.createTopic("strict", settings);
  for (const { id } of cluster.nodes) connections.set(id, cluster.connect(id));
  peer = cluster.connectTo(cluster.node(1).peer);
  ends = await presentEnds();
  await ends.leader.publish();
});

/** On a busy machine a leadership may move between two cases. */
async function presentEnds(): Promise<Ends> {
  const to = (node: InProcessNode | undefined): Connection => {
    const connection = connections.get(node?.id ?? 0);
    if (connection === undefined) throw new Error("no such node");
    return connection;
  };
  const leader = await cluster.leaderOf(topicId);
  const follower = cluster.nodes.find((node) => node !== leader);
  return {
    leader: new WireClient(to(leader), "t", topicId),
    follower: new WireClient(to(follower), "t", topicId),
    strict: new WireClient(to(await cluster.leaderOf(strictId)), "strict", strictId),
    controller: to(await cluster.controller()),
    peer,
    clusterId: cluster.node(1).broker.options.nodeFile.clusterId,
    connect: () => cluster.connect(leader.id),
  };
}

afterAll(async () => {
  await cluster.close();
});

/** Offset after the last record in the log of each topic's leader, committed or not. */
async function logEnds(): Promise<readonly number[]> {
  return Promise.all(
    [topicId, strictId].map(async (id) => {
      const leader = await cluster.leaderOf(id);
      const { highWatermark, replica } = cluster.partition(leader.id, id);
      const { commitIndex, writtenIndex } = replica.watermarks;
      expect(writtenIndex).toBe(commitIndex);
      return highWatermark;
    }),
  );
}

/** Each connection of the cases answers. */
async function useAgain(): Promise<void> {
  const { controller, follower, leader, strict } = ends;
  const before = await leader.offsets();
  const receipt = await leader.publish();
  // The next record follows the last one that was there before: nothing came between.
  expect(receipt).toMatchObject({ offset: before.highWatermark, duplicate: false });
  await strict.publish();
  const ask = async (connection: Connection): Promise<unknown> =>
    connection.unary(metadataService.getMetadata, GetMetadataRequest.create(), {
      timeoutMs: 5000,
    });
  await Promise.all([ask(controller), ask(follower.connection)]);
  const request = ProposeMetadataRequest.create({ clusterId: "another" });
  const call = peer.unary(peerService.proposeMetadata, request, { timeoutMs: 5000 });
  await expect(call).rejects.toMatchObject({ reason: "CLUSTER_MISMATCH" });
}

describe("refusals of a healthy cluster: typed, nothing written, the connection goes on", () => {
  test.each(ERROR_CASES.map((row) => ({ name: `${row.reason}: ${row.title}`, row })))(
    "$name",
    async ({ row }) => {
      ends = await presentEnds();
      const prepared = await row.prepare?.(ends);
      const before = await logEnds();
      const error = await row.refuse(ends, prepared);
      expect(error).toMatchObject({ reason: row.reason, fields: row.fields ?? {} });
      expect(error.message).not.toBe("");
      expect(await logEnds()).toEqual(before);
      await useAgain();
    },
    20_000,
  );
});

test("lane: after a refusal later batches are discarded, Resume goes on at the same number", async () => {
  ends = await presentEnds();
  const { leader } = ends;
  const lane = leader.lane({ layoutEpoch: 7 });
  lane.send(Buffer.from("refused for its layout"));
  expect(await lane.refusal()).toMatchObject({ reason: "STALE_LAYOUT" });
  const { highWatermark } = await leader.offsets();
  const { producerId, epoch: producerEpoch } = await leader.openProducer();
  const producer = { producerId, producerEpoch, baseSequence: 0 };
  lane.resume(0, 1);
  expect(await lane.append(["first"], producer)).toMatchObject({
    firstNumber: 0,
    baseOffsets: [highWatermark],
    duplicate: false,
  });
  // A retry of the same batch is answered with the original offset.
  expect(await lane.append(["first"], producer)).toMatchObject({
    firstNumber: 1,
    baseOffsets: [highWatermark],
    duplicate: true,
  });
  expect((await leader.offsets()).highWatermark).toBe(highWatermark + 1);
  lane.close();
});

describe("the table of reasons is covered", () => {
  const reasons = Object.keys(ERROR_TABLE) as ErrorReason[];

  test("every reason is provoked here, in trouble, or from inside; the rest is not sent yet", () => {
    const shown = new Set<string>([
      ...ERROR_CASES.map((row) => row.reason),
      ...IN_TROUBLE,
      ...Object.keys(INSIDE),
      ...NOT_YET_SENT,
    ]);
    expect(reasons.filter((reason) => !shown.has(reason))).toEqual([]);
  });

  test.each(IN_TROUBLE)("in trouble: there is a test for %s", (reason) => {
    const text = readFileSync(`${import.meta.dirname}/errors-in-trouble.test.ts`, "utf8");
    expect(text.includes(`test("${reason}: `)).toBe(true);
  });

  test.each(Object.entries(INSIDE))("from inside: %s is shown by %s", (reason, place) => {
    const files = place.endsWith(".ts") ? [place] : filesIn(place);
    const naming = files.filter((file) => readFileSync(file, "utf8").includes(`"${reason}"`));
    expect(naming.length).toBeGreaterThan(0);
  });

  test.each(NOT_YET_SENT)("not sent yet: no broker's room gives %s", (reason) => {
    const rooms = ["broker", "cluster", "config", "log", "partition", "raft", "replica"];
    const files = rooms.flatMap((room) => filesIn(`src/${room}`));
    expect(files.length).toBeGreaterThan(50);
    const naming = files.filter((file) => readFileSync(file, "utf8").includes(`"${reason}"`));
    expect(naming).toEqual([]);
  });
});

function filesIn(folder: string): readonly string[] {
  return readdirSync(folder, { recursive: true })
    .map((name) => `${folder}/${String(name)}`)
    .filter((name) => name.endsWith(".ts"));
}
