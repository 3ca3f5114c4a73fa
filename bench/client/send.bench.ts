// What one message costs the SDK: partitioning, encoding, batching and completion, against a connection that acknowledges
// everything in the next turn. No network and no broker. Run: npx tsx bench/client/send.bench.ts [--size 124]
import { parseArgs } from "node:util";
import { createClient, type Producer } from "../../src/client/index.ts";
import { initialLayout } from "../../src/model/slots.ts";
import type {
  LaneAck,
  ProduceRequest,
  ProduceResponse,
} from "../../src/rpc/generated/flotilla-v1.ts";
import type { Connection, Connector, MessageStream, Method } from "../../src/rpc/ports.ts";

const PARTITIONS = 6;
const KEYS = 1000;
const SECONDS = 2;
const ROUNDS = 4;

const { values } = parseArgs({ options: { size: { type: "string", default: "124" } } });
const size = Number(values.size);

/** Encodes requests as the transport does, then answers. */
class NullStream implements MessageStream<ProduceRequest, ProduceResponse> {
  onMessage: (message: ProduceResponse) => void = () => undefined;
  onDrain: () => void = () => undefined;
  onEnd: () => void = () => undefined;
  readonly #method: Method<ProduceRequest, ProduceResponse, "bidi">;
  #offset = 0;

  constructor(method: Method<ProduceRequest, ProduceResponse, "bidi">) {
    this.#method = method;
  }

  send(request: ProduceRequest): boolean {
    this.#method.codec.encodeRequest(request);
    const acks = request.batches.map(({ lane, number }): LaneAck => {
      this.#offset += 1;
      const baseOffsets = [this.#offset];
      return { lane, firstNumber: number, baseOffsets, leaderEpoch: 1, duplicate: false };
    });
    setImmediate(() => this.onMessage({ acks, refusals: [] }));
    return true;
  }

  end(): void {}
  cancel(): void {}
  pause(): void {}
  resume(): void {}
}

const layout = initialLayout(PARTITIONS);
const metadata = {
  clusterId: "bench",
  metadataIndex: 1,
  controllerId: 1,
  nextPageToken: "",
  brokers: [{ nodeId: 1, endpoint: "null:1", fenced: false, adminEndpoint: "" }],
  topics: [
    {
      name: "bench",
      topicId: "bench",
      layoutEpoch: 1,
      settings: {},
      keyHash: "murmur2/4096",
      partitions: layout.slots.map((ranges, partition) => ({
        partition,
        leaderId: 1,
        leaderEpoch: 1,
        replicas: [1],
        slotFrom: ranges.map((range) => range.from),
        slotTo: ranges.map((range) => range.to),
      })),
    },
  ],
};

const connector: Connector = {
  connect(endpoint): Connection {
    return {
      endpoint,
      unary: (method) => {
        const isMetadata = method.path.endsWith("/GetMetadata");
        const answer = isMetadata ? metadata : { producerId: 2, weakProducerId: 3, epoch: 1 };
        return Promise.resolve(answer as never);
      },
      bidi: (method) => new NullStream(method as never) as never,
      serverStream: () => {
        throw new Error("not used");
      },
      close: () => undefined,
    };
  },
};

async function measure(name: string, load: (producer: Producer) => Promise<number>): Promise<void> {
  const client = createClient({ bootstrap: ["null:1"], connector });
  const producer = client.producer();
  for (let round = 1; round <= ROUNDS; round += 1) {
    const cpu = process.cpuUsage();
    const startMs = performance.now();
    const count = await load(producer);
    await producer.flush();
    const wallMs = performance.now() - startMs;
    const { user, system } = process.cpuUsage(cpu);
    if (round < ROUNDS) continue;
    const perMessage = ((user + system) / count).toFixed(3);
    const rate = Math.round(count / wallMs);
    process.stdout.write(`${name.padEnd(28)} ${perMessage} µs CPU/message  ${rate} k messages/s\n`);
  }
  await client.close();
}

const value = Buffer.alloc(size, 7);
const keys = Array.from({ length: KEYS }, (_, i) => Buffer.from(`key-${i}`));
const textKeys = keys.map(String);
const text = value.toString();
const done = (): void => undefined;

async function callbacks(producer: Producer, send: (i: number) => void): Promise<number> {
  const endMs = performance.now() + SECONDS * 1000;
  let count = 0;
  while (performance.now() < endMs) {
    for (let i = 0; i < 256; i += 1) {
      send(count);
      count += 1;
    }
    await producer.ready();
  }
  return count;
}

process.stdout.write(`${size}-byte values, ${PARTITIONS} partitions\n`);
await measure("callback, no key", (producer) =>
  callbacks(producer, () => producer.sendAsync({ topic: "bench", value }, done)),
);
await measure("callback, key", (producer) =>
  callbacks(producer, (i) => {
    producer.sendAsync({ topic: "bench", key: keys[i % KEYS], value }, done);
  }),
);
await measure("callback, texts", (producer) =>
  callbacks(producer, (i) => {
    producer.sendAsync({ topic: "bench", key: textKeys[i % KEYS], value: text }, done);
  }),
);
await measure("promise, key", async (producer) => {
  const endMs = performance.now() + SECONDS * 1000;
  let count = 0;
  while (performance.now() < endMs) {
    const sends: Promise<unknown>[] = [];
    for (let i = 0; i < 4096; i += 1) {
      sends.push(producer.send({ topic: "bench", key: keys[count % KEYS], value }));
      count += 1;
    }
    await Promise.all(sends);
  }
  return count;
});
