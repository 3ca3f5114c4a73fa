// Connections over gRPC: the production Connector. Used by the SDK and between brokers.
// Every connect() gets a transport connection of its own, so that lanes never queue behind each other. A call on a
// connection that cannot be established fails soon with UNREACHABLE instead of waiting for a reconnect.
import {
  type ChannelCredentials,
  type ChannelOptions,
  Client,
  connectivityState,
  credentials,
  Metadata,
  type ServiceError,
} from "@grpc/grpc-js";
import { type Cancel, type Clock, systemClock } from "../base/clock.ts";
import { BrokerError, isBrokerError } from "../model/errors.ts";
import { ClientStream, type ClientStreamCodec, receivedError } from "./client-stream.ts";
import { EndedStream } from "./ended-stream.ts";
import { checkedMessage, TRANSPORT_MESSAGE_BYTES_MAX } from "./message-size.ts";
import type { CallOptions, Connection, Connector, MessageStream, Method } from "./ports.ts";
import { STATUS } from "./status.ts";

export interface ConnectorOptions {
  /** Default: plain text. */
  readonly credentials?: ChannelCredentials;
  readonly clock?: Clock;
  /** HTTP/2 window for what we receive, per stream and connection. Default 8 MiB. */
  readonly receiveWindowBytes?: number;
  /** A call on a connection that is not there after this time fails with UNREACHABLE. Default 2000. */
  readonly connectTimeoutMs?: number;
  /** Added to the user-agent, e.g. "flotilla-sdk/0.1.0". */
  readonly userAgent?: string;
}

const RECEIVE_WINDOW_BYTES = 8 * 1024 * 1024;
const CONNECT_TIMEOUT_MS = 2000;
/**
 * After so many timeouts without a connection another one is tried, and after twice that time the next. Slow name servers and
 * slow links get the time that they need, and a SYN is never more than half of the maximum away.
 */
const PATIENCE_TIMEOUTS = 2;
const PATIENCE_MS_MAX = 16_000;

export function grpcConnector(options: ConnectorOptions = {}): Connector {
  return {
    connect: (endpoint, lane) => new GrpcConnection(endpoint, lane, options),
  };
}

class GrpcConnection implements Connection {
  readonly endpoint: string;
  readonly #newClient: () => Client;
  readonly #clock: Clock;
  readonly #connectTimeoutMs: number;
  readonly #patienceMsMin: number;
  #client: Client;
  #clientMadeMs: number;
  /** Given up for the present one; calls may still wait for it. */
  #former: { readonly client: Client; readonly cancelClose: Cancel } | undefined;
  #patienceMs: number;
  /** Since the first call that found no connection. */
  #vainSinceMs: number | undefined;
  /** Cancel functions of the calls in flight. */
  readonly #calls = new Set<() => void>();
  #isClosed = false;

  constructor(endpoint: string, lane: string, options: ConnectorOptions) {
    this.endpoint = endpoint;
    this.#clock = options.clock ?? systemClock;
    this.#connectTimeoutMs = options.connectTimeoutMs ?? CONNECT_TIMEOUT_MS;
    const channelCredentials = options.credentials ?? credentials.createInsecure();
    this.#newClient = () => new Client(endpoint, channelCredentials, channelOptions(lane, options));
    this.#client = this.#newClient();
    this.#clientMadeMs = this.#clock.monotonicMs();
    this.#patienceMsMin = PATIENCE_TIMEOUTS * this.#connectTimeoutMs;
    this.#patienceMs = this.#patienceMsMin;
  }

  unary<Request, Response>(
    method: Method<Request, Response, "unary">,
    request: Request,
    options: CallOptions,
  ): Promise<Response> {
    return new Promise((resolve, reject) => {
      if (this.#isClosed) throw closedError();
      const bytes = checkedMessage(method.codec.encodeRequest(request));
      let abortError: BrokerError | undefined;
      const abort = (error: BrokerError): void => {
        abortError ??= error;
        call.cancel();
      };
      const onAbort = (): void => abort(new BrokerError("CANCELLED", "the caller gave up"));
      const { release } = this.#track(abort);
      const call = this.#client.makeUnaryRequest(
        method.path,
        identity,
        identity,
        bytes,
        new Metadata(),
        { deadline: this.#clock.wallMs() + options.timeoutMs },
        (status: ServiceError | null, response: Buffer | undefined) => {
          release();
          options.signal?.removeEventListener("abort", onAbort);
          if (status !== null) reject(abortError ?? receivedError(status, false));
          else resolveDecoded(method.codec.decodeResponse, response, resolve, reject);
        },
      );
      options.signal?.addEventListener("abort", onAbort, { once: true });
      if (options.signal?.aborted === true) onAbort();
    });
  }

  bidi<Request, Response>(
    method: Method<Request, Response, "bidi">,
  ): MessageStream<Request, Response> {
    if (this.#isClosed) return new EndedStream(closedError());
    const call = this.#client.makeBidiStreamRequest(
      method.path,
      identity,
      identity,
      new Metadata(),
      {},
    );
    const codec = { encode: method.codec.encodeRequest, decode: method.codec.decodeResponse };
    return this.#stream(call, codec);
  }

  serverStream<Request, Response>(
    method: Method<Request, Response, "server-stream">,
    request: Request,
  ): MessageStream<never, Response> {
    if (this.#isClosed) return new EndedStream(closedError());
    const bytes = checkedMessage(method.codec.encodeRequest(request));
    const call = this.#client.makeServerStreamRequest(
      method.path,
      identity,
      identity,
      bytes,
      new Metadata(),
      {},
    );
    return this.#stream(call, { encode: nothingToEncode, decode: method.codec.decodeResponse });
  }

  /** Calls in flight end with CANCELLED; later ones are refused with CLOSED. Idempotent. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    for (const cancel of this.#calls) cancel();
    this.#closeFormer();
    this.#client.close();
  }

  #stream<Out, In>(
    call: ConstructorParameters<typeof ClientStream<Out, In>>[0],
    codec: ClientStreamCodec<Out, In>,
  ): ClientStream<Out, In> {
    const stream: ClientStream<Out, In> = new ClientStream(
      call,
      codec,
      () => tracked.connected(),
      () => tracked.release(),
    );
    const tracked = this.#track((error) => stream.fail(error));
    return stream;
  }

  /** Registers a call for close() and, while there is no connection, for the connect timeout. */
  #track(fail: (error: BrokerError) => void): { release: () => void; connected: () => void } {
    const cancel = (): void => fail(new BrokerError("CANCELLED", "the connection was closed here"));
    this.#calls.add(cancel);
    const startedMs = this.#clock.monotonicMs();
    let wasConnected = this.#noteReady();
    const cancelTimer = wasConnected ? () => {} : this.#failUnlessConnected(fail);
    const connected = (): void => {
      cancelTimer();
      if (!wasConnected) this.#noteReady();
      wasConnected = true;
    };
    const release = (): void => {
      this.#calls.delete(cancel);
      cancelTimer();
      if (!wasConnected) this.#waitedInVain(startedMs);
    };
    return { release, connected };
  }

  #failUnlessConnected(fail: (error: BrokerError) => void): Cancel {
    const client = this.#client;
    return this.#clock.schedule(this.#connectTimeoutMs, () => {
      if (this.#isClosed || isReady(client)) return;
      fail(new BrokerError("UNREACHABLE", `no connection to ${this.endpoint} in time`));
    });
  }

  /** @returns whether there is a connection; if so, former waiting is forgotten */
  #noteReady(): boolean {
    if (!isReady(this.#client)) return false;
    this.#vainSinceMs = undefined;
    this.#patienceMs = this.#patienceMsMin;
    return true;
  }

  /**
   * grpc-js waits for TCP, and for HTTP/2's greeting, as long as the kernel does: after a cut of half a minute the next SYN may be
   * another half minute away, and a connection that dies before the greeting is not given up for a quarter of an hour.
   */
  #waitedInVain(startedMs: number): void {
    if (this.#isClosed || this.#noteReady()) return;
    this.#vainSinceMs ??= Math.max(startedMs, this.#clientMadeMs);
    if (this.#clock.monotonicMs() - this.#vainSinceMs >= this.#patienceMs) this.#connectAnew();
  }

  /**
   * What grpc-js leaves behind of the former, a socket that is still connecting, ends with the kernel's own patience; were it
   * about to dial again, it may leave one connection that nobody uses.
   */
  #connectAnew(): void {
    this.#closeFormer();
    const client = this.#client;
    const cancelClose = this.#clock.schedule(this.#connectTimeoutMs, () => this.#closeFormer());
    this.#former = { client, cancelClose };
    this.#client = this.#newClient();
    this.#clientMadeMs = this.#clock.monotonicMs();
    this.#vainSinceMs = undefined;
    const longest = Math.max(PATIENCE_MS_MAX, this.#patienceMsMin);
    this.#patienceMs = Math.min(2 * this.#patienceMs, longest);
  }

  #closeFormer(): void {
    this.#former?.cancelClose();
    this.#former?.client.close();
    this.#former = undefined;
  }
}

function isReady(client: Client): boolean {
  return client.getChannel().getConnectivityState(false) === connectivityState.READY;
}

function channelOptions(lane: string, options: ConnectorOptions): ChannelOptions {
  return {
    "grpc-node.flow_control_window": options.receiveWindowBytes ?? RECEIVE_WINDOW_BYTES,
    "grpc.use_local_subchannel_pool": 1,
    "grpc.enable_retries": 0,
    "grpc.enable_channelz": 0,
    "grpc.enable_http_proxy": 0,
    "grpc.service_config_disable_resolution": 1,
    "grpc.dns_min_time_between_resolutions_ms": 1000,
    "grpc.initial_reconnect_backoff_ms": 50,
    "grpc.max_reconnect_backoff_ms": 1000,
    "grpc.keepalive_time_ms": 10_000,
    "grpc.keepalive_timeout_ms": 5000,
    "grpc.keepalive_permit_without_calls": 1,
    "grpc.max_receive_message_length": TRANSPORT_MESSAGE_BYTES_MAX,
    "grpc.max_send_message_length": TRANSPORT_MESSAGE_BYTES_MAX,
    "grpc.primary_user_agent": [options.userAgent ?? "flotilla", `lane/${lane}`].join(" "),
  };
}

function identity(bytes: Buffer): Buffer {
  return bytes;
}

function nothingToEncode(): Buffer {
  throw new TypeError("this stream only receives");
}

function closedError(): BrokerError {
  return new BrokerError("CLOSED", "the connection was closed");
}

function resolveDecoded<Response>(
  decode: (bytes: Buffer) => Response,
  bytes: Buffer | undefined,
  resolve: (response: Response) => void,
  reject: (error: Error) => void,
): void {
  try {
    resolve(decode(bytes ?? Buffer.alloc(0)));
  } catch (error) {
    const text = isBrokerError(error) ? error.message : String(error);
    reject(new BrokerError("INTERNAL", `malformed answer: ${text}`, { status: STATUS.OK }));
  }
}
