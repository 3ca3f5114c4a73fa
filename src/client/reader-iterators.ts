// The two ways to iterate a reader: whole batches, or their messages one by one.
import { asFlotillaError, type FlotillaError } from "./flotilla-error.ts";
import { MessageCursor, type ReceivedBatch, type ReceivedMessage } from "./received-batch.ts";

/** Where the batches come from. */
export interface BatchSource {
  /** The next batch that is here already. The one before counts as consumed from now on. */
  take(): ReceivedBatch | undefined;
  /**
   * Waits until take() may give something.
   * @returns false at the end
   * @throws FlotillaError why the reader cannot go on
   */
  wait(): Promise<boolean>;
  close(): Promise<void>;
}

export class BatchIterator implements AsyncIterableIterator<ReceivedBatch> {
  readonly #reader: BatchSource;

  constructor(reader: BatchSource) {
    this.#reader = reader;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async next(): Promise<IteratorResult<ReceivedBatch>> {
    for (;;) {
      const batch = this.#reader.take();
      if (batch !== undefined) return { value: batch, done: false };
      if (!(await this.#reader.wait())) return { value: undefined, done: true };
    }
  }

  async return(): Promise<IteratorResult<ReceivedBatch>> {
    await this.#reader.close();
    return { value: undefined, done: true };
  }
}

export class MessageIterator implements AsyncIterableIterator<ReceivedMessage> {
  readonly #reader: BatchSource;
  #messages: MessageCursor | undefined;

  constructor(reader: BatchSource) {
    this.#reader = reader;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<IteratorResult<ReceivedMessage>> {
    const message = this.#step();
    if (message !== undefined) return Promise.resolve({ value: message, done: false });
    return this.#nextBatch();
  }

  async return(): Promise<IteratorResult<ReceivedMessage>> {
    await this.#reader.close();
    return { value: undefined, done: true };
  }

  async #nextBatch(): Promise<IteratorResult<ReceivedMessage>> {
    for (;;) {
      this.#messages = undefined;
      const batch = this.#reader.take();
      if (batch === undefined) {
        if (!(await this.#reader.wait())) return { value: undefined, done: true };
        continue;
      }
      this.#open(batch);
      const message = this.#step();
      if (message !== undefined) return { value: message, done: false };
    }
  }

  #open(batch: ReceivedBatch): void {
    try {
      this.#messages = new MessageCursor(batch);
    } catch (error) {
      throw this.#failed(error);
    }
  }

  #step(): ReceivedMessage | undefined {
    const messages = this.#messages;
    if (messages === undefined) return undefined;
    try {
      return messages.next();
    } catch (error) {
      throw this.#failed(error);
    }
  }

  /** What a producer encoded cannot be read: going on would lose it silently. */
  #failed(error: unknown): FlotillaError {
    void this.#reader.close();
    return asFlotillaError(error, "not-applied");
  }
}
