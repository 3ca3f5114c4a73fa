// The client that does nothing wrong: sends at a fixed rate whatever the answers do, consumes what it sent meanwhile, reads
// everything back when the flood is over, and knows in the end what was lost. Latency counts from when a send was due.
import { type Client, createClient, type Producer } from "../../src/client/index.ts";
import { GoodConsumer } from "./good-consumer.ts";

export interface GoodOptions {
  readonly bootstrap: readonly string[];
  readonly topic: string;
  /** Of that topic. */
  readonly subscription: string;
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
  /** Acknowledged, and never handed to the consumer. */
  readonly neverConsumed: number;
  /** Handed to it more than once: allowed, when a lease was lost. */
  readonly consumedTwice: number;
  readonly consumedP50Ms: number;
  readonly consumedP99Ms: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly worstMs: number;
  /** Changes of leaders, of all partitions: each makes sends wait that were under way. */
  readonly leaderChanges: number;
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
  #leaderChanges = 0;
  /** By partition, as receipts say it. */
  readonly #epochs = new Map<number, number>();
  #isStopping = false;
  #isClosing = false;
  #startMs = 0;
  #consumer: GoodConsumer | undefined;
  #sending: Promise<void> | undefined;
  #reading: Promise<void> | undefined;
  #reader: { close(): Promise<void> } | undefined;

  constructor(options: GoodOptions) {
    this.#options = options;
    this.#client = createClient({ bootstrap: options.bootstrap });
    this.#producer = this.#client.producer({ acks: "all", deliveryTimeoutMs: 60_000 });
  }

  start(): void {
    this.#startMs = performance.now();
    const { subscription } = this.#options;
    this.#consumer = new GoodConsumer(this.#client, subscription, (number) => this.#dueMs(number));
    this.#sending = this.#send();
  }

  /** For a line of progress. */
  get recent(): {
    readonly sent: number;
    readonly p99Ms: number;
    readonly consumedP99Ms: number;
    readonly leaderChanges: number;
  } {
    const last = sorted(this.#latenciesMs.slice(-5000));
    const consumed = sorted(this.#consumer?.latenciesMs.slice(-5000) ?? []);
    return {
      sent: this.#due,
      p99Ms: quantile(last, 0.99),
      consumedP99Ms: quantile(consumed, 0.99),
      leaderChanges: this.#leaderChanges,
    };
  }

  /** Stops sending, waits for what is open, reads to the end. */
  async finish(): Promise<GoodResult> {
    this.#isStopping = true;
    await this.#sending;
    this.#reading = this.#read();
    const endMs = performance.now() + 60_000;
    const isOpen = (): boolean => this.#open > 0 || this.#unread() > 0 || this.#unconsumed() > 0;
    while (isOpen() && performance.now() < endMs) await pause(50);
    this.#isClosing = true;
    await this.#consumer?.close();
    await this.#reader?.close();
    await this.#reading;
    await this.#client.close({ timeoutMs: 1000 });
    const latenciesMs = sorted(this.#latenciesMs);
    const consumedMs = sorted(this.#consumer?.latenciesMs ?? []);
    return {
      due: this.#due,
      acknowledged: latenciesMs.length,
      failed: this.#failed + this.#open,
      failures: this.#failures,
      lost: this.#unread(),
      readTwice: this.#readTwice,
      neverConsumed: this.#unconsumed(),
      consumedTwice: this.#count((number) => (this.#consumer?.timesTaken(number) ?? 0) > 1),
      consumedP50Ms: quantile(consumedMs, 0.5),
      consumedP99Ms: quantile(consumedMs, 0.99),
      p50Ms: quantile(latenciesMs, 0.5),
      p99Ms: quantile(latenciesMs, 0.99),
      worstMs: latenciesMs.at(-1) ?? 0,
      leaderChanges: this.#leaderChanges,
      worstStallMs: this.#worstStallMs,
    };
  }

  async #send(): Promise<void> {
    const startMs = this.#startMs;
    let lastMs = startMs;
    while (!this.#isStopping) {
      const nowMs = performance.now();
      this.#worstStallMs = Math.max(this.#worstStallMs, nowMs - lastMs - TICK_MS);
      lastMs = nowMs;
      const wanted = ((nowMs - startMs) * this.#options.rate) / 1000;
      while (this.#due < wanted) {
        this.#sendOne(this.#due);
        this.#due += 1;
      }
      await pause(TICK_MS);
    }
  }

  #dueMs(number: number): number {
    return this.#startMs + (number * 1000) / this.#options.rate;
  }

  #sendOne(number: number): void {
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
      ({ leaderEpoch, partition }) => {
        this.#open -= 1;
        this.#latenciesMs.push(performance.now() - this.#dueMs(number));
        this.#mark(number, ACKNOWLEDGED);
        this.#ledBy(partition, leaderEpoch);
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
      if (!this.#isClosing) throw error;
    }
  }

  #ledBy(partition: number, epoch: number): void {
    const last = this.#epochs.get(partition) ?? epoch;
    if (epoch > last) this.#leaderChanges += 1;
    this.#epochs.set(partition, Math.max(epoch, last));
  }

  #mark(number: number, bit: number): void {
    this.#states[number] = (this.#states[number] ?? 0) | bit;
  }

  #unread(): number {
    return this.#count((number) => this.#states[number] === ACKNOWLEDGED);
  }

  #unconsumed(): number {
    return this.#count((number) => {
      const isAcknowledged = ((this.#states[number] ?? 0) & ACKNOWLEDGED) !== 0;
      return isAcknowledged && this.#consumer?.timesTaken(number) === 0;
    });
  }

  #count(isOne: (number: number) => boolean): number {
    let count = 0;
    for (let number = 0; number < this.#due; number += 1) if (isOne(number)) count += 1;
    return count;
  }
}

function sorted(values: readonly number[]): number[] {
  return [...values].sort((left, right) => left - right);
}

/** Of ascending values; 0 when there are none. */
function quantile(ascending: readonly number[], part: number): number {
  return ascending[Math.min(ascending.length - 1, Math.floor(ascending.length * part))] ?? 0;
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms);
  });
}
