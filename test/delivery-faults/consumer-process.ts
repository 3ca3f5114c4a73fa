// One consumer as a process of its own, which may be killed at any moment: works on messages for a while, acknowledges most
// of them, lets some fail, and tells the test of everything before it acts on it. Started by consumer-fleet.ts.
import { type Random, seededRandom } from "../../src/base/random.ts";
import { type ConsumerMessage, createClient } from "../../src/client/index.ts";
import { ConsumerRecorder, type Handled } from "../../src/testkit/index.ts";
import { Arrivals } from "../support/arrivals.ts";
import { pause } from "../support/local-cluster.ts";
import { Outbox } from "./outbox.ts";
import { keyTextOf, valueTextOf, verdictFor } from "./plan.ts";
import { type ConsumerOrder, machineMs, type Report } from "./wire.ts";

/** Written once in a while even when nobody waits for it. */
const FLUSH_EVERY_MS = 50;
/** Some messages take long: whoever is killed then has begun and not decided something. */
const SLOW_SHARE = 0.02;
const SLOW_MS = 100;

class Worker {
  readonly #order: ConsumerOrder;
  readonly #outbox: Outbox;
  readonly #scribe: ConsumerRecorder;
  readonly #random: Random;

  constructor(order: ConsumerOrder) {
    this.#order = order;
    this.#random = seededRandom(order.seed);
    this.#outbox = new Outbox(send);
    const now = (): number => machineMs() - order.zeroMs;
    const { consumer, subscription } = order;
    this.#scribe = new ConsumerRecorder(this.#outbox.sink, now, subscription, consumer);
  }

  async run(): Promise<void> {
    const { bootstrap, concurrency, consumer: consumerId, subscription } = this.#order;
    const client = createClient({
      bootstrap: [...bootstrap],
      observer: new Arrivals(this.#scribe, { key: keyTextOf, value: valueTextOf }),
    });
    const consumer = client.consumer({ subscription, consumerId });
    const stop = new AbortController();
    process.once("SIGTERM", () => stop.abort());
    const timer = setInterval(() => void this.#outbox.flushed(), FLUSH_EVERY_MS);
    send({ kind: "ready" }, () => undefined);
    // Failures are part of the plan and need no line in a log.
    const onError = (): void => undefined;
    await consumer.run((message) => this.#handle(message), {
      concurrency,
      signal: stop.signal,
      onError,
    });
    await client.close();
    clearInterval(timer);
    await this.#outbox.flushed();
  }

  async #handle(message: ConsumerMessage): Promise<void> {
    const value = valueTextOf(message.value);
    const handled = this.#scribe.begin(message, value, keyTextOf(message.key));
    if (message.signal.aborted) {
      send(
        { kind: "failed", reason: "a handler was given a message that is lost" },
        () => undefined,
      );
    }
    message.signal.addEventListener("abort", () => {
      this.#scribe.lose(handled, causeOf(message.signal.reason));
    });
    await this.#outbox.flushed();
    const workMs = this.#workMs();
    if (workMs >= 1) await pause(workMs);
    // A handler that lost its message leaves it alone.
    if (message.signal.aborted) return;
    await this.#settle(message, handled, value);
  }

  #workMs(): number {
    if (this.#random.next() < SLOW_SHARE) return SLOW_MS;
    return this.#random.next() * this.#order.workMsMax;
  }

  async #settle(message: ConsumerMessage, handled: Handled, value: string): Promise<void> {
    const verdict = verdictFor(value, message.attempt);
    this.#scribe.end(handled, verdict === "ack");
    const number = this.#scribe.ask(handled, verdict);
    await this.#outbox.flushed();
    const settled = verdict === "ack" ? message.ack() : message.nack({ error: "as planned" });
    void settled.then(
      () => this.#scribe.answer(number, "confirmed"),
      (error: unknown) => this.#scribe.answer(number, outcomeOf(error), reasonOf(error)),
    );
  }
}

function send(report: Report, done: () => void): void {
  if (process.send === undefined || !process.connected) done();
  else process.send(report, undefined, undefined, () => done());
}

/** Only STALE_DELIVERY says that the broker holds it to be somebody else's. */
function outcomeOf(error: unknown): "refused" | "unknown" {
  return reasonOf(error) === "STALE_DELIVERY" ? "refused" : "unknown";
}

function reasonOf(error: unknown): string {
  const isTyped = typeof error === "object" && error !== null && "reason" in error;
  return isTyped ? String(error.reason) : String(error);
}

/** What the broker named as the cause; "session" for what the consumer gave up by itself. */
function causeOf(reason: unknown): string {
  if (typeof reason !== "object" || reason === null || !("fields" in reason)) return "session";
  const { fields } = reason;
  const isNamed = typeof fields === "object" && fields !== null && "cause" in fields;
  return isNamed ? String(fields.cause) : "session";
}

function orderOf(text: string | undefined): ConsumerOrder {
  // Written by this test, for this file.
  return JSON.parse(text ?? "") as ConsumerOrder;
}

// The test has ended: so does this process.
process.once("disconnect", () => process.exit(0));
try {
  await new Worker(orderOf(process.argv[2])).run();
  process.disconnect();
} catch (error) {
  const reason = error instanceof Error ? (error.stack ?? error.message) : String(error);
  send({ kind: "failed", reason }, () => process.exit(1));
}
