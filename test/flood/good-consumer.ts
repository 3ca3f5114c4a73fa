// The consumer that does nothing wrong: takes what the good client sent through a subscription, and acknowledges each message
// after a moment. Latency counts from when the send was due.
import type { Client, Consumer } from "../../src/client/index.ts";

export class GoodConsumer {
  readonly #consumer: Consumer;
  readonly #latenciesMs: number[] = [];
  /** Per message, how often its handler began. */
  #taken = new Uint8Array(1024);
  readonly #done: Promise<void>;
  #failure: Error | undefined;

  /** @param dueMs when a message was due, by its number */
  constructor(client: Client, subscription: string, dueMs: (number: number) => number) {
    this.#consumer = client.consumer({ subscription, unavailableTimeoutMs: 600_000 });
    const running = this.#consumer.run(
      ({ value }) => {
        if (value === undefined) return;
        const number = value.readUInt32BE(0);
        if (this.timesTaken(number) === 0)
          this.#latenciesMs.push(performance.now() - dueMs(number));
        this.#note(number);
      },
      { concurrency: 100 },
    );
    this.#done = running.catch((error: unknown) => {
      this.#failure = error instanceof Error ? error : new Error(String(error));
    });
  }

  timesTaken(number: number): number {
    return this.#taken[number] ?? 0;
  }

  get latenciesMs(): readonly number[] {
    return this.#latenciesMs;
  }

  /** @throws why it could not go on */
  async close(): Promise<void> {
    await this.#consumer.close({ timeoutMs: 5000 });
    await this.#done;
    if (this.#failure !== undefined) throw this.#failure;
  }

  #note(number: number): void {
    if (number >= this.#taken.length) {
      const grown = new Uint8Array(Math.max(this.#taken.length * 2, number + 1));
      grown.set(this.#taken);
      this.#taken = grown;
    }
    this.#taken[number] = Math.min(255, this.timesTaken(number) + 1);
  }
}
