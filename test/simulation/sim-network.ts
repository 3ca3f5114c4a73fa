// The network of a simulated cluster: a Connector per host and a ServiceRegistry per endpoint, with the messages encoded
// and decoded by the production codecs. It behaves like TCP as applications see it: in order per stream; a cut link
// holds what was sent and breaks the stream after a while; a dead process refuses; resets lose what was under way.
import { BrokerError, isBrokerError } from "../../src/model/errors.ts";
import type {
  CallOptions,
  Connection,
  Connector,
  MessageStream,
  Method,
  ServerStreamHandler,
  ServiceRegistry,
  StreamHandler,
  UnaryHandler,
} from "../../src/rpc/ports.ts";
import type { SimHost, World } from "./world.ts";

/** A stream across a cut link breaks after this long, as TCP keepalive would do. */
const BREAK_AFTER_MS = 8000;

type AnyMethod = Method<unknown, unknown, "unary" | "bidi" | "server-stream">;
interface Registered {
  readonly method: AnyMethod;
  readonly unary?: UnaryHandler<unknown, unknown>;
  readonly bidi?: StreamHandler<unknown, unknown>;
  readonly serverStream?: ServerStreamHandler<unknown, unknown>;
}

interface Listener {
  readonly host: SimHost;
  readonly generation: number;
  readonly methods: Map<string, Registered>;
}

export interface NetworkTiming {
  readonly latencyMsMin: number;
  readonly latencyMsMax: number;
}

export class SimNetwork {
  readonly world: World;
  timing: NetworkTiming = { latencyMsMin: 0.05, latencyMsMax: 1 };
  /** Directed pairs "from>to" that carry nothing. */
  readonly #cut = new Set<string>();
  readonly #listeners = new Map<string, Listener>();
  readonly #pipes = new Set<Pipe>();
  messagesHeld = 0;
  messagesLost = 0;

  constructor(world: World) {
    this.world = world;
  }

  cut(from: string, to: string): void {
    this.#cut.add(`${from}>${to}`);
  }

  heal(): void {
    this.#cut.clear();
    for (const pipe of [...this.#pipes]) pipe.release();
  }

  isCut(from: SimHost, to: SimHost): boolean {
    return this.#cut.has(`${from.name}>${to.name}`);
  }

  /** Breaks every stream between two hosts; what is under way is lost. */
  reset(a: SimHost, b: SimHost): void {
    for (const pipe of [...this.#pipes]) {
      if (pipe.connects(a, b)) pipe.break("connection reset");
    }
  }

  /** The host's process is gone: its streams break at the other ends. */
  hostDied(host: SimHost): void {
    for (const pipe of [...this.#pipes]) {
      if (pipe.touches(host)) pipe.break("connection reset by peer");
    }
  }

  /** Opens an endpoint for the host's current generation. */
  listen(endpoint: string, host: SimHost): ServiceRegistry {
    const methods = new Map<string, Registered>();
    this.#listeners.set(endpoint, { host, generation: host.generation, methods });
    const add = (entry: Registered): void => {
      methods.set(entry.method.path, entry);
    };
    return {
      unary: (method, handler) => add({ method, unary: handler } as unknown as Registered),
      bidi: (method, handler) => add({ method, bidi: handler } as unknown as Registered),
      serverStream: (method, handler) =>
        add({ method, serverStream: handler } as unknown as Registered),
    };
  }

  connector(host: SimHost): Connector {
    return { connect: (endpoint) => this.#connection(host, endpoint) };
  }

  latency(): number {
    const { latencyMsMin, latencyMsMax } = this.timing;
    return latencyMsMin + this.world.random.next() * (latencyMsMax - latencyMsMin);
  }

  find(endpoint: string): Listener | undefined {
    const listener = this.#listeners.get(endpoint);
    if (listener === undefined) return undefined;
    const { host, generation } = listener;
    return host.isUp && host.generation === generation ? listener : undefined;
  }

  #connection(from: SimHost, endpoint: string): Connection {
    const open = (method: AnyMethod): [Pipe, MessageStream<unknown, unknown>] => {
      const pipe = new Pipe(this, from, method);
      this.#pipes.add(pipe);
      pipe.onClosed = () => this.#pipes.delete(pipe);
      this.world.schedule(this.latency(), () => pipe.connect(endpoint), from);
      return [pipe, pipe.clientEnd];
    };
    return {
      endpoint,
      bidi: <Req, Res>(method: Method<Req, Res, "bidi">) =>
        open(method as unknown as AnyMethod)[1] as MessageStream<Req, Res>,
      serverStream: <Req, Res>(method: Method<Req, Res, "server-stream">, request: Req) => {
        const [, end] = open(method as unknown as AnyMethod);
        end.send(request);
        return end as MessageStream<never, Res>;
      },
      unary: <Req, Res>(method: Method<Req, Res, "unary">, request: Req, options: CallOptions) =>
        this.#unary(open, method, request, options),
      close: () => undefined,
    };
  }

  #unary<Req, Res>(
    open: (method: AnyMethod) => [Pipe, MessageStream<unknown, unknown>],
    method: Method<Req, Res, "unary">,
    request: Req,
    options: CallOptions,
  ): Promise<Res> {
    return new Promise((resolve, reject) => {
      const [pipe, end] = open(method as unknown as AnyMethod);
      const finish = (error: BrokerError | undefined, response?: Res): void => {
        cancelTimer();
        options.signal?.removeEventListener("abort", onAbort);
        if (error === undefined) resolve(response as Res);
        else reject(error);
      };
      const cancelTimer = pipe.from.clock.schedule(options.timeoutMs, () => {
        end.cancel();
        finish(new BrokerError("DEADLINE", "no answer in time"));
      });
      const onAbort = (): void => {
        end.cancel();
        finish(new BrokerError("CANCELLED", "the caller gave up"));
      };
      options.signal?.addEventListener("abort", onAbort, { once: true });
      end.onMessage = (message) => finish(undefined, message as Res);
      end.onEnd = (error) => {
        if (error !== undefined) finish(error);
      };
      end.send(request);
    });
  }
}

interface Packet {
  readonly bytes?: Buffer;
  readonly end?: { readonly error: BrokerError | undefined };
}

/** One call: two ordered directions between a client and a server. */
class Pipe {
  readonly from: SimHost;
  readonly clientEnd: SimEnd;
  onClosed: () => void = () => undefined;
  readonly #network: SimNetwork;
  readonly #method: AnyMethod;
  #to: SimHost | undefined;
  #serverEnd: SimEnd | undefined;
  #abort = new AbortController();
  #isOpen = true;
  #heldSince = 0;
  readonly #early: Packet[] = [];
  readonly #up: Direction;
  readonly #down: Direction;

  constructor(network: SimNetwork, from: SimHost, method: AnyMethod) {
    this.#network = network;
    this.from = from;
    this.#method = method;
    this.#up = new Direction();
    this.#down = new Direction();
    this.clientEnd = new SimEnd(
      (message) => this.#transmitUp({ bytes: method.codec.encodeRequest(message) }),
      () => this.#transmitUp({ end: { error: undefined } }),
      () => this.break("cancelled", true),
    );
  }

  touches(host: SimHost): boolean {
    return this.from === host || this.#to === host;
  }

  connects(a: SimHost, b: SimHost): boolean {
    return this.touches(a) && this.touches(b);
  }

  connect(endpoint: string): void {
    if (!this.#isOpen) return;
    const listener = this.#network.find(endpoint);
    if (listener === undefined) {
      this.#failClient(new BrokerError("UNREACHABLE", `${endpoint} refused`, { refused: true }));
      return;
    }
    this.#to = listener.host;
    const registered = listener.methods.get(this.#method.path);
    if (registered === undefined) {
      this.#failClient(new BrokerError("UNSUPPORTED_VERSION", `no method ${this.#method.path}`));
      return;
    }
    this.#serverEnd = new SimEnd(
      (message) => this.#transmitDown({ bytes: this.#method.codec.encodeResponse(message) }),
      (error) => this.#transmitDown({ end: { error } }),
      () => this.break("cancelled by server"),
    );
    this.#serve(registered, this.#serverEnd);
    for (const packet of this.#early.splice(0)) this.#transmitUp(packet);
  }

  /** Both ends see the stream fail; what is under way is lost. */
  break(why: string, byClient = false): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.onClosed();
    this.#network.messagesLost += this.#up.held.length + this.#down.held.length;
    this.#abort.abort(new Error(why));
    const error = new BrokerError("UNREACHABLE", why);
    const server = this.#serverEnd;
    const to = this.#to;
    if (server !== undefined && to !== undefined) {
      this.#network.world.schedule(this.#network.latency(), () => server.ended(error), to);
    }
    if (byClient) return;
    const { clientEnd } = this;
    this.#network.world.schedule(this.#network.latency(), () => clientEnd.ended(error), this.from);
  }

  /** The network was healed: what waited goes on its way. */
  release(): void {
    for (const packet of this.#up.held.splice(0)) this.#transmitUp(packet);
    for (const packet of this.#down.held.splice(0)) this.#transmitDown(packet);
  }

  #failClient(error: BrokerError): void {
    this.#isOpen = false;
    this.onClosed();
    const { clientEnd } = this;
    this.#network.world.schedule(this.#network.latency(), () => clientEnd.ended(error), this.from);
  }

  #serve(registered: Registered, end: SimEnd): void {
    const context = { peer: this.from.name, signal: this.#abort.signal, deadlineMs: undefined };
    if (registered.bidi !== undefined) {
      registered.bidi(end as MessageStream<unknown, unknown>, context);
      return;
    }
    end.onMessage = (request) => {
      end.onMessage = () => undefined;
      if (registered.serverStream !== undefined) {
        registered.serverStream(request, end as MessageStream<unknown, never>, context);
        return;
      }
      if (registered.unary === undefined) return;
      registered.unary(request, context).then(
        (response) => {
          end.send(response);
          end.end();
        },
        (error: unknown) => end.end(asBrokerError(error)),
      );
    };
  }

  #transmitUp(packet: Packet): void {
    if (!this.#isOpen) return;
    const to = this.#to;
    const end = this.#serverEnd;
    if (to === undefined || end === undefined) {
      this.#early.push(packet);
      return;
    }
    this.#carry(this.#up, packet, this.from, to, () => {
      if (packet.bytes !== undefined) {
        end.deliver(this.#method.codec.decodeRequest(Buffer.from(packet.bytes)));
      } else if (this.#method.kind === "bidi") end.ended(undefined);
    });
  }

  #transmitDown(packet: Packet): void {
    const to = this.#to;
    if (!this.#isOpen || to === undefined) return;
    this.#carry(this.#down, packet, to, this.from, () => {
      if (packet.bytes !== undefined) {
        this.clientEnd.deliver(this.#method.codec.decodeResponse(Buffer.from(packet.bytes)));
        return;
      }
      this.#isOpen = false;
      this.onClosed();
      this.#abort.abort(new Error("ended"));
      this.clientEnd.ended(packet.end?.error);
    });
  }

  #carry(
    direction: Direction,
    packet: Packet,
    from: SimHost,
    to: SimHost,
    arrive: () => void,
  ): void {
    const { world } = this.#network;
    if (this.#network.isCut(from, to) || direction.held.length > 0) {
      this.#network.messagesHeld += 1;
      direction.held.push(packet);
      this.#heldSince = world.nowMs;
      const since = this.#heldSince;
      if (direction.held.length === 1) {
        world.schedule(BREAK_AFTER_MS, () => {
          if (direction.held.length > 0 && this.#heldSince >= since)
            this.break("keepalive timeout");
        });
      }
      return;
    }
    const atMs = Math.max(world.nowMs + this.#network.latency(), direction.lastArrivalMs + 0.001);
    direction.lastArrivalMs = atMs;
    world.schedule(
      atMs - world.nowMs,
      () => {
        if (this.#isOpen) arrive();
      },
      to,
    );
  }
}

class Direction {
  lastArrivalMs = 0;
  readonly held: Packet[] = [];
}

/** One end's MessageStream. */
class SimEnd implements MessageStream<unknown, unknown> {
  onMessage: (message: unknown) => void = () => undefined;
  onDrain: () => void = () => undefined;
  onEnd: (error: BrokerError | undefined) => void = () => undefined;
  readonly #transmit: (message: unknown) => void;
  readonly #finish: (error: BrokerError | undefined) => void;
  readonly #cancel: () => void;
  #paused = false;
  #isEnded = false;
  #isFinished = false;
  readonly #waiting: unknown[] = [];
  #pendingEnd: { readonly error: BrokerError | undefined } | undefined;

  constructor(
    transmit: (message: unknown) => void,
    finish: (error: BrokerError | undefined) => void,
    cancel: () => void,
  ) {
    this.#transmit = transmit;
    this.#finish = finish;
    this.#cancel = cancel;
  }

  send(message: unknown): boolean {
    if (!this.#isFinished && !this.#isEnded) this.#transmit(message);
    return true;
  }

  end(error?: BrokerError): void {
    if (this.#isFinished || this.#isEnded) return;
    this.#isFinished = true;
    this.#finish(error);
  }

  cancel(): void {
    this.#isFinished = true;
    this.#isEnded = true;
    this.#cancel();
  }

  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
    while (!this.#paused && this.#waiting.length > 0) this.onMessage(this.#waiting.shift());
    if (!this.#paused && this.#pendingEnd !== undefined) this.ended(this.#pendingEnd.error);
  }

  deliver(message: unknown): void {
    if (this.#isEnded) return;
    if (this.#paused) this.#waiting.push(message);
    else this.onMessage(message);
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
}

function asBrokerError(error: unknown): BrokerError {
  if (isBrokerError(error)) return error;
  return new BrokerError("INTERNAL", error instanceof Error ? error.message : String(error));
}
