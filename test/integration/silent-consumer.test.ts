// A consumer whose machine vanishes without a word: its connection stays, nothing passes any more. Its exclusive partition
// goes on with the other consumer when its ack deadline is over, long before keepalive ends its stream. Real sockets, with
// a proxy in between that stops passing anything on.
import { connect, createServer, type Server, type Socket } from "node:net";
import { afterEach, expect, it } from "vitest";
import { chooseOwner } from "../../src/delivery/rendezvous-plan.ts";
import type { TopicId } from "../../src/model/ids.ts";
import {
  CreateSubscriptionRequest,
  PublishMessage,
  PublishRequest,
  RetryPolicy,
  Settle,
  SubscribeOpen,
  SubscribeRequest,
  type SubscribeResponse,
  SubscriptionDefinition,
  TopicSelection,
} from "../../src/rpc/generated/flotilla-v1.ts";
import { produceService, subscriptionService } from "../../src/rpc/methods.ts";
import type { Connection, MessageStream } from "../../src/rpc/ports.ts";
import { InProcessCluster } from "../support/in-process-cluster.ts";
import { pause } from "../support/local-cluster.ts";

const DEADLINE_MS = 2500;
const SLACK_MS = 2000;
const CALL = { timeoutMs: 15_000 };

let cluster: InProcessCluster | undefined;
let wire: Wire | undefined;
afterEach(async () => {
  // First: what it holds back would have to be waited for.
  wire?.close();
  await cluster?.close();
  cluster = undefined;
});

/** Passes bytes on in both directions, until it is told to take nothing any more. */
class Wire {
  readonly #server: Server;
  readonly #sockets: Socket[] = [];

  private constructor(server: Server) {
    this.#server = server;
  }

  static async open(target: string): Promise<Wire> {
    const [host = "", port = ""] = target.split(":");
    const server = createServer((near) => {
      const far = connect(Number(port), host);
      wire.#sockets.push(near, far);
      for (const [from, to] of [
        [near, far],
        [far, near],
      ] as const) {
        from.on("data", (bytes) => to.write(bytes));
        from.on("error", () => to.destroy());
        from.on("close", () => to.destroy());
      }
    });
    const wire = new Wire(server);
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return wire;
  }

  get endpoint(): string {
    const address = this.#server.address();
    if (address === null || typeof address === "string") throw new Error("it does not listen");
    return `127.0.0.1:${address.port}`;
  }

  fallSilent(): void {
    for (const socket of this.#sockets) socket.pause();
  }

  speakAgain(): void {
    for (const socket of this.#sockets) socket.resume();
  }

  close(): void {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
  }
}

/** Acknowledges whatever it gets. */
class AckingStream {
  readonly values: string[] = [];
  isOver = false;
  readonly #stream: MessageStream<SubscribeRequest, SubscribeResponse>;
  #number = 0;

  constructor(connection: Connection, consumerId: string) {
    this.#stream = connection.bidi(subscriptionService.subscribe);
    this.#stream.onMessage = (answer) => this.#take(answer);
    this.#stream.onEnd = () => {
      this.isOver = true;
    };
    const fields = { subscription: "bills", consumerId, protocolVersion: 1 } as const;
    this.#stream.send(
      SubscribeRequest.create({
        open: SubscribeOpen.create({ ...fields, form: "messages", reportsBegun: true }),
        creditMessages: 10_000,
        creditBytes: 100_000_000,
      }),
    );
  }

  #take({ deliveries }: SubscribeResponse): void {
    for (const { channel, deliveryNumber, messages } of deliveries) {
      for (const { value } of messages) this.values.push(value?.toString() ?? "");
      this.#number += 1;
      const settle = Settle.create({ number: this.#number, channel, deliveryNumber, kind: "ack" });
      this.#stream.send(SubscribeRequest.create({ settle: [settle] }));
    }
  }
}

/** Of two names, first the one whose the partition is. */
function namesFor(topicId: TopicId): readonly [string, string] {
  const owner = chooseOwner([{ id: "a" }, { id: "b" }], `${topicId}/0`)?.id;
  return owner === "a" ? ["a", "b"] : ["b", "a"];
}

it("exclusive: the partition goes on with the other consumer after the ack deadline", async () => {
  const running = await InProcessCluster.start({ nodes: 1 });
  cluster = running;
  const topicId = await running.createTopic("orders");
  const calls = running.connect(1);
  const definition = SubscriptionDefinition.create({
    name: "bills",
    topics: TopicSelection.create({ names: ["orders"] }),
    mode: "exclusive",
    ackDeadlineMs: DEADLINE_MS,
    retry: RetryPolicy.create({ attemptsMax: 3, delaysMs: [10] }),
  });
  await calls.unary(
    subscriptionService.createSubscription,
    CreateSubscriptionRequest.create({ definition }),
    CALL,
  );
  const publish = async (...values: string[]): Promise<void> => {
    const messages = values.map((value) => PublishMessage.create({ value: Buffer.from(value) }));
    const request = PublishRequest.create({ topic: "orders", partition: 0, messages, acks: "all" });
    await calls.unary(produceService.publish, request, CALL);
  };
  wire = await Wire.open(running.node(1).client);
  const [chosen, other] = namesFor(topicId);
  const first = new AckingStream(running.connectTo(wire.endpoint), chosen);
  const second = new AckingStream(running.connect(1, "second"), other);
  await pause(300);
  await publish("1", "2");
  await running.until("the chosen one has them", () => first.values.length === 2);
  await pause(300);

  wire.fallSilent();
  const silentMs = performance.now();
  await publish("3", "4");
  await pause(DEADLINE_MS / 2);
  await publish("5");
  expect(second.values).toEqual([]);
  await running.until("the other one has them", () => second.values.length === 3);
  const tookMs = performance.now() - silentMs;
  expect(tookMs).toBeGreaterThan(DEADLINE_MS - 50);
  expect(tookMs).toBeLessThan(DEADLINE_MS + SLACK_MS);
  expect(second.values).toEqual(["3", "4", "5"]);
  const laterMs = performance.now();
  await publish("6");
  await running.until("more comes at once", () => second.values.length === 4);
  expect(performance.now() - laterMs).toBeLessThan(DEADLINE_MS / 2);
  expect([first.isOver, first.values]).toEqual([false, ["1", "2"]]);

  // It was not dead after all: it acknowledges what it has lost, and with that it is there again.
  wire.speakAgain();
  await running.until("it sees what it had lost", () => first.values.length === 5);
  await pause(300);
  await publish("7");
  await running.until("its partition is its own again", () => first.values.at(-1) === "7");
  expect(second.values).toEqual(["3", "4", "5", "6"]);
}, 240_000);
