// The client that does nothing wrong: sends at a fixed rate whatever the answers do, reads everything back while it sends,
// and knows in the end what was lost. Latency counts from when a send was due.
import { type Client, createClient, type Producer } from "../../src/client/index.ts";

export interface GoodOptions {
  readonly bootstrap: readonly string[];
  readonly topic: string;
  /** Sends a second. */
  readonly rate: number;
  readonly valueBytes: number;
}

export interface GoodResult {
  readonly due: number;
  readonly acknowledged: number;
  readonly failed: number;
  readonly failures: Readonly<Record<string, number>>;
  /** Acknowledged and never read. */
  readonly lost: number;
  readonly readTwice: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly worstMs: number;
  /** Of this process itself: no measured time is better than that. */
  readonly worstStallMs: number;
}

const TICK_MS = 5;
const ACKNOWLEDGED = 1;
const READ = 2;

export class GoodClient {
  readonly #options: GoodOptions;
  readonly #client: Client;
  readonly #producer: Producer;
  /** Per send: acknowledged, read. */
  #states = new Uint8Array(1024);
  #latenciesMs: number[] = [];
  readonly #failures: Record<string, number> = {};
  #due = 0;
  #open = 0;
  #failed = 0;
  #readTwice = 0;
  #worstStallMs = 0;
  #isStopping = false;
  #sending: Promise<void> | undefined;
  #reading: Promise<void> | undefined;
  #reader: { close(): Promise<void> } | undefined;

  constructor(options: GoodOptions) {
    this.#options = options;
    this.#client = createClient({ bootstrap: options.bootstrap });
    this.#producer = this.#client.producer({ acks: "all", deliveryTimeoutMs: 60_000 });
  }

  start(): void {
    this.#reading = this.#read();
    this.#sending = this.#send();
  }

  /** For a line of progress. */
  get recent(): { readonly sent: number; readonly p99Ms: number } {
    const last = this.#latenciesMs.slice(-5000).sort((left, right) => left - right);
    return { sent: this.#due, p99Ms: quantile(last, 0.99) };
  }

  /** Stops sending, waits for what is open, reads to the end. */
  async finish(): Promise<GoodResult> {
    this.#isStopping = true;
    await this.#sending;
    const endMs = performance.now() + 60_000;
    while ((this.#open > 0 || this.#unread() > 0) && performance.now() < endMs) await pause(50);
    await this.#reader?.close();
    await this.#reading;
    await this.#client.close({ timeoutMs: 1000 });
    const sorted = this.#latenciesMs.sort((left, right) => left - right);
    return {
      due: this.#due,
      acknowledged: sorted.length,
      failed: this.#failed + this.#open,
      failures: this.#failures,
      lost: this.#unread(),
      readTwice: this.#readTwice,
      p50Ms: quantile(sorted, 0.5),
      p99Ms: quantile(sorted, 0.99),
      worstMs: sorted.at(-1) ?? 0,
      worstStallMs: this.#worstStallMs,
    };
  }

  async #send(): Promise<void> {
    const startMs = performance.now();
    let lastMs = startMs;
    while (!this.#isStopping) {
      const nowMs = performance.now();
      this.#worstStallMs = Math.max(this.#worstStallMs, nowMs - lastMs - TICK_MS);
      lastMs = nowMs;
      const wanted = ((nowMs - startMs) * this.#options.rate) / 1000;
      while (this.#due < wanted) {
        this.#sendOne(this.#due, startMs + (this.#due * 1000) / this.#options.rate);
        this.#due += 1;
      }
      await pause(TICK_MS);
    }
  }

  #sendOne(number: number, dueMs: number): void {
    if (number >= this.#states.length) {
      const grown = new Uint8Array(this.#states.length * 2);
      grown.set(this.#states);
      this.#states = grown;
    }
    const value = Buffer.alloc(this.#options.valueBytes);
    value.writeUInt32BE(number);
    this.#open += 1;
    const key = Buffer.from(`k${number % 97}`);
    this.#producer.send({ topic: this.#options.topic, key, value }).then(
      () => {
        this.#open -= 1;
        this.#latenciesMs.push(performance.now() - dueMs);
        this.#mark(number, ACKNOWLEDGED);
      },
      (error: unknown) => {
        this.#open -= 1;
        this.#failed += 1;
        const name = error instanceof Error ? error.message.slice(0, 80) : "unknown";
        this.#failures[name] = (this.#failures[name] ?? 0) + 1;
      },
    );
  }

  async #read(): Promise<void> {
    const reader = this.#client.reader({ topic: this.#options.topic, from: "earliest" });
    this.#reader = reader;
    try {
      for await (const { value } of reader) {
        if (value === undefined) continue;
        const number = Buffer.from(value).readUInt32BE(0);
        if (((this.#states[number] ?? 0) & READ) !== 0) this.#readTwice += 1;
        this.#mark(number, READ);
      }
    } catch (error) {
      if (!this.#isStopping) throw error;
    }
  }

  #mark(number: number, bit: number): void {
    this.#states[number] = (this.#states[number] ?? 0) | bit;
  }

  #unread(): number {
    let count = 0;
    for (let number = 0; number < this.#due; number += 1) {
      if (this.#states[number] === ACKNOWLEDGED) count += 1;
    }
    return count;
  }
}

/** Of ascending values; 0 when there are none. */
function quantile(sorted: readonly number[], part: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? 0;
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms);
  });
}
