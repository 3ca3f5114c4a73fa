// Reads a topic all the time while faults happen, as users do: what it is given must never go back, leave anything out, or
// be of somebody whose send failed. What it saw goes into the history.
import { type Client, FlotillaError } from "../../../src/client/index.ts";
import { pause } from "../../support/local-cluster.ts";
import { emptyRead, type PartitionRead } from "../partition-read.ts";
import { addMessage } from "../read-back.ts";
import type { HistoryTopic } from "./history.ts";

const AGAIN_MS = 500;

export class LiveReader {
  readonly #client: Client;
  readonly #topic: HistoryTopic;
  readonly #abort = new AbortController();
  #running: Promise<void> | undefined;
  #passes = 0;
  /** Why passes ended, by reason. */
  readonly ends = new Map<string, number>();

  constructor(client: Client, topic: HistoryTopic) {
    this.#client = client;
    this.#topic = topic;
  }

  get read(): number {
    return this.#topic.live.reduce((sum, { sends }) => sum + sends.length, 0);
  }

  start(): void {
    this.#running ??= this.#run();
  }

  async stop(): Promise<void> {
    this.#abort.abort();
    await this.#running;
  }

  /** A reader that ended, because its place was lost with the power, is followed by one that begins at the end. */
  async #run(): Promise<void> {
    while (!this.#abort.signal.aborted) {
      try {
        await this.#pass();
      } catch (error) {
        if (this.#abort.signal.aborted) return;
        const reason = error instanceof FlotillaError ? error.reason : String(error);
        this.ends.set(reason, (this.ends.get(reason) ?? 0) + 1);
        await pause(AGAIN_MS);
      }
    }
  }

  async #pass(): Promise<void> {
    const { live, name, partitions } = this.#topic;
    this.#passes += 1;
    const reader = `live ${name} ${this.#passes}`;
    const reads = Array.from({ length: partitions }, (_, partition): PartitionRead => {
      return { ...emptyRead(partition, performance.now()), times: [] };
    });
    live.push(...reads.map((read) => ({ ...read, reader })));
    const from = this.#passes === 1 ? "earliest" : "latest";
    const { signal } = this.#abort;
    for await (const message of this.#client.reader({ topic: name, from, signal })) {
      const read = reads[message.partition];
      if (read !== undefined) addMessage(read, message);
    }
  }
}
