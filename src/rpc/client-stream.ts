// The client's end of a gRPC stream as a MessageStream. Made by the connector for each streaming call.
// A normal end waits until everything was delivered. An error ends the stream at once and may overtake messages that
// were sent before it (grpc-js drops what it has not delivered yet): a protocol must not rely on last words before one.
import type { ClientDuplexStream, ClientReadableStream, StatusObject } from "@grpc/grpc-js";
import { BrokerError, isBrokerError } from "../model/errors.ts";
import { checkedMessage } from "./message-size.ts";
import type { MessageStream } from "./ports.ts";
import { readOneAhead } from "./read-ahead.ts";
import { SendBuffer } from "./send-buffer.ts";
import { errorOfStatus, STATUS, STATUS_DETAILS_KEY } from "./status.ts";

type Call = ClientDuplexStream<Buffer, Buffer> | ClientReadableStream<Buffer>;

export interface ClientStreamCodec<Out, In> {
  readonly encode: (message: Out) => Buffer;
  readonly decode: (bytes: Buffer) => In;
}

export class ClientStream<Out, In> implements MessageStream<Out, In> {
  onMessage: (message: In) => void = () => {};
  onDrain: () => void = () => {};
  onEnd: (error: BrokerError | undefined) => void = () => {};

  readonly #call: Call;
  readonly #codec: ClientStreamCodec<Out, In>;
  readonly #sendBuffer: SendBuffer;
  readonly #onClosed: () => void;
  /** Why we broke off ourselves. */
  #failure: BrokerError | undefined;
  #isHalfClosed = false;
  #hasEnded = false;

  /**
   * @param onOpen told when the server has answered with headers
   * @param onClosed told once, right before onEnd
   */
  constructor(
    call: Call,
    codec: ClientStreamCodec<Out, In>,
    onOpen: () => void,
    onClosed: () => void,
  ) {
    this.#call = call;
    this.#codec = codec;
    this.#onClosed = onClosed;
    this.#sendBuffer = new SendBuffer(
      (bytes, done) => {
        if ("write" in call) call.write(bytes, done);
      },
      () => {
        if (!this.#hasEnded) this.onDrain();
      },
    );
    readOneAhead(call);
    call.on("error", () => {}); // The status event follows and says the same.
    call.on("status", (status: StatusObject) => this.#onStatus(status));
    call.on("end", () => this.#finish(this.#failure));
    call.on("metadata", onOpen);
    call.on("data", (bytes: Buffer) => this.#onData(bytes));
  }

  send(message: Out): boolean {
    if (this.#hasEnded || this.#isHalfClosed) return false;
    return this.#sendBuffer.send(checkedMessage(this.#codec.encode(message)));
  }

  end(error?: BrokerError): void {
    if (error !== undefined) {
      this.cancel();
      return;
    }
    if (this.#hasEnded || this.#isHalfClosed) return;
    this.#isHalfClosed = true;
    if ("end" in this.#call) this.#call.end();
  }

  cancel(): void {
    this.fail(new BrokerError("CANCELLED", "the stream was cancelled here"));
  }

  /** Ends the stream at once with this error; onEnd runs in a later turn. Used by the connector, too. */
  fail(error: BrokerError): void {
    if (this.#hasEnded || this.#failure !== undefined) return;
    this.#failure = error;
    this.#call.cancel();
    queueMicrotask(() => this.#finish(error));
  }

  pause(): void {
    this.#call.pause();
  }

  resume(): void {
    this.#call.resume();
  }

  #onData(bytes: Buffer): void {
    if (this.#hasEnded || this.#failure !== undefined) return;
    let message: In;
    try {
      message = this.#codec.decode(bytes);
    } catch (error) {
      if (!isBrokerError(error)) throw error;
      this.fail(new BrokerError("INTERNAL", `malformed answer: ${error.message}`));
      return;
    }
    this.onMessage(message);
  }

  #onStatus(status: StatusObject): void {
    if (this.#failure !== undefined || status.code === STATUS.OK) return;
    this.#finish(receivedError(status, false));
  }

  #finish(error: BrokerError | undefined): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    this.#call.resume(); // Whatever is still buffered is dropped.
    this.#onClosed();
    this.onEnd(error);
  }
}

/** @param isCancelledHere otherwise a status CANCELLED without ErrorInfo means that the broker went away */
export function receivedError(
  status: Pick<StatusObject, "code" | "details" | "metadata">,
  isCancelledHere: boolean,
): BrokerError {
  const [details] = status.metadata.get(STATUS_DETAILS_KEY);
  const isBroken = status.code === STATUS.CANCELLED && !isCancelledHere;
  return errorOfStatus({
    code: isBroken ? STATUS.UNAVAILABLE : status.code,
    message: status.details,
    details: Buffer.isBuffer(details) ? details : undefined,
  });
}
