// What one message costs the dispatcher, from being read to its settlement's being confirmed, and beside it what applying
// costs the replicated state: no network, no disk, no decoding, and without the cost of making up the load.
// Run: npx tsx bench/delivery/dispatch.bench.ts
import { seededRandom } from "../../src/base/random.ts";
import type { OffsetRange } from "../../src/delivery/delivery-commands.ts";
import type { Credit, OutgoingDelivery, Settlement } from "../../src/delivery/dispatch-types.ts";
import { Dispatcher } from "../../src/delivery/dispatcher.ts";
import { SubscriptionState } from "../../src/delivery/subscription-state.ts";
import type { SubscriptionDefinition, SubscriptionMode } from "../../src/model/subscription.ts";

const MESSAGES = 1_000_000;
const ROUNDS = 4;
const BATCH = 450;
/** Settlements between two updates: what comes in during one replication at 150,000 a second. */
const PER_UPDATE = 450;

type Acks = "range" | "single" | "shuffled" | "cumulative";

interface Load {
  readonly name: string;
  readonly mode: SubscriptionMode;
  readonly consumers: number;
  readonly credit: number;
  readonly acks: Acks;
}

const LOADS: readonly Load[] = [
  {
    name: "4 consumers, acks of ranges",
    mode: "shared",
    consumers: 4,
    credit: 2000,
    acks: "range",
  },
  {
    name: "4 consumers, cumulative acks",
    mode: "shared",
    consumers: 4,
    credit: 2000,
    acks: "cumulative",
  },
  {
    name: "4 consumers, acks one by one",
    mode: "shared",
    consumers: 4,
    credit: 2000,
    acks: "single",
  },
  {
    name: "4 consumers, acks one by one, shuffled",
    mode: "shared",
    consumers: 4,
    credit: 2000,
    acks: "shuffled",
  },
  {
    name: "1000 consumers with credit 10, shuffled",
    mode: "shared",
    consumers: 1000,
    credit: 10,
    acks: "shuffled",
  },
  {
    name: "keyed, 4 consumers, shuffled",
    mode: "keyed",
    consumers: 4,
    credit: 2000,
    acks: "shuffled",
  },
  {
    name: "exclusive, acks one by one",
    mode: "exclusive",
    consumers: 4,
    credit: 2000,
    acks: "single",
  },
];

function definitionOf(mode: SubscriptionMode): SubscriptionDefinition {
  return {
    name: "bench",
    topics: { kind: "names", names: ["bench"] },
    filter: "",
    mode,
    retry: {
      attemptsMax: 16,
      delaysMs: [],
      initialMs: 1000,
      maxMs: 600_000,
      multiplierPercent: 200,
      jitterPercent: 20,
    },
    deadLetterTopic: "dlq/bench",
    onFailure: "skip",
    ackDeadlineMs: 30_000,
    start: { kind: "earliest" },
    pausedUntilMs: 0,
  };
}

/** One settlement of a message, or of a run. */
interface Ack {
  readonly consumer: number;
  readonly deliveryNumber: number;
  readonly ranges: readonly OffsetRange[];
  readonly count: number;
}

class Run {
  readonly #load: Load;
  readonly #random = seededRandom(1);
  readonly #state = new SubscriptionState({ id: "s", version: 1, createdIndex: 1, startOffset: 0 });
  readonly #dispatcher: Dispatcher<number>;
  readonly #credits: Credit[] = [];
  readonly #keys = Array.from({ length: 1000 }, (_, at) => Buffer.from(`key-${at}`));
  #acks: Ack[] = [];
  #nowMs = 1_000_000;
  #settlements = 0;
  #settled = 0;
  confirmed = 0;
  dispatchMicros = 0;
  applyMicros = 0;

  constructor(load: Load) {
    this.#load = load;
    this.#dispatcher = new Dispatcher({
      state: this.#state,
      definition: definitionOf(load.mode),
      partitionName: "bench/0",
      logStartOffset: 0,
      highWatermark: MESSAGES,
      nowMs: this.#nowMs,
    });
    for (let key = 0; key < load.consumers; key += 1) {
      const credit = { messages: load.credit, bytes: Number.MAX_SAFE_INTEGER };
      this.#credits.push(credit);
      this.#dispatcher.addConsumer(key, { id: `c${key}`, reportsBegun: true, credit }, this.#nowMs);
      this.#dispatcher.resume(key, [], this.#nowMs);
    }
  }

  all(): void {
    const dispatcher = this.#dispatcher;
    while (this.#state.cursor < MESSAGES) {
      this.#nowMs += 3;
      const from = cpuMicros();
      const { deliveries, confirmed } = dispatcher.takeOutput(this.#nowMs, 0.5);
      const request = dispatcher.nextRead(this.#nowMs);
      this.dispatchMicros += cpuMicros() - from;
      for (const { numbers } of confirmed) this.confirmed += numbers.length;
      for (const delivery of deliveries) this.#work(delivery);
      if (request?.kind === "run") this.#read(request.from);
      this.#settle();
      this.#replicate();
    }
  }

  #replicate(): void {
    const started = cpuMicros();
    const update = this.#dispatcher.takeUpdate(this.#nowMs);
    const taken = cpuMicros();
    this.dispatchMicros += taken - started;
    if (update === undefined) return;
    this.#state.update(update, MESSAGES);
    const applied = cpuMicros();
    this.applyMicros += applied - taken;
    this.#dispatcher.updateApplied(this.#nowMs);
    this.dispatchMicros += cpuMicros() - applied;
  }

  #read(from: number): void {
    const first = Math.floor(from / BATCH) * BATCH;
    const batches = Array.from({ length: 8 }, (_, at) => first + at * BATCH)
      .filter((baseOffset) => baseOffset < MESSAGES)
      .map((baseOffset) => {
        const endOffset = Math.min(MESSAGES, baseOffset + BATCH);
        const records = endOffset - baseOffset;
        const keys =
          this.#load.mode === "shared"
            ? undefined
            : Array.from({ length: records }, (_, at) => this.#keys[(baseOffset + at) % 1000]);
        const bytes = records * 140;
        return { handle: baseOffset, baseOffset, endOffset, bytes, unwanted: [], keys };
      });
    const started = cpuMicros();
    this.#dispatcher.onRead(batches, this.#nowMs);
    this.dispatchMicros += cpuMicros() - started;
  }

  #work({ consumer, number, ranges }: OutgoingDelivery<number>): void {
    const { acks } = this.#load;
    for (const [from, to] of ranges) {
      if (acks === "range" || acks === "cumulative") {
        const range: OffsetRange = [from, to];
        this.#acks.push({ consumer, deliveryNumber: number, ranges: [range], count: to - from });
        continue;
      }
      for (let offset = from; offset < to; offset += 1) {
        const range: OffsetRange = [offset, offset + 1];
        this.#acks.push({ consumer, deliveryNumber: number, ranges: [range], count: 1 });
      }
    }
  }

  #settle(): void {
    const acks = this.#acks;
    const settlements: (Settlement & { readonly consumer: number; readonly count: number })[] = [];
    for (let count = 0; count < PER_UPDATE && acks.length > this.#settled; ) {
      if (this.#load.acks === "shuffled") this.#swap(acks);
      const ack = acks[this.#settled];
      if (ack === undefined) break;
      this.#settled += 1;
      this.#settlements += 1;
      count += ack.count;
      const isCumulative = this.#load.acks === "cumulative";
      const rest = { kind: "ack" as const, isCumulative, retryAtMs: 0, error: "" };
      settlements.push({ number: this.#settlements, ...rest, ...ack });
    }
    const started = cpuMicros();
    for (const settlement of settlements) {
      this.#dispatcher.settle(settlement.consumer, settlement, this.#nowMs, 0.5);
      const credit = this.#credits[settlement.consumer];
      if (credit === undefined) continue;
      credit.messages += settlement.count;
      this.#dispatcher.creditAdded(settlement.consumer);
    }
    this.dispatchMicros += cpuMicros() - started;
    if (this.#settled < 100_000) return;
    this.#acks = acks.slice(this.#settled);
    this.#settled = 0;
  }

  #swap(acks: Ack[]): void {
    const other = this.#random.integer(this.#settled, acks.length);
    const [a, b] = [acks[this.#settled], acks[other]];
    if (a === undefined || b === undefined) return;
    acks[this.#settled] = b;
    acks[other] = a;
  }
}

function cpuMicros(): number {
  const { user, system } = process.cpuUsage();
  return user + system;
}

function nanos(micros: number): string {
  return String(Math.round((micros * 1000) / MESSAGES)).padStart(5);
}

process.stdout.write(`${" ".repeat(42)} ns of CPU per message: dispatcher, replicated state\n`);
for (const load of LOADS) {
  let best: Run | undefined;
  for (let round = 0; round < ROUNDS; round += 1) {
    const run = new Run(load);
    run.all();
    if (run.dispatchMicros < (best?.dispatchMicros ?? Number.POSITIVE_INFINITY)) best = run;
  }
  const { dispatchMicros = 0, applyMicros = 0, confirmed = 0 } = best ?? {};
  const figures = `${nanos(dispatchMicros)} ${nanos(applyMicros)}`;
  process.stdout.write(`${load.name.padEnd(42)} ${figures}  (${confirmed} settlements)\n`);
}
