// The server's end of a gRPC stream as a MessageStream. Made by the server for each streaming call.
// What a callback of the handler throws ends this call only: a BrokerError becomes its status, anything else INTERNAL.
import type { ServerDuplexStream, ServerWritableStream } from "@grpc/grpc-js";
import type { Clock } from "../base/clock.ts";
import { BrokerError, isBrokerError } from "../model/errors.ts";
import { checkedMessage } from "./message-size.ts";
import type { MessageStream } from "./ports.ts";
import { readOneAhead } from "./read-ahead.ts";
import { SendBuffer } from "./send-buffer.ts";
import { serviceErrorOf } from "./server-error.ts";
import { resetStream } from "./server-window.ts";
import type { StreamMeter } from "./stream-meter.ts";

type Call = ServerDuplexStream<Buffer, Buffer> | ServerWritableStream<Buffer, Buffer>;

export interface ServerStreamParts<Out, In> {
  readonly encode: (message: Out) => Buffer;
  readonly decode: (bytes: Buffer) => In;
  /** Told of what is not a BrokerError. */
  readonly onDefect: (error: unknown) => void;
  readonly clock: Clock;
  /** Undefined: nothing is counted. */
  readonly meter: StreamMeter | undefined;
}

/** The bytes in front of each gRPC message. */
const MESSAGE_PREFIX_BYTES = 5;

export class ServerStream<Out, In> implements MessageStream<Out, In> {
  onMessage: (message: In) => void = () => {};
  onDrain: () => void = () => {};
  onEnd: (error: BrokerError | undefined) => void = () => {};

  readonly #call: Call;
  readonly #parts: ServerStreamParts<Out, In>;
  readonly #sendBuffer: SendBuffer;
  /** We answered with a status (or broke off): nothing more is sent or delivered. */
  #isAnswered = false;
  #isPaused = false;
  #hasEnded = false;
  #failure: BrokerError | undefined;

  constructor(call: Call, parts: ServerStreamParts<Out, In>) {
    this.#call = call;
    this.#parts = parts;
    this.#sendBuffer = new SendBuffer(
      (bytes, done) => call.write(bytes, done),
      () => {
        if (!this.#isAnswered && !this.#hasEnded) this.guard(() => this.onDrain());
      },
      parts.meter,
    );
    if (parts.meter !== undefined) parts.meter.endCall = (error) => this.#abort(error);
    call.once("cancelled", () => this.#onCancelled());
  }

  /** Why it ended, if not well: our refusal, or CANCELLED by the client. */
  get failure(): BrokerError | undefined {
    return this.#failure;
  }

  /** Begins to deliver; called after the handler has set its callbacks. */
  start(): void {
    const call = this.#call;
    if (!("read" in call)) return;
    readOneAhead(call);
    call.once("end", () => {
      // Node reports a reset stream as ended first and as cancelled a little later.
      this.#parts.clock.defer(() => this.#finish(undefined));
    });
    call.on("data", (bytes: Buffer) => this.#onData(bytes));
    if (this.#isPaused) call.pause();
  }

  send(message: Out): boolean {
    if (this.#isAnswered || this.#call.cancelled) return false;
    return this.#sendBuffer.send(checkedMessage(this.#parts.encode(message)));
  }

  end(error?: BrokerError): void {
    if (this.#isAnswered) return;
    this.#isAnswered = true;
    this.#failure = error;
    if (error === undefined) this.#call.end();
    else this.#call.emit("error", serviceErrorOf(error));
  }

  cancel(): void {
    if (this.#call.cancelled) return;
    this.#isAnswered = true;
    if (!resetStream(this.#call)) {
      this.#call.emit("error", serviceErrorOf(new BrokerError("CANCELLED", "broken off")));
    }
  }

  pause(): void {
    this.#isPaused = true;
    if ("pause" in this.#call) this.#call.pause();
  }

  resume(): void {
    this.#isPaused = false;
    if ("resume" in this.#call) this.#call.resume();
  }

  /** Runs a callback of the handler; what it throws ends this call. */
  guard(run: () => void): void {
    try {
      run();
    } catch (error) {
      if (!isBrokerError(error)) this.#parts.onDefect(error);
      this.#abort(isBrokerError(error) ? error : internalError());
    }
  }

  #onData(bytes: Buffer): void {
    if (this.#isAnswered || this.#hasEnded) return;
    this.guard(() => this.onMessage(this.#parts.decode(checkedMessage(bytes))));
    this.#parts.meter?.handled(bytes.length + MESSAGE_PREFIX_BYTES);
  }

  /** Our own refusal: the client gets the status, the handler hears of the end. */
  #abort(error: BrokerError): void {
    this.end(error);
    this.#finish(error);
  }

  /** grpc-js reports it after every call, also after our own status. */
  #onCancelled(): void {
    const isOurs = this.#isAnswered;
    this.#isAnswered = true;
    this.#finish(isOurs ? undefined : new BrokerError("CANCELLED", "the client gave up"));
  }

  #finish(error: BrokerError | undefined): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    this.#failure ??= error;
    this.guard(() => this.onEnd(error));
  }
}

/** What a client learns of a defect: nothing but that it happened. */
export function internalError(): BrokerError {
  return new BrokerError("INTERNAL", "internal error; the broker's log has the details");
}
