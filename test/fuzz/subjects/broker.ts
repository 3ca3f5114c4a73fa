// The broker behind the subjects that use a socket, and what is asked of it after each input: it lives, nothing went wrong
// that nobody caught, and a well-behaved client on a connection of its own is served.
import { METADATA_GROUP } from "../../../src/model/ids.ts";
import * as v1 from "../../../src/rpc/generated/flotilla-v1.ts";
import { metadataService, subscriptionService } from "../../../src/rpc/methods.ts";
import type { Connection } from "../../../src/rpc/ports.ts";
import { InProcessCluster, type InProcessNode } from "../../support/in-process-cluster.ts";

const ANSWER_MS = 15_000;

export interface FuzzedBroker {
  readonly node: InProcessNode;
  readonly topicId: string;
  /** @throws Error with what the input did to the broker, or to others */
  readonly assertUnharmed: () => Promise<void>;
  readonly close: () => Promise<void>;
}

/** A broker with topic "t" and subscription "s"; close() must follow. */
export async function openFuzzedBroker(): Promise<FuzzedBroker> {
  const cluster = await InProcessCluster.start({ nodes: 1 });
  const [node] = cluster.nodes;
  if (node === undefined) throw new Error("no broker");
  const topicId = await cluster.createTopic("t");
  const good = cluster.connect(node.id);
  await subscribe(good);
  const uncaught: unknown[] = [];
  const note = (error: unknown): void => void uncaught.push(error);
  process.on("unhandledRejection", note);
  process.on("uncaughtExceptionMonitor", note);
  return {
    node,
    topicId,
    async assertUnharmed() {
      const request = v1.GetMetadataRequest.create();
      await good.unary(metadataService.getMetadata, request, { timeoutMs: ANSWER_MS });
      const [problem = node.fatal] = uncaught.splice(0);
      if (problem !== undefined) throw new Error(`not caught: ${String(problem)}`);
      if (node.broker.replicas.get(METADATA_GROUP)?.status().failed !== undefined) {
        throw new Error("a request damaged the broker");
      }
    },
    async close() {
      process.removeListener("unhandledRejection", note);
      process.removeListener("uncaughtExceptionMonitor", note);
      await cluster.close();
    },
  };
}

async function subscribe(connection: Connection): Promise<void> {
  const definition = v1.SubscriptionDefinition.create({
    name: "s",
    topics: v1.TopicSelection.create({ names: ["t"] }),
    mode: "shared",
  });
  const create = v1.CreateSubscriptionRequest.create({ definition });
  await connection.unary(subscriptionService.createSubscription, create, { timeoutMs: ANSWER_MS });
}
