// Every request of every rpc to a real broker over a real socket: it answers or refuses with a reason of its own, and lives.
import { type ClientHttp2Session, connect } from "node:http2";
import { METADATA_GROUP } from "../../../src/model/ids.ts";
import * as v1 from "../../../src/rpc/generated/flotilla-v1.ts";
import { subscriptionService } from "../../../src/rpc/methods.ts";
import { errorOfStatus } from "../../../src/rpc/status.ts";
import { InProcessCluster } from "../../support/in-process-cluster.ts";
import type { Subject } from "../subject.ts";
import { MESSAGE_SEEDS, METHODS } from "./wire.ts";

const ANSWER_MS = 15_000;

/** Opens a broker; close() must follow. */
export async function openSocketSubject(): Promise<Subject> {
  const cluster = await InProcessCluster.start({ nodes: 1 });
  const [node] = cluster.nodes;
  if (node === undefined) throw new Error("no broker");
  const topicId = await cluster.createTopic("t");
  const definition = v1.SubscriptionDefinition.create({
    name: "s",
    topics: v1.TopicSelection.create({ names: ["t"] }),
    mode: "shared",
  });
  const create = v1.CreateSubscriptionRequest.create({ definition });
  const controller = cluster.connect(node.id);
  await controller.unary(subscriptionService.createSubscription, create, { timeoutMs: ANSWER_MS });
  const sessions = [node.client, node.peer].map((endpoint) => connect(`http://${endpoint}`));
  for (const session of sessions) session.on("error", () => undefined);
  let turn = 0;
  return {
    name: "socket",
    seeds: [...MESSAGE_SEEDS, ...seedsAbout(topicId)],
    cost: 20,
    async run(bytes) {
      // Methods of the other listener are unknown here, which is a question too.
      for (const session of sessions) {
        for (let count = 0; count < 4; count += 1) {
          const method = METHODS[turn % METHODS.length];
          turn += 1;
          if (method !== undefined) await call(session, method.path, bytes);
        }
      }
      if (node.broker.replicas.get(METADATA_GROUP)?.status().failed !== undefined) {
        throw new Error("a request damaged the broker");
      }
    },
    async close() {
      for (const session of sessions) session.destroy();
      await cluster.close();
    },
  };
}

/** Requests about a partition that there is. */
function seedsAbout(topicId: string): Buffer[] {
  const place = { subscription: "s", topicId, partition: 0 };
  const held = [v1.HeldMessages.create({ topicId, ranges: [0, 1, 5, 2] })];
  const open = v1.SubscribeOpen.create({
    subscription: "s",
    consumerId: "c",
    protocolVersion: 1,
    held,
  });
  const settle = [v1.Settle.create({ number: 1, deliveryNumber: 1, kind: "nack", ranges: [0, 1] })];
  const credit = { creditMessages: 10, creditBytes: 10_000 };
  return [
    v1.SubscribeRequest.encode(v1.SubscribeRequest.create({ open, ...credit, settle })),
    v1.ExplainRequest.encode(v1.ExplainRequest.create({ ...place, offset: 0 })),
    v1.SeekRequest.encode(v1.SeekRequest.create({ ...place, kind: "offset", offset: 1 })),
    v1.ListParkedKeysRequest.encode(v1.ListParkedKeysRequest.create(place)),
    v1.ReleaseKeyRequest.encode(v1.ReleaseKeyRequest.create({ ...place, offset: 1 })),
  ];
}

/** One call; resolves with its end, rejects when there is none in time or it is not of our making. */
function call(session: ClientHttp2Session, path: string, bytes: Buffer): Promise<void> {
  return new Promise((resolve, reject) => {
    const stream = session.request({
      ":method": "POST",
      ":path": path,
      "content-type": "application/grpc",
      te: "trailers",
      "grpc-timeout": "300m",
    });
    const timer = setTimeout(() => reject(new Error(`${path} was never answered`)), ANSWER_MS);
    const look = (got: Readonly<Record<string, unknown>>): void => {
      const code = Number(got["grpc-status"] ?? 0);
      const details = got["grpc-status-details-bin"];
      if (code === 0) return;
      const error = errorOfStatus({
        code,
        message: String(got["grpc-message"] ?? ""),
        details: typeof details === "string" ? Buffer.from(details, "base64") : undefined,
      });
      if (error.reason === "INTERNAL") reject(new Error(`${path}: ${error.message}`));
    };
    stream.on("response", look);
    stream.on("trailers", look);
    stream.on("error", () => undefined);
    stream.once("close", () => {
      clearTimeout(timer);
      resolve();
    });
    stream.resume();
    const head = Buffer.alloc(5);
    head.writeUInt32BE(bytes.length, 1);
    stream.end(Buffer.concat([head, bytes]));
  });
}
