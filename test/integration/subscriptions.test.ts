// Subscriptions on three real brokers: what was acknowledged and confirmed never comes again, whoever leads; everything else
// does. Streams are spoken by hand.
import { afterEach, describe, expect, it } from "vitest";
import type { TopicId } from "../../src/model/ids.ts";
import {
  CreateSubscriptionRequest,
  DeadLetterPolicy,
  type Delivery,
  ExplainRequest,
  FetchMessagesRequest,
  GetProgressRequest,
  PublishMessage,
  PublishRequest,
  RetryPolicy,
  SeekRequest,
  Settle,
  type SettleKind,
  SubscribeOpen,
  SubscribeRequest,
  type SubscribeResponse,
  SubscriptionDefinition,
  TopicSelection,
} from "../../src/rpc/generated/flotilla-v1.ts";
import { fetchService, produceService, subscriptionService } from "../../src/rpc/methods.ts";
import type { Connection, MessageStream } from "../../src/rpc/ports.ts";
import { InProcessCluster, type InProcessNode } from "../support/in-process-cluster.ts";

const TIMEOUT = { timeoutMs: 15_000 };

let cluster: InProcessCluster | undefined;
afterEach(async () => {
  await cluster?.close();
  cluster = undefined;
});

/** One stream to one broker. */
class TestStream {
  readonly answers: SubscribeResponse[] = [];
  isOver = false;
  readonly #stream: MessageStream<SubscribeRequest, SubscribeResponse>;
  #number = 0;

  constructor(connection: Connection, open: Partial<SubscribeOpen> = {}) {
    this.#stream = connection.bidi(subscriptionService.subscribe);
    this.#stream.onMessage = (answer) => this.answers.push(answer);
    this.#stream.onEnd = () => {
      this.isOver = true;
    };
    const fields = { subscription: "bills", consumerId: "c1", protocolVersion: 1 } as const;
    this.#stream.send(
      SubscribeRequest.create({
        open: SubscribeOpen.create({ ...fields, form: "messages", reportsBegun: true, ...open }),
        creditMessages: 10_000,
        creditBytes: 100_000_000,
      }),
    );
  }

  settle(kind: SettleKind, delivery: Delivery, ranges: readonly number[] = []): number {
    this.#number += 1;
    const { channel, deliveryNumber } = delivery;
    const settle = Settle.create({ number: this.#number, channel, deliveryNumber, kind, ranges });
    this.#stream.send(SubscribeRequest.create({ settle: [settle] }));
    return this.#number;
  }

  get deliveries(): readonly Delivery[] {
    return this.answers.flatMap(({ deliveries }) => deliveries);
  }

  get offsets(): readonly number[] {
    return this.deliveries.flatMap(({ messages }) => messages.map(({ offset }) => offset));
  }

  get settled(): readonly number[] {
    return this.answers.flatMap(({ settled }) => settled);
  }

  close(): void {
    this.#stream.cancel();
  }
}

async function createSubscription(
  running: InProcessCluster,
  more: Partial<SubscriptionDefinition> = {},
): Promise<void> {
  const controller = await running.controller();
  const topics = TopicSelection.create({ names: ["orders"] });
  const definition = SubscriptionDefinition.create({
    name: "bills",
    topics,
    mode: "shared",
    ...more,
  });
  const request = CreateSubscriptionRequest.create({ definition });
  await running
    .connect(controller.id)
    .unary(subscriptionService.createSubscription, request, TIMEOUT);
}

async function publish(
  running: InProcessCluster,
  leader: InProcessNode,
  values: readonly string[],
  key?: string,
): Promise<void> {
  const messages = values.map((value) =>
    PublishMessage.create({
      value: Buffer.from(value),
      ...(key === undefined ? {} : { key: Buffer.from(key) }),
    }),
  );
  const request = PublishRequest.create({ topic: "orders", partition: 0, messages, acks: "all" });
  await running.connect(leader.id).unary(produceService.publish, request, TIMEOUT);
}

function numbers(from: number, to: number): number[] {
  return Array.from({ length: to - from }, (_, at) => from + at);
}

describe("subscriptions on real brokers", () => {
  it("leader killed: nothing confirmed comes again, everything else does", async () => {
    const running = await InProcessCluster.start();
    cluster = running;
    const topicId: TopicId = await running.createTopic("orders");
    await createSubscription(running);
    const leader = await running.leaderOf(topicId);
    await publish(running, leader, numbers(0, 100).map(String));
    const first = new TestStream(running.connect(leader.id));
    await running.until("all messages came", () => first.offsets.length === 100);
    // Even offsets of the first half, then a run.
    const [delivery] = first.deliveries;
    if (delivery === undefined) throw new Error("nothing was delivered");
    const even = numbers(0, 25).flatMap((at) => [at * 2, 1]);
    const settles = [first.settle("ack", delivery, even), first.settle("ack", delivery, [60, 10])];
    await running.until("both are confirmed", () =>
      settles.every((number) => first.settled.includes(number)),
    );
    await running.killNode(leader.id);
    const next = await running.leaderOf(topicId);
    await publish(running, next, ["later"]);
    const second = new TestStream(running.connect(next.id), { consumerId: "c2" });
    const acked = new Set([...numbers(0, 25).map((at) => at * 2), ...numbers(60, 70)]);
    const expected = numbers(0, 101).filter((offset) => !acked.has(offset));
    await running.until("the rest came", () => second.offsets.length >= expected.length);
    expect([...second.offsets].sort((a, b) => a - b)).toEqual(expected);
    const last = second.deliveries.map((one) => second.settle("ack", one));
    await running.until("all is settled", () =>
      last.every((number) => second.settled.includes(number)),
    );
    const { partitions } = await running
      .connect(next.id)
      .unary(
        subscriptionService.getProgress,
        GetProgressRequest.create({ subscription: "bills" }),
        TIMEOUT,
      );
    expect(partitions).toMatchObject([{ attached: true, cursor: 101, unsettledMessages: 0 }]);
  });

  it("stream to a follower: it gets the channel as soon as that broker leads", async () => {
    const running = await InProcessCluster.start();
    cluster = running;
    const topicId = await running.createTopic("orders");
    await createSubscription(running);
    const leader = await running.leaderOf(topicId);
    const streams = running.nodes.map(({ id }) => new TestStream(running.connect(id)));
    await publish(running, leader, ["a"]);
    const ofLeader = streams[leader.id - 1];
    await running.until("it came", () => ofLeader?.offsets.length === 1);
    const other = running.nodes.find((node) => node !== leader) ?? leader;
    await running.transferLeadership("orders", topicId, other.id);
    const ofOther = streams[other.id - 1];
    await running.until("it came again", () => ofOther?.offsets.length === 1);
    const ended = ofLeader?.answers.flatMap((answer) => answer.ended);
    expect(ended).toMatchObject([{ channel: 0 }]);
  });

  it("dead letters: reach their topic on whatever broker leads it, with their headers", async () => {
    const running = await InProcessCluster.start();
    cluster = running;
    const topicId = await running.createTopic("orders");
    await createSubscription(running, {
      retry: RetryPolicy.create({ attemptsMax: 2, delaysMs: [10] }),
      deadLetter: DeadLetterPolicy.create({ enabled: true }),
    });
    const leader = await running.leaderOf(topicId);
    await publish(running, leader, ["bad"], "k");
    const stream = new TestStream(running.connect(leader.id));
    for (const times of [1, 2]) {
      await running.until("it came", () => stream.offsets.length === times);
      const delivery = stream.deliveries.at(-1);
      if (delivery !== undefined) stream.settle("nack", delivery);
    }
    const dead = running.node(1).broker.view.image.topicByName("dlq/bills");
    if (dead === undefined) throw new Error("no dead letter topic");
    const holders = async (): Promise<number> => {
      let count = 0;
      for (const partition of numbers(0, dead.partitions)) {
        const node = await running.leaderOf(dead.topicId, partition);
        const request = FetchMessagesRequest.create({ topic: "dlq/bills", partition });
        const { messages } = await running
          .connect(node.id)
          .unary(fetchService.fetchMessages, request, TIMEOUT);
        count += messages.length;
        for (const { headers, key } of messages) {
          expect(`${key}`).toBe("k");
          const names = headers.map(({ name }) => name);
          expect(names).toContain("flotilla-dead-offset");
        }
      }
      return count;
    };
    const partition = running.partition(leader.id, topicId);
    await running.until("the source is settled", () => partition.state.lowestCursor() === 1);
    expect(await holders()).toBe(1);
  });

  it("explain and seek: answered by the leader, refused elsewhere with where it is", async () => {
    const running = await InProcessCluster.start();
    cluster = running;
    const topicId = await running.createTopic("orders");
    await createSubscription(running);
    const leader = await running.leaderOf(topicId);
    await publish(running, leader, ["a", "b"]);
    const explain = ExplainRequest.create({
      subscription: "bills",
      topicId,
      partition: 0,
      offset: 1,
    });
    const connection = running.connect(leader.id);
    const told = await connection.unary(subscriptionService.explain, explain, TIMEOUT);
    expect(told).toMatchObject({ fate: "ready" });
    const seek = SeekRequest.create({
      subscription: "bills",
      topicId,
      partition: 0,
      kind: "latest",
    });
    const moved = await connection.unary(subscriptionService.seek, seek, TIMEOUT);
    expect(moved).toMatchObject({ from: 0, to: 2, skippedMessages: 2 });
    const follower = running.nodes.find((node) => node !== leader) ?? leader;
    const refused = running
      .connect(follower.id)
      .unary(subscriptionService.explain, explain, TIMEOUT);
    await expect(refused).rejects.toMatchObject({
      reason: "NOT_LEADER",
      fields: { leaderEndpoint: leader.client },
    });
  });
});
