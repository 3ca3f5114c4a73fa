// The clients of a simulated cluster: the production SDK, and one that knows nothing but unary calls. Each runs on a
// machine of its own. Made for the workload and for the final reads.
import { seededRandom } from "../../src/base/random.ts";
import { type Client, createClient, type Producer } from "../../src/client/index.ts";
import type { Operations, SendPlan } from "./operations.ts";
import { PublishClient } from "./publish-client.ts";
import type { SimCluster } from "./sim-cluster.ts";

export function plainClient(cluster: SimCluster): PublishClient {
  const { bootstrap, clientHost, network, world } = cluster;
  return new PublishClient({
    connector: network.connector(clientHost),
    bootstrap,
    clock: clientHost.clock,
    random: seededRandom(world.random.integer(0, 2 ** 32)),
  });
}

export function sdkClient(cluster: SimCluster): Client {
  const { bootstrap, network, sdkHost, world } = cluster;
  return createClient({
    connector: network.connector(sdkHost),
    bootstrap,
    clock: sdkHost.clock,
    random: seededRandom(world.random.integer(0, 2 ** 32)),
    logger: {
      debug: () => undefined,
      info: () => undefined,
      warn: (fields, message) => cluster.line(`sdk warn: ${message} ${JSON.stringify(fields)}`),
    },
  });
}

/** One send by the SDK, in the book from beginning to end. */
export function sendBySdk(
  operations: Operations,
  producer: Producer,
  plan: SendPlan & { readonly partition?: number },
  done: (isAcked: boolean) => void,
): void {
  const { acks, flush, key, partition, topic } = plan;
  const value = operations.begin(plan);
  const message = {
    topic: topic.name,
    key,
    value,
    headers: operations.headersFor(plan),
    partition,
  };
  if (acks === "none") {
    producer.sendOneWay(message);
    done(false);
    return;
  }
  producer.sendAsync(
    message,
    (error, receipt) => {
      if (receipt !== undefined) {
        operations.acked(topic.name, value, receipt, receipt.duplicate);
      } else operations.failed(value, error?.outcome ?? "unknown", error?.reason ?? "none");
      done(receipt !== undefined);
    },
    { acks, flush },
  );
}
