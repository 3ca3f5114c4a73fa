// A gRPC listener: the production ServiceRegistry. Opened by the broker once for clients and once for its peers.
// It turns bytes into messages and errors into typed statuses, counts calls and connections, and knows no service.
import type { EventEmitter } from "node:events";
import {
  Metadata,
  Server,
  ServerCredentials,
  type ServerDuplexStream,
  type ServerUnaryCall,
  type ServerWritableStream,
  type sendUnaryData,
} from "@grpc/grpc-js";
import { type Clock, systemClock } from "../base/clock.ts";
import { type BrokerError, isBrokerError } from "../model/errors.ts";
import { CONNECTIONS_MAX, STREAMS_PER_CONNECTION_MAX } from "../model/limits.ts";
import { defaultMemoryBudget, MemoryBudget } from "../model/memory-budget.ts";
import { Admission, type AdmissionLimits } from "./admission.ts";
import { type CallObserver, noCallObserver } from "./call-observer.ts";
import { ConnectionGuard, cutError } from "./connection-guard.ts";
import { checkedMessage, TRANSPORT_MESSAGE_BYTES_MAX } from "./message-size.ts";
import type {
  CallContext,
  Method,
  ServerStreamHandler,
  ServiceRegistry,
  StreamHandler,
  UnaryHandler,
} from "./ports.ts";
import { serviceErrorOf } from "./server-error.ts";
import { internalError, ServerStream } from "./server-stream.ts";
import { openServerWindows } from "./server-window.ts";
import { type StreamMeter, streamOf } from "./stream-meter.ts";

export interface GrpcServerOptions {
  /** Address to listen on, e.g. "127.0.0.1" or "::". */
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  /** Registers the handlers; called once, before listening. */
  readonly services: (registry: ServiceRegistry) => void;
  /** Adds ready-made services of grpc-js packages: health, reflection. */
  readonly extensions?: readonly ServerExtension[];
  /**
   * Told of everything a handler threw that is not a BrokerError; the client gets INTERNAL. The owner must stop the
   * process when it is an AssertionFailure.
   */
  readonly onDefect: (error: unknown) => void;
  /** Default: plain text. */
  readonly credentials?: ServerCredentials;
  readonly clock?: Clock;
  readonly calls?: CallObserver;
  /** Default: STREAMS_PER_CONNECTION_MAX and CONNECTIONS_MAX. */
  readonly limits?: Partial<AdmissionLimits>;
  /** HTTP/2 window for what we receive, per stream; a connection gets twice as much. Default 4 MiB, less in a small budget. */
  readonly receiveWindowBytes?: number;
  /** What clients of this listener may make it hold. Default: that of a large machine. */
  readonly memory?: MemoryBudget;
}

export interface ServerExtension {
  addToServer(server: Server): void;
}

export interface GrpcServer {
  /** Where it listens. */
  readonly port: number;
  readonly connectionCount: number;
  /** Accepts nothing more, lets calls end for so long, then breaks them off. Idempotent. */
  close(graceMs: number): Promise<void>;
}

const RECEIVE_WINDOW_BYTES_MAX = 4 * 1024 * 1024;
const RECEIVE_WINDOW_BYTES_MIN = 256 * 1024;
/** A window is this part of the budget: clients may fill it before we can refuse anything. */
const RECEIVE_WINDOWS = 512;

/** @throws Error when the address cannot be bound, or grpc-js hides its windows (rpc/server-window) */
export async function openGrpcServer(options: GrpcServerOptions): Promise<GrpcServer> {
  const clock = options.clock ?? systemClock;
  const limits: AdmissionLimits = {
    streamsPerConnectionMax: STREAMS_PER_CONNECTION_MAX,
    connectionsMax: CONNECTIONS_MAX,
    ...options.limits,
  };
  const server = new Server({
    "grpc.enable_channelz": 0,
    // Above our own limit, so that we can answer with a reason; a flood is stopped by HTTP/2 itself.
    "grpc.max_concurrent_streams": limits.streamsPerConnectionMax * 2,
    "grpc.max_receive_message_length": TRANSPORT_MESSAGE_BYTES_MAX,
    "grpc.max_send_message_length": TRANSPORT_MESSAGE_BYTES_MAX,
    "grpc.keepalive_time_ms": 30_000,
    "grpc.keepalive_timeout_ms": 10_000,
  });
  const calls = options.calls ?? noCallObserver;
  const budget = options.memory ?? new MemoryBudget(defaultMemoryBudget(Number.MAX_SAFE_INTEGER));
  const paths = new Set<string>();
  const windowBytes = options.receiveWindowBytes ?? receiveWindow(budget);
  const guard = new ConnectionGuard({
    clock,
    budget,
    connections: () => admission.connections,
    connectionsMax: limits.connectionsMax,
    onCut: (cause) => calls.refused(UNKNOWN_PATH, cutError(cause)),
  });
  const admission: Admission = new Admission({
    limits,
    windowBytes,
    onConnection: (connection) => guard.watch(connection),
    budget,
    clock,
    onRefused: (path, error) => calls.refused(paths.has(path) ? path : UNKNOWN_PATH, error),
  });
  const hook = openServerWindows(
    server,
    {
      windowBytes,
      socketsMax: limits.connectionsMax * 2 + 1,
      clock,
    },
    {
      onSession: (session) => admission.sessionOpened(session),
      onStream: (stream, headers) => admission.admits(stream, headers),
    },
  );
  options.services(
    new GrpcRegistry({ server, admission, calls, clock, paths, onDefect: options.onDefect }),
  );
  for (const extension of options.extensions ?? []) extension.addToServer(server);
  const port = await bind(server, options);
  hook.assertInstalled();
  guard.start();
  let closing: Promise<void> | undefined;
  return {
    port,
    get connectionCount() {
      return admission.connectionCount;
    },
    close(graceMs) {
      guard.close();
      closing ??= shutDown(server, admission, clock, graceMs);
      return closing;
    },
  };
}

/** Label of what belongs to no method: a connection, or a path that does not exist. */
const UNKNOWN_PATH = "none";

function receiveWindow({ bytes }: MemoryBudget): number {
  const part = Math.floor(bytes / RECEIVE_WINDOWS);
  return Math.min(Math.max(part, RECEIVE_WINDOW_BYTES_MIN), RECEIVE_WINDOW_BYTES_MAX);
}

function bind(server: Server, options: GrpcServerOptions): Promise<number> {
  const host = options.host.includes(":") ? `[${options.host}]` : options.host;
  return new Promise((resolve, reject) => {
    server.bindAsync(
      `${host}:${options.port}`,
      options.credentials ?? ServerCredentials.createInsecure(),
      (error, port) => {
        if (error === null) resolve(port);
        else reject(error);
      },
    );
  });
}

function shutDown(
  server: Server,
  admission: Admission,
  clock: Clock,
  graceMs: number,
): Promise<void> {
  return new Promise((resolve) => {
    const cancel = clock.schedule(graceMs, () => {
      server.forceShutdown();
      admission.destroySessions();
    });
    server.tryShutdown(() => {
      cancel();
      resolve();
    });
  });
}

interface RegistryParts {
  readonly server: Server;
  readonly admission: Admission;
  readonly calls: CallObserver;
  readonly clock: Clock;
  /** Filled with the paths of all methods. */
  readonly paths: Set<string>;
  readonly onDefect: (error: unknown) => void;
}

class GrpcRegistry implements ServiceRegistry {
  readonly #server: Server;
  readonly #admission: Admission;
  readonly #calls: CallObserver;
  readonly #clock: Clock;
  readonly #paths: Set<string>;
  readonly #onDefect: (error: unknown) => void;

  constructor(parts: RegistryParts) {
    this.#paths = parts.paths;
    this.#server = parts.server;
    this.#admission = parts.admission;
    this.#calls = parts.calls;
    this.#clock = parts.clock;
    this.#onDefect = parts.onDefect;
  }

  unary<Request, Response>(
    method: Method<Request, Response, "unary">,
    handler: UnaryHandler<Request, Response>,
  ): void {
    const handle = (
      call: ServerUnaryCall<Buffer, Buffer>,
      respond: sendUnaryData<Buffer>,
    ): void => {
      this.#calls.started(method.path);
      const meter = this.#admission.meterOf(streamOf(call));
      void this.#runUnary(method, handler, call, meter).then((answer) => {
        meter?.handled();
        this.#calls.ended(method.path, Buffer.isBuffer(answer) ? undefined : answer);
        if (Buffer.isBuffer(answer)) respond(null, answer);
        else respond(serviceErrorOf(answer));
      });
    };
    this.#paths.add(method.path);
    this.#server.register(method.path, handle, identity, identity, "unary");
  }

  bidi<Request, Response>(
    method: Method<Request, Response, "bidi">,
    handler: StreamHandler<Request, Response>,
  ): void {
    const handle = (call: ServerDuplexStream<Buffer, Buffer>): void => {
      const meter = this.#entered(call, method.path);
      const stream = new ServerStream<Response, Request>(call, {
        meter,
        encode: method.codec.encodeResponse,
        decode: method.codec.decodeRequest,
        onDefect: this.#onDefect,
        clock: this.#clock,
      });
      call.once("cancelled", () => this.#calls.ended(method.path, stream.failure));
      stream.guard(() => handler(stream, new GrpcCallContext(call, this.#clock)));
      stream.start();
    };
    this.#paths.add(method.path);
    this.#server.register(method.path, handle, identity, identity, "bidi");
  }

  serverStream<Request, Response>(
    method: Method<Request, Response, "server-stream">,
    handler: ServerStreamHandler<Request, Response>,
  ): void {
    const handle = (call: ServerWritableStream<Buffer, Buffer>): void => {
      const meter = this.#entered(call, method.path);
      const stream = new ServerStream<Response, never>(call, {
        meter,
        encode: method.codec.encodeResponse,
        decode: nothingToDecode,
        onDefect: this.#onDefect,
        clock: this.#clock,
      });
      call.once("cancelled", () => this.#calls.ended(method.path, stream.failure));
      stream.guard(() => {
        const request = method.codec.decodeRequest(checkedMessage(call.request));
        meter?.handled();
        handler(request, stream, new GrpcCallContext(call, this.#clock));
      });
    };
    this.#paths.add(method.path);
    this.#server.register(method.path, handle, identity, identity, "serverStream");
  }

  /** An encoded response, or the failure; never rejects. */
  async #runUnary<Request, Response>(
    method: Method<Request, Response, "unary">,
    handler: UnaryHandler<Request, Response>,
    call: ServerUnaryCall<Buffer, Buffer>,
    meter: StreamMeter | undefined,
  ): Promise<Buffer | BrokerError> {
    try {
      const request = method.codec.decodeRequest(checkedMessage(call.request));
      const response = await handler(request, new GrpcCallContext(call, this.#clock));
      const bytes = checkedMessage(method.codec.encodeResponse(response));
      const isTooMuch = meter !== undefined && !meter.tryQueue(bytes.length);
      return isTooMuch ? meter.sendRefusal() : bytes;
    } catch (error) {
      if (isBrokerError(error)) return error;
      this.#onDefect(error);
      return internalError();
    }
  }

  /** Counts a streaming call, and tells the client that the stream stands. */
  #entered(
    call: ServerDuplexStream<Buffer, Buffer> | ServerWritableStream<Buffer, Buffer>,
    path: string,
  ): StreamMeter | undefined {
    this.#calls.started(path);
    call.sendMetadata(new Metadata());
    return this.#admission.meterOf(streamOf(call));
  }
}

type AnyCall =
  | ServerUnaryCall<Buffer, Buffer>
  | ServerDuplexStream<Buffer, Buffer>
  | ServerWritableStream<Buffer, Buffer>;

class GrpcCallContext implements CallContext {
  readonly peer: string;
  readonly deadlineMs: number | undefined;
  readonly #call: AnyCall;
  #abort: AbortController | undefined;

  constructor(call: AnyCall, clock: Clock) {
    this.#call = call;
    this.peer = call.getPeer();
    const deadline = Number(call.getDeadline());
    this.deadlineMs = Number.isFinite(deadline)
      ? clock.monotonicMs() + deadline - clock.wallMs()
      : undefined;
  }

  /** Made on demand: most handlers never look at it. */
  get signal(): AbortSignal {
    if (this.#abort === undefined) {
      const abort = new AbortController();
      this.#abort = abort;
      if (this.#call.cancelled) abort.abort(new Error("the call ended"));
      else {
        const emitter: EventEmitter = this.#call;
        emitter.once("cancelled", () => abort.abort(new Error("the call ended")));
      }
    }
    return this.#abort.signal;
  }
}

function identity(bytes: Buffer): Buffer {
  return bytes;
}

function nothingToDecode(): never {
  throw new TypeError("this stream only sends");
}
