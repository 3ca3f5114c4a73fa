// Who may come in: counts the connections of a listener, the streams of each and what they hold in memory, and refuses what
// is too much with OVERLOADED before grpc-js sees it. Without it a client above HTTP/2's own limit would just wait, and
// everybody could fill the broker's memory. Called by the server for every connection and stream.
import type { IncomingHttpHeaders, ServerHttp2Session, ServerHttp2Stream } from "node:http2";
import type { Cancel, Clock } from "../base/clock.ts";
import { BrokerError } from "../model/errors.ts";
import { CONNECTION_BYTES, type MemoryBudget, STREAM_BYTES } from "../model/memory-budget.ts";
import { ClientConnection } from "./client-connection.ts";
import { TRANSPORT_MESSAGE_BYTES_MAX } from "./message-size.ts";
import { answerRefused, StreamMeter } from "./stream-meter.ts";

export interface AdmissionLimits {
  /** Calls in flight per connection, inclusive. */
  readonly streamsPerConnectionMax: number;
  /** Open connections, inclusive. Further ones are refused on their first call, and cut at once from twice as many on. */
  readonly connectionsMax: number;
}

export interface AdmissionParts {
  readonly limits: AdmissionLimits;
  /** Of each stream: so much may still come after we ended it. */
  readonly windowBytes: number;
  readonly budget: MemoryBudget;
  readonly clock: Clock;
  /** A new connection. */
  readonly onConnection: (connection: ClientConnection) => void;
  /** A call was refused or broken off before a handler could. */
  readonly onRefused: (path: string, error: BrokerError) => void;
}

/** So long a connection above the limit may stay, to make its first call and hear the reason. */
const SURPLUS_CONNECTION_MS = 5000;

export class Admission {
  readonly #parts: AdmissionParts;
  readonly #connections = new Map<ServerHttp2Session, ClientConnection>();
  readonly #meters = new WeakMap<ServerHttp2Stream, StreamMeter>();
  readonly #surplus = new WeakMap<ClientConnection, BrokerError>();
  readonly #tooManyCalls: BrokerError;

  constructor(parts: AdmissionParts) {
    this.#parts = parts;
    const max = parts.limits.streamsPerConnectionMax;
    this.#tooManyCalls = overloaded(
      "too many calls on one connection",
      "streamsPerConnection",
      max,
    );
  }

  get connectionCount(): number {
    return this.#connections.size;
  }

  get connections(): Iterable<ClientConnection> {
    return this.#connections.values();
  }

  sessionOpened(session: ServerHttp2Session): void {
    const { budget, clock, limits } = this.#parts;
    const connection = new ClientConnection(session, budget, clock);
    this.#connections.set(session, connection);
    this.#parts.onConnection(connection);
    let cancelTimer: Cancel | undefined;
    session.once("close", () => {
      cancelTimer?.();
      this.#connections.delete(session);
      connection.close();
    });
    const isTooMany = this.#connections.size > limits.connectionsMax;
    if (!isTooMany && connection.account.tryTake("connections", CONNECTION_BYTES)) return;
    // Never at once: Node passes on what the socket had read already in its next tick, and would end the process there.
    const stayMs = this.#connections.size > limits.connectionsMax * 2 ? 0 : SURPLUS_CONNECTION_MS;
    const error = isTooMany
      ? overloaded("too many connections", "connections", limits.connectionsMax)
      : budget.refusal("connections");
    this.#surplus.set(connection, error);
    cancelTimer = clock.schedule(stayMs, () => session.destroy());
  }

  /** Breaks off every connection. (grpc-js's forceShutdown forgets them while channelz is off.) */
  destroySessions(): void {
    for (const session of this.#connections.keys()) session.destroy();
  }

  /** True when grpc-js may have the stream; otherwise it was answered here. */
  admits(stream: ServerHttp2Stream, headers: IncomingHttpHeaders): boolean {
    // Its session may have failed before we hear of it; nobody else listens yet, and grpc-js listens once.
    stream.on("error", () => undefined);
    const path = headers[":path"] ?? "";
    const connection = stream.session === undefined ? undefined : this.#connectionOf(stream);
    if (connection === undefined) {
      stream.close();
      return false;
    }
    const refusal = this.#refusalOf(connection, headers);
    if (refusal !== undefined) {
      this.#parts.onRefused(path, refusal);
      answerRefused(stream, refusal, this.#parts.clock);
      connection.brokenOff(this.#parts.windowBytes);
      return false;
    }
    this.#entered(stream, path, connection, isCompressed(headers));
    return true;
  }

  /** Undefined for streams that were not admitted here. */
  meterOf(stream: ServerHttp2Stream | undefined): StreamMeter | undefined {
    return stream === undefined ? undefined : this.#meters.get(stream);
  }

  #connectionOf(stream: ServerHttp2Stream): ClientConnection | undefined {
    const { session } = stream;
    return this.#connections.get(session as ServerHttp2Session);
  }

  #refusalOf(connection: ClientConnection, headers: IncomingHttpHeaders): BrokerError | undefined {
    const { budget, limits } = this.#parts;
    const surplus = this.#surplus.get(connection);
    if (surplus !== undefined) return surplus;
    if (connection.streams.size >= limits.streamsPerConnectionMax) return this.#tooManyCalls;
    if (!connection.account.tryTake("streams", STREAM_BYTES)) return budget.refusal("streams");
    // What a compressed message becomes is not known before it is there.
    if (!isCompressed(headers)) return undefined;
    if (connection.account.tryTake("receive", TRANSPORT_MESSAGE_BYTES_MAX)) return undefined;
    connection.account.give("streams", STREAM_BYTES);
    return budget.refusal("receive");
  }

  #entered(
    stream: ServerHttp2Stream,
    path: string,
    connection: ClientConnection,
    isInflated: boolean,
  ): void {
    const { budget, clock, onRefused, windowBytes } = this.#parts;
    const { account } = connection;
    const inflatedBytes = isInflated ? TRANSPORT_MESSAGE_BYTES_MAX : 0;
    const meter = new StreamMeter(stream, {
      account,
      budget,
      clock,
      onRefused: (error) => onRefused(path, error),
    });
    this.#meters.set(stream, meter);
    connection.opened(meter);
    stream.once("close", () => {
      connection.closed(meter, stream.rstCode);
      if (!stream.readableEnded) connection.brokenOff(windowBytes);
      account.give("streams", STREAM_BYTES);
      account.give("receive", inflatedBytes);
    });
  }
}

function isCompressed(headers: IncomingHttpHeaders): boolean {
  const encoding = headers["grpc-encoding"];
  return encoding !== undefined && encoding !== "identity";
}

function overloaded(message: string, limit: string, max: number): BrokerError {
  return new BrokerError("OVERLOADED", message, { limit, max });
}
