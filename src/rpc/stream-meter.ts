// What one HTTP/2 stream of a server holds in memory: bytes that arrived and were not handled yet, bytes that its client
// has not taken yet. grpc-js puts messages together from whatever arrives, up to 17 MiB each, before any code of ours sees
// them; so what arrives is counted here, at the stream itself, by its actual size and never by the length that a client
// declares. A stream that is not given more memory is refused. Made by the admission for each stream.
import type { OutgoingHttpHeaders, ServerHttp2Stream } from "node:http2";
import type { Clock } from "../base/clock.ts";
import type { BrokerError } from "../model/errors.ts";
import type { MemoryAccount, MemoryBudget } from "../model/memory-budget.ts";
import { serviceErrorOf } from "./server-error.ts";

/** A buffer's own cost, whatever its length: a message may arrive a byte at a time. */
const CHUNK_OVERHEAD_BYTES = 192;
/** A refused stream whose client takes not even the refusal is broken off after so long. */
const LAST_WORDS_MS = 2000;
/** RFC 9113 §7. */
const HTTP2_NO_ERROR = 0;
export const HTTP2_ENHANCE_YOUR_CALM = 11;

export class StreamMeter {
  readonly #stream: ServerHttp2Stream;
  readonly #account: MemoryAccount;
  readonly #budget: MemoryBudget;
  readonly #clock: Clock;
  readonly #onRefused: (error: BrokerError) => void;
  /** How the call behind this stream is ended with an error; undefined: grpc-js has not handed a call out yet. */
  endCall: ((error: BrokerError) => void) | undefined;
  /** Bytes of the network, all of them, for the connection's account of noise. */
  receivedBytes = 0;
  #unhandledBytes = 0;
  #chargedBytes = 0;
  /** Since when something is unhandled, or undefined. */
  #unhandledSinceMs: number | undefined;
  #unsentBytes = 0;
  /** When something was given to an empty stream or left it last. */
  #sentMs = 0;
  #isOver = false;

  constructor(
    stream: ServerHttp2Stream,
    parts: {
      readonly account: MemoryAccount;
      readonly budget: MemoryBudget;
      readonly clock: Clock;
      readonly onRefused: (error: BrokerError) => void;
    },
  ) {
    this.#stream = stream;
    this.#account = parts.account;
    this.#budget = parts.budget;
    this.#clock = parts.clock;
    this.#onRefused = parts.onRefused;
    const push = stream.push.bind(stream);
    stream.push = (chunk: unknown, encoding?: BufferEncoding): boolean => {
      if (!(chunk instanceof Uint8Array)) return push(chunk, encoding);
      return this.#arrived(chunk.length) ? push(chunk, encoding) : true;
    };
  }

  get unhandledSinceMs(): number | undefined {
    return this.#unhandledSinceMs;
  }

  get unhandledBytes(): number {
    return this.#unhandledBytes;
  }

  /** Since when the client takes nothing although something waits for it; undefined when nothing does. */
  get stalledSinceMs(): number | undefined {
    return this.#unsentBytes > 0 ? this.#sentMs : undefined;
  }

  /** A message of so many bytes was handled, or all that came (a unary call was answered). */
  handled(bytes: number = this.#unhandledBytes): void {
    const count = Math.min(bytes, this.#unhandledBytes);
    if (count === 0) return;
    const isAll = count === this.#unhandledBytes;
    const charge = isAll
      ? this.#chargedBytes
      : Math.floor((this.#chargedBytes * count) / this.#unhandledBytes);
    this.#unhandledBytes -= count;
    this.#chargedBytes -= charge;
    this.#unhandledSinceMs = isAll ? undefined : this.#clock.monotonicMs();
    this.#account.give("receive", charge);
  }

  /** False when the answer does not fit: then it must not be sent. */
  tryQueue(bytes: number): boolean {
    if (this.#isOver) return true;
    if (!this.#account.tryTake("send", bytes)) return false;
    this.#queued(bytes);
    return true;
  }

  /** Why an answer does not fit. */
  sendRefusal(): BrokerError {
    return this.#budget.refusal("send");
  }

  /** For what is sent in any case. */
  queue(bytes: number): void {
    if (this.#isOver) return;
    this.#account.take("send", bytes);
    this.#queued(bytes);
  }

  /** So many bytes left the process. */
  sent(bytes: number): void {
    const count = Math.min(bytes, this.#unsentBytes);
    this.#unsentBytes -= count;
    this.#sentMs = this.#clock.monotonicMs();
    this.#account.give("send", count);
  }

  /** Whether the connection holds more unsent bytes than it may have now. */
  get isSendFull(): boolean {
    return this.#account.used("send") > this.#budget.holderLimit("send");
  }

  /** Ends the stream with a typed error, as far as its state allows one. */
  refuse(error: BrokerError): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#onRefused(error);
    const stream = this.#stream;
    this.close();
    if (stream.destroyed || stream.closed) return;
    if (this.endCall !== undefined) {
      this.endCall(error);
      this.#clock.schedule(LAST_WORDS_MS, () => {
        if (!stream.closed) stream.close(HTTP2_ENHANCE_YOUR_CALM);
      });
    } else if (!stream.headersSent) answerRefused(stream, error, this.#clock);
    else this.#clock.defer(() => stream.close(HTTP2_ENHANCE_YOUR_CALM));
  }

  /** Breaks off a client that takes nothing: no trailer would reach it. */
  cut(error: BrokerError): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#onRefused(error);
    this.close();
    if (!this.#stream.closed) this.#stream.close(HTTP2_ENHANCE_YOUR_CALM);
  }

  /** The stream ended: nothing of it is in memory any more. */
  close(): void {
    this.#isOver = true;
    this.handled();
    this.sent(this.#unsentBytes);
  }

  #queued(bytes: number): void {
    if (this.#unsentBytes === 0) this.#sentMs = this.#clock.monotonicMs();
    this.#unsentBytes += bytes;
  }

  #arrived(bytes: number): boolean {
    this.receivedBytes += bytes;
    if (this.#isOver) return false;
    const charge = bytes + CHUNK_OVERHEAD_BYTES;
    if (!this.#account.tryTake("receive", charge)) {
      this.refuse(this.#budget.refusal("receive"));
      return false;
    }
    this.#unhandledSinceMs ??= this.#clock.monotonicMs();
    this.#unhandledBytes += bytes;
    this.#chargedBytes += charge;
    return true;
  }
}

/** Of the errors that are made once and given to everybody. */
const headersByError = new WeakMap<BrokerError, OutgoingHttpHeaders>();

/** A call without a handler yet: the status in the headers, and no more of the request. */
export function answerRefused(stream: ServerHttp2Stream, error: BrokerError, clock: Clock): void {
  stream.on("error", () => undefined);
  stream.respond(headersOf(error), { endStream: true });
  // grpc-js may know the stream, and would answer the end of the request or the deadline with headers of its own.
  stream.respond = () => undefined;
  // Only after the headers have left: HTTP/2 libraries drop what waits for a stream that is being closed.
  clock.defer(() => stream.close(HTTP2_NO_ERROR));
}

/** A response without a body that says the error. */
function headersOf(error: BrokerError): OutgoingHttpHeaders {
  const known = headersByError.get(error);
  if (known !== undefined) return known;
  const { code, details, metadata } = serviceErrorOf(error);
  const headers = {
    ":status": 200,
    "content-type": "application/grpc+proto",
    "grpc-status": code,
    "grpc-message": encodeURI(details),
    ...metadata.toHttp2Headers(),
  };
  headersByError.set(error, headers);
  return headers;
}

/** The HTTP/2 stream behind a call of grpc-js 1.14; undefined when an update hides it. */
export function streamOf(call: unknown): ServerHttp2Stream | undefined {
  const { call: inner } = call as { call?: { stream?: unknown } };
  const stream = inner?.stream;
  return isHttp2Stream(stream) ? stream : undefined;
}

function isHttp2Stream(value: unknown): value is ServerHttp2Stream {
  return typeof value === "object" && value !== null && "respond" in value && "close" in value;
}
