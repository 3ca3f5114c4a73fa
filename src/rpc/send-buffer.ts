// Counts the bytes that were given to grpc-js and not yet written to the connection, for either end of a stream.
// grpc-js counts messages (16 of them, however large), so its own mark is useless for back-pressure.

/** Above this many unwritten bytes send() answers false; a single larger message is still taken. */
export const SEND_BUFFER_BYTES = 2 * 1024 * 1024;

export class SendBuffer {
  readonly #write: (bytes: Buffer, done: () => void) => void;
  readonly #onDrain: () => void;
  #unwrittenBytes = 0;
  #isBlocked = false;

  /** @param write hands bytes on and calls `done` when they left the process or the stream broke */
  constructor(write: (bytes: Buffer, done: () => void) => void, onDrain: () => void) {
    this.#write = write;
    this.#onDrain = onDrain;
  }

  /** False: wait for onDrain, which comes when half of the mark is free again. */
  send(bytes: Buffer): boolean {
    this.#unwrittenBytes += bytes.length;
    this.#write(bytes, () => this.#written(bytes.length));
    if (this.#unwrittenBytes >= SEND_BUFFER_BYTES) this.#isBlocked = true;
    return !this.#isBlocked;
  }

  #written(count: number): void {
    this.#unwrittenBytes -= count;
    if (!this.#isBlocked || this.#unwrittenBytes > SEND_BUFFER_BYTES / 2) return;
    this.#isBlocked = false;
    this.#onDrain();
  }
}
