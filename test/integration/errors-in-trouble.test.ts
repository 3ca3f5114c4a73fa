// Refusals that take a cluster in trouble: no majority, a full, broken or damaged disk, entries that do not get through, a
// broker that stops. Over real sockets, on the same connection before, during and after. Each test has its own brokers.
import { afterEach, expect, test } from "vitest";
import { ERROR_TABLE } from "../../src/model/errors.ts";
import type { TopicId } from "../../src/model/ids.ts";
import { DigestReplicaRequest } from "../../src/rpc/generated/flotilla-v1.ts";
import { adminService } from "../../src/rpc/methods.ts";
import { plainBatch } from "../support/batches.ts";
import {
  InProcessCluster,
  type InProcessNode,
  type InProcessOptions,
} from "../support/in-process-cluster.ts";
import { pause } from "../support/local-cluster.ts";
import { refusalOf, WireClient } from "../support/wire-client.ts";

const MIB = 1024 * 1024;

let cluster: InProcessCluster;
afterEach(async () => {
  await cluster.close();
});

interface Scene {
  readonly topicId: TopicId;
  readonly leader: InProcessNode;
  readonly followers: readonly InProcessNode[];
  /** Connected to the leader. */
  readonly client: WireClient;
}

/** Three brokers, one partition with one record in it. */
async function scene(options: InProcessOptions = {}): Promise<Scene> {
  cluster = await InProcessCluster.start(options);
  const topicId = await cluster.createTopic("t");
  const leader = await cluster.leaderOf(topicId);
  const followers = cluster.nodes.filter((node) => node !== leader);
  const client = new WireClient(cluster.connect(leader.id), "t", topicId);
  await client.publish();
  return { topicId, leader, followers, client };
}

/** Publishes until it is not refused any more; every refusal on the way must say that trying again can help. */
async function publishAgain(client: WireClient): Promise<number> {
  const endMs = performance.now() + 15_000;
  for (;;) {
    try {
      return (await client.publish()).offset;
    } catch (error) {
      expect(error).toMatchObject({ retryable: true });
      if (performance.now() > endMs) throw error;
      await pause(20);
    }
  }
}

test("LEADER_UNKNOWN: two of three brokers are gone; nothing is written; writes resume by themselves", async () => {
  const { client, followers, leader, topicId } = await scene();
  for (const { id } of followers) await cluster.killNode(id);
  await cluster.until("the leader steps down", () => {
    return !cluster.partition(leader.id, topicId).isLeaderReady;
  });
  const { highWatermark, replica } = cluster.partition(leader.id, topicId);
  const { writtenIndex } = replica.watermarks;
  for (let attempt = 0; attempt < 3; attempt += 1) {
    const error = await refusalOf(client.publish());
    expect(error).toMatchObject({ reason: "LEADER_UNKNOWN", retry: "later" });
    expect(error.outcome).toBe("not-applied");
  }
  expect(await client.laneRefusal(plainBatch(["x"]))).toMatchObject({ reason: "LEADER_UNKNOWN" });
  expect(await refusalOf(client.fetchMessages({}))).toMatchObject({ reason: "LEADER_UNKNOWN" });
  expect(cluster.partition(leader.id, topicId).highWatermark).toBe(highWatermark);
  expect(replica.watermarks.writtenIndex).toBe(writtenIndex);
  await cluster.startNode(followers[0]?.id ?? 0);
  await cluster.until("a leader is there again", () =>
    cluster.nodes.some((node) => node.running !== undefined && leads(node, topicId)),
  );
  const now = await cluster.leaderOf(topicId);
  if (now !== leader) await cluster.transferLeadership("t", topicId, leader.id);
  expect(await publishAgain(client)).toBe(highWatermark);
});

test("LEADERSHIP_LOST: a leader that is deposed says that it does not know what became of a batch", async () => {
  const { client, followers } = await scene();
  for (const node of followers) node.connector.holdEntries();
  const pending = refusalOf(client.publish());
  const lane = client.lane();
  lane.send(plainBatch(["parked"]));
  await pause(100);
  for (const { id } of followers) await cluster.killNode(id);
  for (const error of [await pending, await lane.refusal()]) {
    expect(error).toMatchObject({ reason: "LEADERSHIP_LOST", retryable: true, outcome: "unknown" });
  }
  lane.close();
  // The same connection answers at once, with what is true now.
  expect(await refusalOf(client.publish())).toMatchObject({ reason: "LEADER_UNKNOWN" });
});

test("STALE_LEADER_EPOCH: an acks=leader lane does not go on over a change of leadership", async () => {
  const { client, followers, leader, topicId } = await scene();
  const lane = client.lane({ acks: "leader" });
  const first = await lane.append(["before"]);
  await cluster.transferLeadership("t", topicId, followers[0]?.id ?? 0);
  await cluster.transferLeadership("t", topicId, leader.id);
  const { highWatermark } = await client.offsets();
  lane.send(plainBatch(["after"]));
  const error = await lane.refusal();
  expect(error).toMatchObject({ reason: "STALE_LEADER_EPOCH", outcome: "not-applied" });
  expect(error.fields["leaderEpoch"]).toBeGreaterThan(first.leaderEpoch);
  expect((await client.offsets()).highWatermark).toBe(highWatermark);
  lane.resume(1);
  expect(await lane.append(["after"])).toMatchObject({ baseOffsets: [highWatermark] });
  lane.close();
});

test("DISK_FULL: below the reserve nothing is accepted, afterwards it goes on", async () => {
  const { client, leader } = await scene({ node: { diskReserveBytes: 64 * MIB } });
  const { highWatermark } = await client.offsets();
  leader.disk.setCapacity(32 * MIB);
  await pause(200);
  // Bounds and reading still work; the watcher looks once in a while.
  await cluster.until("the broker notices", () => leader.disk.freeBytes() < 64 * MIB);
  let error: unknown;
  let written = highWatermark;
  for (let attempt = 0; attempt < 100 && error === undefined; attempt += 1) {
    error = await client.publish().then(
      () => {
        written += 1;
      },
      (refusal: unknown) => refusal,
    );
    await pause(50);
  }
  expect(error).toMatchObject({ reason: "DISK_FULL", retry: "later", outcome: "not-applied" });
  expect(await client.laneRefusal(plainBatch(["x"]))).toMatchObject({ reason: "DISK_FULL" });
  expect((await client.offsets()).highWatermark).toBe(written);
  expect((await client.fetchMessages({ offset: 0 })).messages).toHaveLength(written);
  leader.disk.setCapacity(undefined);
  expect(await publishAgain(client)).toBe(written);
});

test("OVERLOADED: uncommitted bytes are bounded; what was accepted is kept, the refused is not written", async () => {
  const { client, followers, leader, topicId } = await scene();
  for (const node of followers) node.connector.holdEntries();
  const values = Array.from({ length: 7 }, () => Buffer.alloc(MIB - 1000, 1));
  // One stream alone would not be read any further: its own limit of unanswered bytes comes first.
  const first = client.lane();
  const second = client.lane();
  const { replica } = cluster.partition(leader.id, topicId);
  const writtenIndex = replica.watermarks.writtenIndex + 4;
  for (let number = 0; number < 4; number += 1) first.send(plainBatch(values));
  await cluster.until("four are written", () => replica.watermarks.writtenIndex >= writtenIndex);
  for (let number = 0; number < 3; number += 1) second.send(plainBatch(values));
  await pause(300);
  for (const node of followers) node.connector.releaseEntries();
  const offsets: number[] = [];
  while (offsets.length < 4) offsets.push(...(await first.ack()).baseOffsets);
  let error: unknown;
  while (error === undefined) {
    await second.ack().then(
      (ack) => offsets.push(...ack.baseOffsets),
      (refusal: unknown) => {
        error = refusal;
      },
    );
  }
  expect(error).toMatchObject({ reason: "OVERLOADED", retry: "later", outcome: "not-applied" });
  expect(error).toMatchObject({ fields: { limit: "uncommittedBytes" } });
  expect(offsets.length).toBeGreaterThanOrEqual(4);
  expect(offsets.length).toBeLessThan(7);
  const expected = 1 + offsets.length * values.length;
  expect((await client.offsets()).highWatermark).toBe(expected);
  second.resume(0);
  expect(await second.append(["again"])).toMatchObject({ baseOffsets: [expected] });
  first.close();
  second.close();
});

test("STORAGE_FAILED: a failed sync stops the broker's storage; the send is not acknowledged", async () => {
  const { client, leader, topicId } = await scene();
  leader.gates.isBroken = true;
  const error = await refusalOf(client.publish());
  expect(error.outcome).toBe("unknown");
  expect(leader.fatal?.message).toContain("the disk is broken");
  const request = DigestReplicaRequest.create({ topic: "t", partition: 0 });
  const digest = client.connection.unary(adminService.digestReplica, request, { timeoutMs: 5000 });
  expect(await refusalOf(digest)).toMatchObject({ reason: "STORAGE_FAILED" });
  // The others go on without it, and it never acknowledges anything again.
  await cluster.until("another broker leads", () =>
    cluster.nodes.some((node) => node !== leader && leads(node, topicId)),
  );
  const after = await refusalOf(client.publish());
  expect(ERROR_TABLE[after.reason].outcome).toBe("not-applied");
});

test("LOG_CORRUPT: a damaged record is not served, another broker takes over, and it is repaired", async () => {
  const { client, leader, topicId } = await scene();
  const lane = client.lane();
  const values = Array.from({ length: 7 }, () => Buffer.alloc(MIB - 1000, 7));
  // More than the leader keeps in memory, so that reading from the beginning takes the disk.
  for (let number = 0; number < 4; number += 1) {
    lane.send(plainBatch(values));
    await lane.ack();
  }
  lane.close();
  damageFirstSegment(leader, cluster.partition(leader.id, topicId).groupId);
  const request = DigestReplicaRequest.create({ topic: "t", partition: 0 });
  const digest = client.connection.unary(adminService.digestReplica, request, { timeoutMs: 5000 });
  expect(await refusalOf(digest)).toMatchObject({ reason: "LOG_CORRUPT", retry: "reroute" });
  // The damaged replica hands over: readers are sent elsewhere, until it is repaired. Broker and connection go on.
  const read = await client.fetchMessages({ offset: 1, messagesMax: 1 }).then(
    ({ messages }) => messages[0]?.value?.equals(Buffer.alloc(MIB - 1000, 7)),
    (error: unknown) => {
      expect(error).toMatchObject({ retryable: true, outcome: "not-applied" });
      return true;
    },
  );
  expect(read).toBe(true);
  expect(leader.fatal).toBeUndefined();
  await cluster.until("another broker leads", () =>
    cluster.nodes.some((node) => node !== leader && leads(node, topicId)),
  );
  const now = await cluster.leaderOf(topicId);
  const other = new WireClient(cluster.connect(now.id), "t", topicId);
  expect((await other.fetchMessages({ offset: 1, messagesMax: 1 })).messages).toHaveLength(1);
  expect(await refusalOf(client.publish())).toMatchObject({ retryable: true });
  const { groupId } = cluster.partition(leader.id, topicId);
  const replica = leader.broker.replicas.get(groupId);
  await cluster.until("it is repaired", () => replica?.damagedEntries === 0);
  expect(leader.counters.get("entries_repaired")).toBeGreaterThan(0);
  const digestOf = async (node: InProcessNode): Promise<string> => {
    const asked = new WireClient(cluster.connect(node.id), "t", topicId).connection;
    return (await asked.unary(adminService.digestReplica, request, { timeoutMs: 5000 })).sha256;
  };
  // Each hashes what it knows to be committed: a follower learns that a moment later.
  await expect
    .poll(async () => (await digestOf(leader)) === (await digestOf(now)), { timeout: 10_000 })
    .toBe(true);
}, 240_000);

test("SHUTTING_DOWN: a lane of a closing broker is refused, nothing is written", async () => {
  const { client, leader, topicId } = await scene();
  const lane = client.lane();
  await lane.append(["before"]);
  const partition = cluster.partition(leader.id, topicId);
  const { highWatermark } = partition;
  await leader.broker.close();
  lane.send(plainBatch(["after"]));
  expect(await lane.refusal()).toMatchObject({ reason: "SHUTTING_DOWN", retry: "reroute" });
  expect(partition.highWatermark).toBe(highWatermark);
  lane.close();
});

function leads(node: InProcessNode, topicId: TopicId): boolean {
  const replicas = [...(node.running?.partitions.registry.ofTopic(topicId) ?? [])];
  return replicas.some((partition) => partition.isLeaderReady);
}

/** Flips a bit in a record of the group's first segment. */
function damageFirstSegment(node: InProcessNode, groupId: number): void {
  const { disk } = node;
  const directories = disk.list("groups").map((name) => `groups/${name}`);
  const segments = directories.flatMap((directory) => filesBelow(node, directory));
  const largest = segments
    .map((path) => ({ path, file: disk.open(path, { create: false }) }))
    .sort((left, right) => right.file.size - left.file.size)[0];
  if (largest === undefined) throw new Error(`group ${groupId} has no segment`);
  const bytes = largest.file.readSync(0, largest.file.size);
  const at = Math.floor(MIB);
  bytes[at] = (bytes[at] ?? 0) ^ 1;
  largest.file.truncate(0);
  largest.file.append([bytes]);
  largest.file.close();
}

function filesBelow({ disk }: InProcessNode, path: string): readonly string[] {
  const names = disk.list(path);
  if (names.length > 0) {
    return names.flatMap((name) => filesBelow({ disk } as InProcessNode, `${path}/${name}`));
  }
  try {
    disk.open(path, { create: false }).close();
    return [path];
  } catch {
    return [];
  }
}
