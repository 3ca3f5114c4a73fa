// What each class of acknowledgement waited for: syncs and the lane that carries entries are held, released one by one,
// and at the instant of the ack the page cache of every replica is read and all machines lose power, so that only what
// was synced is found. Both directions count: an ack must not come too early, and must not wait for more than it says.
import { afterEach, describe, expect, test } from "vitest";
import type { Disk } from "../../src/log/ports.ts";
import type { TopicId } from "../../src/model/ids.ts";
import {
  LaneBatch,
  OpenLane,
  ProduceRequest,
  PublishMessage,
  PublishRequest,
  type Receipt,
} from "../../src/rpc/generated/flotilla-v1.ts";
import { produceService } from "../../src/rpc/methods.ts";
import { plainBatch } from "../support/batches.ts";
import {
  InProcessCluster,
  type InProcessNode,
  NOTHING_UNSYNCED,
} from "../support/in-process-cluster.ts";
import { pause } from "../support/local-cluster.ts";
import { WireClient } from "../support/wire-client.ts";

/** Much longer than any ack takes here that does not wait for a gate. */
const NO_ACK_MS = 250;
const MARK = Buffer.from("the-record-under-test");

let cluster: InProcessCluster | undefined;
afterEach(async () => {
  await cluster?.close();
  cluster = undefined;
});

type Acks = "all" | "leader" | "none";
type Flush = "sync" | "async";

/** Three brokers with a topic; a send is under way, everything that can be held is held. */
class Scene {
  readonly cluster: InProcessCluster;
  readonly leader: InProcessNode;
  readonly followers: readonly [InProcessNode, InProcessNode];
  receipt: Receipt | undefined;
  readonly #topicId: TopicId;

  private constructor(running: InProcessCluster, leader: InProcessNode, topicId: TopicId) {
    this.cluster = running;
    this.leader = leader;
    this.#topicId = topicId;
    const [first, second] = running.nodes.filter((node) => node !== leader);
    if (first === undefined || second === undefined) throw new Error("three nodes are needed");
    this.followers = [first, second];
  }

  static async open(topicFlush: Flush): Promise<Scene> {
    cluster = await InProcessCluster.start();
    const topicId = await cluster.createTopic("t", { flush: topicFlush });
    const leader = await cluster.leaderOf(topicId);
    const scene = new Scene(cluster, leader, topicId);
    for (const node of cluster.nodes) node.gates.holdSyncs();
    for (const node of scene.followers) node.connector.holdEntries();
    return scene;
  }

  /** Does not wait for the receipt. */
  send(acks: Acks, flush: Flush | undefined): void {
    const request = PublishRequest.create({
      topic: "t",
      partition: 0,
      messages: [PublishMessage.create({ value: MARK })],
      acks,
      ...(flush === undefined ? {} : { flush }),
    });
    const connection = this.cluster.connect(this.leader.id);
    void connection
      .unary(produceService.publish, request, { timeoutMs: 20_000 })
      .then(({ receipts }) => {
        this.receipt = receipts[0];
      });
  }

  /** The send waits: nothing came, although there was time. */
  async expectNoAck(): Promise<void> {
    await pause(NO_ACK_MS);
    expect(this.receipt).toBeUndefined();
  }

  /** Waits for the ack and cuts the power of all machines at once. */
  async ack(): Promise<{
    receipt: Receipt;
    inMemory: readonly number[];
    onDisk: readonly number[];
  }> {
    await this.cluster.until("the ack", () => this.receipt !== undefined);
    const { receipt } = this;
    if (receipt === undefined) throw new Error("no receipt");
    const inMemory = this.inMemory();
    const onDisk = this.cluster.nodes
      .filter((node) => holds(node.disk.crash(NOTHING_UNSYNCED), MARK))
      .map((node) => node.id);
    return { receipt, inMemory, onDisk };
  }

  inMemory(): readonly number[] {
    return this.cluster.nodes.filter((node) => holds(node.disk, MARK)).map((node) => node.id);
  }

  ids(...nodes: readonly InProcessNode[]): readonly number[] {
    return nodes.map((node) => node.id).sort((a, b) => a - b);
  }

  get highWatermark(): number {
    return this.cluster.partition(this.leader.id, this.#topicId).highWatermark;
  }

  get topicId(): TopicId {
    return this.#topicId;
  }
}

describe.each([
  { topic: "sync", send: undefined },
  { topic: "async", send: "sync" },
  { topic: "sync", send: "async" },
] as const)("topic flush=$topic, send flush=$send: sync counts", ({ topic, send }) => {
  test("receipt all/sync: a majority has the record on disk, and no more is waited for", async () => {
    const scene = await Scene.open(topic);
    const [first] = scene.followers;
    for (const node of scene.followers) node.connector.releaseEntries();
    scene.send("all", send);
    await scene.cluster.until("all hold it in memory", () => scene.inMemory().length === 3);
    await scene.expectNoAck();
    scene.leader.gates.releaseSyncs();
    await scene.expectNoAck();
    first.gates.releaseSyncs();
    const { receipt, onDisk } = await scene.ack();
    expect(receipt).toMatchObject({ acks: "all", flush: "sync", offset: 0, duplicate: false });
    expect(onDisk).toEqual(scene.ids(scene.leader, first));
  });

  test("receipt leader/sync: the leader has the record on disk, followers are not waited for", async () => {
    const scene = await Scene.open(topic);
    scene.send("leader", send);
    await scene.expectNoAck();
    scene.leader.gates.releaseSyncs();
    const { receipt, inMemory, onDisk } = await scene.ack();
    expect(receipt).toMatchObject({ acks: "leader", flush: "sync", offset: 0, duplicate: false });
    expect(inMemory).toEqual(scene.ids(scene.leader));
    expect(onDisk).toEqual(scene.ids(scene.leader));
  });
});

test("receipt leader/sync: what the leader alone has on disk is there after its loss of power", async () => {
  const scene = await Scene.open("sync");
  const [first, second] = scene.followers;
  scene.send("leader", undefined);
  scene.leader.gates.releaseSyncs();
  await scene.ack();
  for (const node of scene.cluster.nodes) await scene.cluster.powerOff(node.id);
  // A follower that hears of it before the other one is there can elect nobody but the former leader.
  await scene.cluster.startNode(scene.leader.id);
  await scene.cluster.startNode(first.id);
  expect(await scene.cluster.leaderOf(scene.topicId)).toBe(scene.leader);
  await scene.cluster.until("it is committed", () => scene.highWatermark === 1);
  await scene.cluster.startNode(second.id);
  const client = new WireClient(scene.cluster.connect(scene.leader.id), "t", scene.topicId);
  const { messages } = await client.fetchMessages({ offset: 0 });
  expect(messages.map(({ value }) => value)).toEqual([MARK]);
});

test("receipt all/async: a majority has the record in memory, no disk is waited for", async () => {
  const scene = await Scene.open("async");
  const [first] = scene.followers;
  scene.send("all", undefined);
  await scene.expectNoAck();
  expect(scene.inMemory()).toEqual(scene.ids(scene.leader));
  first.connector.releaseEntries();
  const { receipt, inMemory, onDisk } = await scene.ack();
  expect(receipt).toMatchObject({ acks: "all", flush: "async", offset: 0, duplicate: false });
  expect(inMemory).toEqual(scene.ids(scene.leader, first));
  expect(onDisk).toEqual([]);
});

test("receipt leader/async: the leader has the record in memory, nothing else is waited for", async () => {
  const scene = await Scene.open("async");
  scene.send("leader", undefined);
  const { receipt, inMemory, onDisk } = await scene.ack();
  expect(receipt).toMatchObject({ acks: "leader", flush: "async", offset: 0, duplicate: false });
  expect(inMemory).toEqual(scene.ids(scene.leader));
  expect(onDisk).toEqual([]);
});

test("receipt none: a plain send is answered at once, a lane's batch never; readers see neither yet", async () => {
  const scene = await Scene.open("sync");
  scene.send("none", undefined);
  await scene.cluster.until("the answer", () => scene.receipt !== undefined);
  expect(scene.receipt).toMatchObject({ acks: "none", offset: 0 });
  const stream = scene.cluster.connect(scene.leader.id).bidi(produceService.produce);
  let answers = 0;
  stream.onMessage = () => {
    answers += 1;
  };
  stream.onEnd = () => undefined;
  const { topicId } = scene;
  const open = OpenLane.create({ topicId, layoutEpoch: 1, protocolVersion: 1, acks: "none" });
  const batches = [LaneBatch.create({ batch: plainBatch(["one-way"]) })];
  stream.send(ProduceRequest.create({ open: [open], batches }));
  await scene.cluster.until("the leader has it", () =>
    holds(scene.leader.disk, Buffer.from("one-way")),
  );
  expect(scene.highWatermark).toBe(0);
  for (const node of scene.cluster.nodes) node.gates.releaseSyncs();
  for (const node of scene.followers) node.connector.releaseEntries();
  await scene.cluster.until("both are committed", () => scene.highWatermark === 2);
  expect(answers).toBe(0);
  stream.cancel();
});

/** Do the message logs of this disk hold these bytes? */
function holds(disk: Disk, bytes: Buffer): boolean {
  const search = (path: string): boolean => {
    const names = disk.list(path);
    if (names.length > 0) return names.some((name) => search(`${path}/${name}`));
    try {
      const file = disk.open(path, { create: false });
      const isFound = file.readSync(0, file.size).includes(bytes);
      file.close();
      return isFound;
    } catch {
      return false; // An empty directory.
    }
  };
  return search("groups");
}
