// The network of a simulated cluster: a Connector per host and a ServiceRegistry per endpoint, with the messages encoded
// and decoded by the production codecs. It behaves like TCP as applications see it: in order per stream; a cut link
// holds what was sent and breaks the stream after a while; a dead process refuses; resets lose what was under way.
import { type Random, seededRandom } from "../../src/base/random.ts";
import { BrokerError } from "../../src/model/errors.ts";
import type { PeerEnvelope } from "../../src/rpc/generated/flotilla-internal-v1.ts";
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
import { type AnyMethod, Pipe } from "./sim-pipe.ts";
import type { SimHost, World } from "./world.ts";

export interface Registered {
  readonly method: AnyMethod;
  readonly unary?: UnaryHandler<unknown, unknown>;
  readonly bidi?: StreamHandler<unknown, unknown>;
  readonly serverStream?: ServerStreamHandler<unknown, unknown>;
}

export interface Listener {
  readonly host: SimHost;
  readonly generation: number;
  readonly methods: Map<string, Registered>;
}

export interface NetworkTiming {
  readonly latencyMsMin: number;
  readonly latencyMsMax: number;
}

/** How likely each misfortune is for a message between brokers. */
export interface PeerTroubles {
  readonly loss: number;
  readonly duplication: number;
  readonly reordering: number;
}

/** A cut or a clogged path. */
export interface Holding {
  /** How much it has held back so far. */
  readonly held: () => number;
  readonly end: () => void;
}

export type PeerFate = "arrives" | "lost" | "doubled" | "late";

export interface NetworkOptions {
  readonly timing: NetworkTiming;
  /** Bytes that a stream takes before its sender has to wait. */
  readonly bufferBytes: number;
  /** Of what the network draws. */
  readonly seed: number;
}

const NO_TROUBLES: PeerTroubles = { loss: 0, duplication: 0, reordering: 0 };
/** What is late or comes a second time is overtaken by what is sent within this time. */
const LATE_MS_MAX = 120;

export class SimNetwork {
  readonly world: World;
  readonly bufferBytes: number;
  timing: NetworkTiming;
  troubles: PeerTroubles = NO_TROUBLES;
  /** A handler threw something that is no BrokerError. */
  onDefect: (host: SimHost, error: unknown) => void = (_, error) => {
    throw error;
  };
  /** A broker hands a message for another one to its transport. */
  onPeerEnvelope: (from: SimHost, envelope: PeerEnvelope) => void = () => undefined;
  readonly #random: Random;
  /** Directed pairs "from>to" that carry nothing, and how many faults say so. */
  readonly #cuts = new Map<string, number>();
  readonly #listeners = new Map<string, Listener>();
  readonly #pipes = new Set<Pipe>();
  /** How often each misfortune came to pass. */
  readonly troubled: Record<keyof PeerTroubles, number> = {
    loss: 0,
    duplication: 0,
    reordering: 0,
  };
  messagesDelivered = 0;
  /** Messages and dials that met a cut, by directed pair "from>to". */
  readonly #heldBy = new Map<string, number>();
  streamsBroken = 0;

  constructor(world: World, options: NetworkOptions) {
    this.world = world;
    this.timing = options.timing;
    this.bufferBytes = options.bufferBytes;
    this.#random = seededRandom(options.seed);
  }

  /** Ended, what it held back goes on its way unless another cut holds it. */
  cut(links: Iterable<readonly [from: string, to: string]>): Holding {
    const names = [...links].map(([from, to]) => `${from}>${to}`);
    for (const name of names) this.#cuts.set(name, (this.#cuts.get(name) ?? 0) + 1);
    const heldOn = (): number =>
      names.reduce((sum, name) => sum + (this.#heldBy.get(name) ?? 0), 0);
    const before = heldOn();
    return {
      held: () => heldOn() - before,
      end: () => {
        for (const name of names) {
          const left = (this.#cuts.get(name) ?? 1) - 1;
          if (left === 0) this.#cuts.delete(name);
          else this.#cuts.set(name, left);
        }
        for (const pipe of [...this.#pipes]) pipe.release();
      },
    };
  }

  /** Something did not get through: counted where the link is cut. */
  heldBack(from: SimHost, to: SimHost): void {
    const name = `${from.name}>${to.name}`;
    if (this.#cuts.has(name)) this.#heldBy.set(name, (this.#heldBy.get(name) ?? 0) + 1);
  }

  isCut(from: SimHost, to: SimHost): boolean {
    return this.#cuts.size > 0 && this.#cuts.has(`${from.name}>${to.name}`);
  }

  /** Open streams between two hosts. */
  between(a: SimHost, b: SimHost): Pipe[] {
    return [...this.#pipes].filter((pipe) => pipe.isEstablished && pipe.connects(a, b));
  }

  /** The host's process is gone: its streams break at the other ends. Call it after SimHost.crash(). */
  hostDied(host: SimHost): void {
    for (const pipe of [...this.#pipes]) {
      if (pipe.touches(host)) pipe.break("connection reset by peer");
    }
  }

  /** What becomes of the next message between brokers. */
  peerFate(): PeerFate {
    const { loss, duplication, reordering } = this.troubles;
    if (loss + duplication + reordering === 0) return "arrives";
    const dice = this.#random.next();
    if (dice < loss) {
      this.troubled.loss += 1;
      return "lost";
    }
    if (dice < loss + duplication) {
      this.troubled.duplication += 1;
      return "doubled";
    }
    return dice < loss + duplication + reordering ? "late" : "arrives";
  }

  lateMs(): number {
    return this.#random.next() * LATE_MS_MAX;
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

  /** For what runs on the host's present generation. */
  connector(host: SimHost): Connector {
    const { generation } = host;
    return { connect: (endpoint) => this.#connection(host, generation, endpoint) };
  }

  latency(): number {
    const { latencyMsMin, latencyMsMax } = this.timing;
    return latencyMsMin + this.#random.next() * (latencyMsMax - latencyMsMin);
  }

  /** The machine behind an endpoint, up or not. */
  hostOf(endpoint: string): SimHost | undefined {
    return this.#listeners.get(endpoint)?.host;
  }

  find(endpoint: string): Listener | undefined {
    const listener = this.#listeners.get(endpoint);
    if (listener === undefined) return undefined;
    const { host, generation } = listener;
    return host.isUp && host.generation === generation ? listener : undefined;
  }

  #connection(from: SimHost, generation: number, endpoint: string): Connection {
    const pipes = new Set<Pipe>();
    let isClosed = false;
    const open = (method: AnyMethod): MessageStream<unknown, unknown> => {
      const pipe = new Pipe(this, { host: from, generation }, method);
      this.#pipes.add(pipe);
      pipes.add(pipe);
      pipe.onClosed = () => {
        this.#pipes.delete(pipe);
        pipes.delete(pipe);
      };
      if (isClosed) pipe.fail(new BrokerError("CLOSED", "the connection was closed"));
      else pipe.dial(endpoint);
      return pipe.clientEnd;
    };
    return {
      endpoint,
      bidi: <Req, Res>(method: Method<Req, Res, "bidi">) =>
        open(method as unknown as AnyMethod) as MessageStream<Req, Res>,
      serverStream: <Req, Res>(method: Method<Req, Res, "server-stream">, request: Req) => {
        const end = open(method as unknown as AnyMethod);
        end.send(request);
        return end as MessageStream<never, Res>;
      },
      unary: <Req, Res>(method: Method<Req, Res, "unary">, request: Req, options: CallOptions) =>
        this.#unary(open, { host: from, generation }, method, request, options),
      close: () => {
        isClosed = true;
        for (const pipe of [...pipes]) pipe.close();
      },
    };
  }

  #unary<Req, Res>(
    open: (method: AnyMethod) => MessageStream<unknown, unknown>,
    from: { readonly host: SimHost; readonly generation: number },
    method: Method<Req, Res, "unary">,
    request: Req,
    options: CallOptions,
  ): Promise<Res> {
    return new Promise((resolve, reject) => {
      const end = open(method as unknown as AnyMethod);
      const finish = (error: BrokerError | undefined, response?: Res): void => {
        cancelTimer();
        options.signal?.removeEventListener("abort", onAbort);
        if (error === undefined) resolve(response as Res);
        else reject(error);
      };
      const onTimeout = (): void => {
        end.cancel();
        finish(new BrokerError("DEADLINE", "no answer in time"));
      };
      const cancelTimer = this.world.schedule(
        options.timeoutMs,
        onTimeout,
        from.host,
        from.generation,
      );
      const onAbort = (): void => {
        end.cancel();
        finish(new BrokerError("CANCELLED", "the caller gave up"));
      };
      options.signal?.addEventListener("abort", onAbort, { once: true });
      end.onMessage = (message) => finish(undefined, message as Res);
      end.onEnd = (error) => {
        finish(error ?? new BrokerError("INTERNAL", "the call ended without an answer"));
      };
      end.send(request);
      if (options.signal?.aborted === true) onAbort();
    });
  }
}
