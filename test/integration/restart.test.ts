// A rolling restart under load: every broker is stopped and started once in turn. No send fails, everything acknowledged
// is there once and in order, and the leaders are spread evenly again. (test/chaos does the same at a higher rate.)
import { afterEach, expect, test } from "vitest";
import { type Client, createClient, type Producer } from "../../src/client/index.ts";
import { ClusterView } from "../chaos/cluster-view.ts";
import { LocalCluster, pause } from "../support/local-cluster.ts";

const TOPIC = "restarted";
const PARTITIONS = 6;
/** Sends per turn of 10 ms: 1,000 a second. */
const SENDS_PER_TURN = 10;

let cluster: LocalCluster;
let client: Client;
let view: ClusterView;
afterEach(async () => {
  await view.close();
  await client.close({ timeoutMs: 1000 });
  await cluster.close();
});

interface Load {
  readonly failures: unknown[];
  /** Numbers by partition and offset. */
  readonly acknowledged: Map<string, number>;
  stop(): Promise<number>;
}

function startLoad(producer: Producer): Load {
  const failures: unknown[] = [];
  const acknowledged = new Map<string, number>();
  let sent = 0;
  let isStopped = false;
  const run = async (): Promise<void> => {
    while (!isStopped) {
      for (let place = 0; place < SENDS_PER_TURN; place += 1) {
        const number = sent;
        sent += 1;
        const message = { topic: TOPIC, key: `key-${number % 60}`, value: String(number) };
        producer.send(message).then(
          ({ partition, offset }) => acknowledged.set(`${partition}/${offset}`, number),
          (error: unknown) => failures.push(error),
        );
      }
      await pause(10);
    }
  };
  const running = run();
  return {
    failures,
    acknowledged,
    async stop() {
      isStopped = true;
      await running;
      await producer.flush();
      return sent;
    },
  };
}

test("rolling restart: no send fails, nothing is lost or reordered, leaders spread evenly again", async () => {
  cluster = await LocalCluster.create();
  await cluster.up();
  client = createClient({ bootstrap: cluster.bootstrap });
  view = new ClusterView(cluster, TOPIC, PARTITIONS);
  await client.admin().createTopic({ name: TOPIC, partitions: PARTITIONS });
  await view.waitInSync(20_000);
  const load = startLoad(client.producer());
  await pause(500);
  for (const { id } of cluster.nodes) {
    const acknowledgedBefore = load.acknowledged.size;
    expect(await cluster.stop(id, 40_000), cluster.logTail(id)).toBe(0);
    cluster.start(id);
    await cluster.waitHealthy(id);
    await view.waitInSync(30_000);
    // The load went on all the time.
    expect(load.acknowledged.size).toBeGreaterThan(acknowledgedBefore);
  }
  await view.waitSpread(40_000);
  const sent = await load.stop();
  expect(load.failures).toEqual([]);
  expect(load.acknowledged.size).toBe(sent);

  const last = new Map<string, number>();
  let read = 0;
  for await (const message of client.reader({ topic: TOPIC, until: "end" })) {
    const number = Number(message.value?.toString());
    const key = message.key?.toString() ?? "";
    expect(load.acknowledged.get(`${message.partition}/${message.offset}`)).toBe(number);
    expect(number).toBeGreaterThan(last.get(key) ?? -1);
    last.set(key, number);
    read += 1;
  }
  expect(read).toBe(sent);
});
