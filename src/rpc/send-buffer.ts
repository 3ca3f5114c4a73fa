// Counts the bytes that were given to grpc-js and not yet written to the connection, for either end of a stream.
// grpc-js counts messages (16 of them, however large), so its own mark is useless for back-pressure.

/** Above this many unwritten bytes send() answers false; a single larger message is still taken. */
export const SEND_BUFFER_BYTES = 2 * 1024 * 1024;

/** Counts what waits in a broker's send buffers altogether. */
export interface SendMeter {
  queue(bytes: number): void;
  sent(bytes: number): void;
  /** The connection holds more than it may have now. */
  readonly isSendFull: boolean;
}

export class SendBuffer {
  readonly #write: (bytes: Buffer, done: () => void) => void;
  readonly #onDrain: () => void;
  readonly #meter: SendMeter | undefined;
  #unwrittenBytes = 0;
  #isBlocked = false;

  /** @param write hands bytes on and calls `done` when they left the process or the stream broke */
  constructor(
    write: (bytes: Buffer, done: () => void) => void,
    onDrain: () => void,
    meter?: SendMeter,
  ) {
    this.#write = write;
    this.#onDrain = onDrain;
    this.#meter = meter;
  }

  /** False: wait for onDrain, which comes when half of the mark is free again, at the latest when all is written. */
  send(bytes: Buffer): boolean {
    this.#unwrittenBytes += bytes.length;
    this.#meter?.queue(bytes.length);
    this.#write(bytes, () => this.#written(bytes.length));
    const isFull = this.#unwrittenBytes >= SEND_BUFFER_BYTES || this.#meter?.isSendFull === true;
    if (isFull && this.#unwrittenBytes > 0) this.#isBlocked = true;
    return !this.#isBlocked;
  }

  #written(count: number): void {
    this.#unwrittenBytes -= count;
    this.#meter?.sent(count);
    if (!this.#isBlocked || !this.#mayGoOn()) return;
    this.#isBlocked = false;
    this.#onDrain();
  }

  #mayGoOn(): boolean {
    if (this.#unwrittenBytes === 0) return true;
    return this.#unwrittenBytes <= SEND_BUFFER_BYTES / 2 && this.#meter?.isSendFull !== true;
  }
}
