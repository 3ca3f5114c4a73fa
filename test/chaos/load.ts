// Open-loop load: send n is due at a fixed time, whether or not earlier ones were answered, so that a stalled cluster is
// not spared. Everything goes into the ledger; rates and the first acknowledgements after a fault are asked for here.

import type { Random } from "../../src/base/random.ts";
import type { Client, Flush, Producer } from "../../src/client/index.ts";
import { pause } from "../support/local-cluster.ts";
import { outcomeOf, reasonOf } from "./failure.ts";
import type { Ledger } from "./ledger.ts";
import { KEY_COUNT, keyOf, valueFor } from "./payload.ts";

export interface LoadOptions {
  readonly client: Client;
  readonly ledger: Ledger;
  readonly topic: string;
  readonly random: Random;
  /** Names the producer session in the history. */
  readonly producer: string;
  /** Sends a second. */
  readonly rate: number;
  readonly deliveryTimeoutMs: number;
  /** Default: "sync". */
  readonly flush?: Flush;
}

/** The first acknowledgement, per partition, of a send that began after `sinceMs`. */
export interface FirstAck {
  readonly atMs: number;
  readonly leaderEpoch: number;
}

/** What happened to the sends that began after a moment. */
export interface Watch {
  readonly fromSend: number;
  readonly firstAcks: Map<number, FirstAck>;
  /** Of these sends so many were acknowledged. */
  acknowledged: number;
}

const TICK_MS = 2;
const BUCKET_MS = 100;
/** Sends that this process was too late for by more than this are left out: its own pauses are not the cluster's. */
const LATE_MS_MAX = 250;

export class Load {
  readonly #options: LoadOptions;
  readonly #producer: Producer;
  readonly #producerIndex: number;
  /** Acknowledgements per 100 ms since the start of the process. */
  readonly #buckets: number[] = [];
  readonly #watches = new Set<Watch>();
  #rate: number;
  /** Longest pause of this process itself while it was sending, ms. Measured times are no better than this. */
  worstStallMs = 0;
  #loop: Promise<void> | undefined;
  #isStopping = false;

  constructor(options: LoadOptions) {
    this.#options = options;
    this.#rate = options.rate;
    const { client, ledger, producer, deliveryTimeoutMs, flush = "sync" } = options;
    this.#producer = client.producer({ acks: "all", flush, deliveryTimeoutMs });
    this.#producerIndex = ledger.addProducer(producer);
  }

  start(): void {
    this.#isStopping = false;
    this.#loop ??= this.#run();
  }

  /** Begins no more sends; those under way go on. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    await this.#loop;
    this.#loop = undefined;
  }

  /** After stop(): waits until every send had its callback, then ends the producer. */
  async close(): Promise<void> {
    await this.#producer.flush();
    await this.#producer.close();
  }

  /** Waits until every send so far had its callback. */
  flush(): Promise<void> {
    return this.#producer.flush();
  }

  setRate(rate: number): void {
    this.#rate = rate;
  }

  /** Acknowledged sends a second over the last `windowMs` (a multiple of 100 ms). */
  ackRate(windowMs: number): number {
    const end = Math.floor(performance.now() / BUCKET_MS);
    let total = 0;
    for (let at = end - windowMs / BUCKET_MS; at < end; at += 1) total += this.#buckets[at] ?? 0;
    return (total * 1000) / windowMs;
  }

  /** From now on the first acknowledgement per partition of a send that has not begun yet is remembered. */
  watchFirstAcks(): ReadonlyMap<number, FirstAck> {
    this.#watches.clear();
    return this.watch().firstAcks;
  }

  /** Counts acknowledgements of sends that begin from now on, until unwatch(). */
  watch(): Watch {
    const fromSend = this.#options.ledger.sent;
    const watch: Watch = { fromSend, firstAcks: new Map(), acknowledged: 0 };
    this.#watches.add(watch);
    return watch;
  }

  unwatch(watch: Watch): void {
    this.#watches.delete(watch);
  }

  async #run(): Promise<void> {
    let lastMs = performance.now();
    let due = 0;
    while (!this.#isStopping) {
      await pause(TICK_MS);
      const nowMs = performance.now();
      const lateMs = nowMs - lastMs - TICK_MS;
      this.worstStallMs = Math.max(this.worstStallMs, lateMs);
      due += (Math.min(nowMs - lastMs, LATE_MS_MAX) * this.#rate) / 1000;
      lastMs = nowMs;
      for (; due >= 1; due -= 1) this.#sendOne(nowMs);
    }
  }

  #sendOne(nowMs: number): void {
    const { ledger, topic, random } = this.#options;
    const slot = random.integer(0, KEY_COUNT);
    const n = ledger.begin(this.#producerIndex, slot, nowMs);
    const message = { topic, key: keyOf(slot), value: valueFor(n) };
    try {
      this.#producer.sendAsync(message, (error, receipt) => {
        const atMs = performance.now();
        if (receipt === undefined) {
          ledger.fail(n, outcomeOf(error), reasonOf(error), atMs);
          return;
        }
        ledger.acknowledge(n, receipt, atMs);
        const bucket = Math.floor(atMs / BUCKET_MS);
        this.#buckets[bucket] = (this.#buckets[bucket] ?? 0) + 1;
        const { leaderEpoch, partition } = receipt;
        for (const watch of this.#watches) {
          if (n < watch.fromSend) continue;
          watch.acknowledged += 1;
          if (!watch.firstAcks.has(partition))
            watch.firstAcks.set(partition, { atMs, leaderEpoch });
        }
      });
    } catch (error) {
      ledger.fail(n, outcomeOf(error), reasonOf(error), performance.now());
    }
  }
}
