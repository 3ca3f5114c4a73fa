// One end's MessageStream of a simulated call: delivers in order, waits while it is paused, says how much its receiver has
// taken. Made by sim-pipe.ts.
import type { BrokerError } from "../../src/model/errors.ts";
import type { MessageStream } from "../../src/rpc/ports.ts";

/** What an end asks of the pipe that it belongs to. */
export interface EndActions {
  /** @returns false when the buffer towards the other side is full: wait for onDrain */
  readonly transmit: (message: unknown) => boolean;
  readonly finish: (error: BrokerError | undefined) => void;
  readonly cancel: () => void;
  /** The application took so many bytes. */
  readonly taken: (bytes: number) => void;
}

interface Waiting {
  readonly message: unknown;
  readonly bytes: number;
}

export class SimEnd implements MessageStream<unknown, unknown> {
  onMessage: (message: unknown) => void = () => undefined;
  onDrain: () => void = () => undefined;
  onEnd: (error: BrokerError | undefined) => void = () => undefined;
  readonly #actions: EndActions;
  #paused = false;
  #isEnded = false;
  #isFinished = false;
  #waiting: Waiting[] = [];
  #pendingEnd: { readonly error: BrokerError | undefined } | undefined;

  constructor(actions: EndActions) {
    this.#actions = actions;
  }

  send(message: unknown): boolean {
    if (this.#isFinished || this.#isEnded) return false;
    return this.#actions.transmit(message);
  }

  end(error?: BrokerError): void {
    if (this.#isFinished || this.#isEnded) return;
    this.#isFinished = true;
    this.#actions.finish(error);
  }

  cancel(): void {
    this.#isFinished = true;
    this.#isEnded = true;
    this.#waiting = [];
    this.#actions.cancel();
  }

  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
    while (!this.#paused) {
      const next = this.#waiting.shift();
      if (next === undefined) break;
      this.#take(next.message, next.bytes);
    }
    if (!this.#paused && this.#pendingEnd !== undefined) this.ended(this.#pendingEnd.error);
  }

  deliver(message: unknown, bytes: number): void {
    if (this.#isEnded) return;
    if (this.#paused) this.#waiting.push({ message, bytes });
    else this.#take(message, bytes);
  }

  drained(): void {
    if (!this.#isEnded && !this.#isFinished) this.onDrain();
  }

  ended(error: BrokerError | undefined): void {
    if (this.#isEnded) return;
    if (this.#paused && this.#waiting.length > 0) {
      this.#pendingEnd = { error };
      return;
    }
    this.#isEnded = true;
    this.onEnd(error);
  }

  #take(message: unknown, bytes: number): void {
    this.#actions.taken(bytes);
    this.onMessage(message);
  }
}
