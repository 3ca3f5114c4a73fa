import { describe, expect, test } from "vitest";
import { seededRandom } from "../../src/base/random.ts";
import { type Client, createClient, type SendOptions } from "../../src/client/index.ts";
import { PRODUCER_NAME_CHARACTERS_MAX } from "../../src/model/limits.ts";
import type { OpenProducerRequest } from "../../src/rpc/generated/flotilla-v1.ts";
import { VirtualClock } from "../support/virtual-clock.ts";
import { FakeCluster } from "./fake-cluster.ts";

const LONGEST = 242;

function setUp(): { time: VirtualClock; cluster: FakeCluster; client: Client } {
  const time = new VirtualClock();
  const cluster = new FakeCluster(time.root);
  cluster.addTopic("t", 1);
  const client = createClient({
    bootstrap: cluster.bootstrap,
    connector: cluster.connector,
    clock: time.fork(),
    random: seededRandom(1),
  });
  return { time, cluster, client };
}

describe("producer names", () => {
  test("the longest one: brokers take it for every class of sends", async () => {
    const { time, cluster, client } = setUp();
    const lengths: number[] = [];
    cluster.handlers.set("OpenProducer", (_, request: OpenProducerRequest) => {
      lengths.push(request.name.length);
      return cluster.producers.open(request);
    });
    const producer = client.producer({ name: "n".repeat(LONGEST) });
    const classes = (["all", "leader", "none"] as const).flatMap((acks): SendOptions[] => [
      { acks },
      { acks, flush: "sync" },
      { acks, flush: "async" },
    ]);
    for (const one of classes) await time.until(producer.send({ topic: "t", value: "v" }, one));
    expect(lengths).toHaveLength(classes.length);
    expect(Math.max(...lengths)).toBe(PRODUCER_NAME_CHARACTERS_MAX);
  });

  test("a longer one is refused at once, not by the first send of a class that makes it too long", () => {
    const { client } = setUp();
    expect(() => client.producer({ name: "n".repeat(LONGEST + 1) })).toThrowError(
      expect.objectContaining({
        reason: "INVALID_REQUEST",
        fields: { field: "name", limit: LONGEST },
      }),
    );
  });
});
