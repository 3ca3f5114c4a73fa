// A loop over a consumer. Asking for the next message acknowledges the one before; leaving the loop does not.
import { sleep } from "../base/clock.ts";
import { type Deferred, deferred } from "../base/deferred.ts";
import { ConsumerMessage } from "./consumer-message.ts";
import type { MessageSource, MessageTaker } from "./consumer-source.ts";
import { ACK, nack } from "./handler-outcome.ts";

type Result<T> = IteratorResult<ConsumerMessage<T>, undefined>;

const LEFT = "the loop was left before the message was settled";

export class ConsumerIterator<T>
  implements AsyncIterableIterator<ConsumerMessage<T>>, MessageTaker
{
  readonly #source: MessageSource<T>;
  readonly #isAutoAck: boolean;
  #inHand: ConsumerMessage<T> | undefined;
  /** The last call that is not answered yet. */
  #asked: Promise<Result<T>> | undefined;
  #news: Deferred<void> | undefined;
  #isOver = false;

  constructor(source: MessageSource<T>, isAutoAck: boolean) {
    this.#source = source;
    this.#isAutoAck = isAutoAck;
  }

  /** What is in hand counts as running with its delivery. */
  get isIdle(): boolean {
    return true;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  /** Calls that come before the one before is answered are answered in turn: each message is in hand once. */
  next(): Promise<Result<T>> {
    if (this.#asked === undefined) return this.#next();
    const next = (): Promise<Result<T>> => this.#next();
    return this.#ask(this.#asked.then(next, next));
  }

  #next(): Promise<Result<T>> {
    this.#ackInHand();
    const message = this.#take();
    if (message === undefined) return this.#ask(this.#wait());
    return ConsumerMessage.isNew(message)
      ? answer(message)
      : this.#ask(this.#giveCarefully(message));
  }

  /** A call that is not answered yet. */
  #ask(result: Promise<Result<T>>): Promise<Result<T>> {
    this.#asked = result;
    const answered = (): void => {
      if (this.#asked === result) this.#asked = undefined;
    };
    result.then(answered, answered);
    return result;
  }

  /** The loop was left: by break, return or a throw, which cannot be told apart. */
  async return(): Promise<Result<T>> {
    const message = this.#inHand;
    this.#inHand = undefined;
    this.#isOver = true;
    if (message !== undefined && this.#isAutoAck) {
      ConsumerMessage.decide(message, nack(LEFT, undefined, 0));
    }
    await this.#source.close();
    return { value: undefined, done: true };
  }

  onNews(): void {
    this.#news?.resolve();
    this.#news = undefined;
  }

  #ackInHand(): void {
    if (this.#inHand !== undefined && this.#isAutoAck) ConsumerMessage.decide(this.#inHand, ACK);
    this.#inHand = undefined;
  }

  #take(): ConsumerMessage<T> | undefined {
    if (this.#source.isEnding || this.#isOver) return undefined;
    const message = this.#source.buffer.take();
    this.#inHand = message;
    return message;
  }

  /** A message that was out before may be the one that ends processes: it is reported as begun first (consumer-run.ts). */
  async #giveCarefully(message: ConsumerMessage<T>): Promise<Result<T>> {
    this.#source.flush();
    await sleep(this.#source.deps.clock, 0);
    // It may have been lost meanwhile: then it is somebody else's.
    if (!message.isDecided) return answer(message);
    this.#ackInHand();
    return this.#wait();
  }

  async #wait(): Promise<Result<T>> {
    for (;;) {
      const { failure, isClosed, isEnding } = this.#source;
      if (failure !== undefined && !this.#isOver) {
        this.#isOver = true;
        throw failure;
      }
      if (this.#isOver || isClosed) return { value: undefined, done: true };
      if (isEnding) {
        // The loop ends when the consumer has: what follows the loop may rely on it.
        await this.#source.close();
        continue;
      }
      const message = this.#take();
      if (message !== undefined) {
        return ConsumerMessage.isNew(message) ? answer(message) : this.#giveCarefully(message);
      }
      this.#news ??= deferred<void>();
      await this.#news.promise;
    }
  }
}

function answer<T>(message: ConsumerMessage<T>): Promise<Result<T>> {
  return Promise.resolve({ value: message, done: false });
}
