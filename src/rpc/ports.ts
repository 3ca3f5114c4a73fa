// The seam between services and transport. gRPC (this room) and the simulator's network both implement it, so the
// brokers' services and the SDK run unchanged on either.
import type { BrokerError } from "../model/errors.ts";

/** How one method's messages become bytes. Encoders return memory that they no longer touch; decoders may return views. */
export interface MethodCodec<Request, Response> {
  readonly encodeRequest: (request: Request) => Buffer;
  readonly decodeRequest: (bytes: Buffer) => Request;
  readonly encodeResponse: (response: Response) => Buffer;
  readonly decodeResponse: (bytes: Buffer) => Response;
}

export interface Method<Request, Response, Kind extends "unary" | "bidi" | "server-stream"> {
  /** "/flotilla.v1.ProduceService/Produce" */
  readonly path: string;
  readonly kind: Kind;
  readonly codec: MethodCodec<Request, Response>;
}

/** One end of a stream, either side. Callbacks are set once, before anything arrives; none runs after onEnd. */
export interface MessageStream<Out, In> {
  /**
   * Sends a message. Returns false when the transport's buffer is above its mark: stop and wait for onDrain
   * (a message given nevertheless is still sent, unless the stream ended). The message is encoded before send() returns:
   * the memory of its byte fields is the caller's again.
   */
  send(message: Out): boolean;
  /** No more messages from this side. On the server it ends the call with status OK, or with `error`. */
  end(error?: BrokerError): void;
  /** Ends the stream at once in both directions. */
  cancel(): void;
  /** Stops and restarts delivery of incoming messages (back-pressure reaches the sender through its window). */
  pause(): void;
  resume(): void;
  onMessage: (message: In) => void;
  onDrain: () => void;
  /** The other side ended; `error` undefined after a normal end. Exactly once. */
  onEnd: (error: BrokerError | undefined) => void;
}

export interface CallContext {
  /** Identifies the connection's other end in logs. */
  readonly peer: string;
  /** Aborted when the caller gave up or the deadline passed. */
  readonly signal: AbortSignal;
  /** On the server's monotonic clock; undefined without deadline. */
  readonly deadlineMs: number | undefined;
}

export type UnaryHandler<Request, Response> = (
  request: Request,
  context: CallContext,
) => Promise<Response>;
export type StreamHandler<Request, Response> = (
  stream: MessageStream<Response, Request>,
  context: CallContext,
) => void;
/** Server streaming: one request, then messages. */
export type ServerStreamHandler<Request, Response> = (
  request: Request,
  stream: MessageStream<Response, never>,
  context: CallContext,
) => void;

/** Where services are registered: a gRPC server, or the simulator's network. */
export interface ServiceRegistry {
  unary<Request, Response>(
    method: Method<Request, Response, "unary">,
    handler: UnaryHandler<Request, Response>,
  ): void;
  bidi<Request, Response>(
    method: Method<Request, Response, "bidi">,
    handler: StreamHandler<Request, Response>,
  ): void;
  serverStream<Request, Response>(
    method: Method<Request, Response, "server-stream">,
    handler: ServerStreamHandler<Request, Response>,
  ): void;
}

export interface CallOptions {
  /** From now, ms; every unary call has one. */
  readonly timeoutMs: number;
  readonly signal?: AbortSignal;
}

/** A connection to one endpoint; reconnects by itself with a short backoff. Calls fail with BrokerError. */
export interface Connection {
  readonly endpoint: string;
  unary<Request, Response>(
    method: Method<Request, Response, "unary">,
    request: Request,
    options: CallOptions,
  ): Promise<Response>;
  bidi<Request, Response>(
    method: Method<Request, Response, "bidi">,
  ): MessageStream<Request, Response>;
  serverStream<Request, Response>(
    method: Method<Request, Response, "server-stream">,
    request: Request,
  ): MessageStream<never, Response>;
  close(): void;
}

export interface Connector {
  /**
   * @param lane connections of different lanes to one endpoint never share a transport connection
   */
  connect(endpoint: string, lane: string): Connection;
}
