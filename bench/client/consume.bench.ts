// What one message costs a consumer: decoding, handing out, settling, against a connection that always delivers and confirms
// in the next turn. No network and no broker. Run: npx tsx bench/client/consume.bench.ts [--size 124]
import { parseArgs } from "node:util";
import { type Consumer, createClient } from "../../src/client/index.ts";
import { patchBatch } from "../../src/model/record-batch.ts";
import { BatchBuilder } from "../../src/model/record-batch-builder.ts";
import type { SubscribeRequest, SubscribeResponse } from "../../src/rpc/generated/flotilla-v1.ts";
import type { Connection, Connector, MessageStream, Method } from "../../src/rpc/ports.ts";

const RECORDS = 500;
const SECONDS = 2;
const ROUNDS = 4;

const { values } = parseArgs({ options: { size: { type: "string", default: "124" } } });

function batchOf(records: number, value: Buffer): Buffer {
  const builder = new BatchBuilder();
  for (let i = 0; i < records; i += 1) {
    builder.append(`key-${i}`, value, undefined, 1);
  }
  return builder.finish();
}

const template = batchOf(RECORDS, Buffer.alloc(Number(values.size), 7));

/** Decodes requests and encodes answers as the transport does. */
class EndlessStream implements MessageStream<SubscribeRequest, SubscribeResponse> {
  onMessage: (message: SubscribeResponse) => void = () => undefined;
  onDrain: () => void = () => undefined;
  onEnd: () => void = () => undefined;
  readonly #method: Method<SubscribeRequest, SubscribeResponse, "bidi">;
  #offset = 0;
  #number = 0;
  #credit = 0;
  #settled: number[] = [];
  #isDrained = false;
  #isDue = false;

  constructor(method: Method<SubscribeRequest, SubscribeResponse, "bidi">) {
    this.#method = method;
  }

  send(request: SubscribeRequest): boolean {
    const { codec } = this.#method;
    const { creditMessages, drain, settle } = codec.decodeRequest(codec.encodeRequest(request));
    this.#credit += creditMessages;
    for (const { kind, number } of settle) if (kind !== "begun") this.#settled.push(number);
    if (drain) this.#isDrained = true;
    if (!this.#isDue) {
      this.#isDue = true;
      setImmediate(() => this.#answer());
    }
    return true;
  }

  end(): void {
    setImmediate(() => this.onEnd());
  }

  cancel(): void {}
  pause(): void {}
  resume(): void {}

  #answer(): void {
    this.#isDue = false;
    const introduction = {
      channel: 0,
      topic: "bench",
      topicId: "bench",
      partition: 0,
      leaderEpoch: 1,
      layoutEpoch: 1,
      ackDeadlineMs: 30_000,
      mode: "shared" as const,
    };
    const deliveries: SubscribeResponse["deliveries"][number][] = [];
    const isFirst = this.#number === 0;
    while (this.#credit >= RECORDS && !this.#isDrained) {
      this.#credit -= RECORDS;
      this.#number += 1;
      patchBatch(template, this.#offset, 1);
      this.#offset += RECORDS;
      const nothing = { ranges: [], messages: [], redeliveries: [], resumed: [] };
      const batch = Buffer.from(template);
      deliveries.push({ channel: 0, deliveryNumber: this.#number, batch, ...nothing });
    }
    const answer = {
      channels: isFirst ? [introduction] : [],
      deliveries,
      settled: this.#settled.splice(0),
      refusals: [],
      lost: [],
      ended: [],
      drained: this.#isDrained,
      answered: [],
    };
    const { codec } = this.#method;
    this.onMessage(codec.decodeResponse(codec.encodeResponse(answer)));
  }
}

const metadata = {
  clusterId: "bench",
  metadataIndex: 1,
  controllerId: 1,
  nextPageToken: "",
  brokers: [{ nodeId: 1, endpoint: "null:1", fenced: false, adminEndpoint: "" }],
  topics: [],
};

const connector: Connector = {
  connect(endpoint): Connection {
    return {
      endpoint,
      unary: () => Promise.resolve(metadata as never),
      bidi: (method) => new EndlessStream(method as never) as never,
      serverStream: () => {
        throw new Error("not used");
      },
      close: () => undefined,
    };
  },
};

async function measure(
  name: string,
  consume: (consumer: Consumer, count: () => void) => Promise<void>,
): Promise<void> {
  const client = createClient({ bootstrap: ["null:1"], connector });
  for (let round = 1; round <= ROUNDS; round += 1) {
    const consumer = client.consumer({ subscription: "bench", prefetch: { messages: 8000 } });
    const cpu = process.cpuUsage();
    const startMs = performance.now();
    let count = 0;
    const over = setTimeout(() => void consumer.close(), SECONDS * 1000);
    await consume(consumer, () => {
      count += 1;
    });
    clearTimeout(over);
    const wallMs = performance.now() - startMs;
    const { user, system } = process.cpuUsage(cpu);
    if (round < ROUNDS) continue;
    const perMessage = ((user + system) / count).toFixed(3);
    const rate = Math.round(count / wallMs);
    process.stdout.write(`${name.padEnd(28)} ${perMessage} µs CPU/message  ${rate} k messages/s\n`);
  }
  await client.close();
}

await measure("run, synchronous", (consumer, count) => consumer.run(count));
await measure("run, async, concurrency 100", (consumer, count) =>
  consumer.run(
    async () => {
      await Promise.resolve();
      count();
    },
    { concurrency: 100 },
  ),
);
await measure("runBatches", (consumer, count) =>
  consumer.runBatches((messages) => messages.forEach(count)),
);
await measure("for await", async (consumer, count) => {
  for await (const message of consumer) if (message.offset >= 0) count();
});
