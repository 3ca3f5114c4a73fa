// One call of the simulated network: two ordered directions between a client's process and a server's. Each end belongs
// to one incarnation of its host; nothing of it runs any more once that has died. Made by sim-network.ts.
import { crc32c } from "../../src/base/crc32c.ts";
import { BrokerError, isBrokerError } from "../../src/model/errors.ts";
import type { MessageStream, Method } from "../../src/rpc/ports.ts";
import type { Registered, SimNetwork } from "./sim-network.ts";
import type { SimHost } from "./world.ts";

/** A stream across a cut link breaks after this long, as TCP keepalive would do. */
const BREAK_AFTER_MS = 8000;
/** Dialling across a cut link fails after this long. */
const CONNECT_TIMEOUT_MS = 2000;

export type AnyMethod = Method<unknown, unknown, "unary" | "bidi" | "server-stream">;

interface Packet {
  readonly bytes?: Buffer;
  readonly end?: { readonly error: BrokerError | undefined };
}

/** A process: one generation of a host. */
export interface Incarnation {
  readonly host: SimHost;
  readonly generation: number;
}

interface Server {
  readonly at: Incarnation;
  readonly end: SimEnd;
}

class Direction {
  lastArrivalMs = 0;
  readonly held: Packet[] = [];
  /** Grows each time that holding begins. */
  holds = 0;
}

export class Pipe {
  readonly clientEnd: SimEnd;
  onClosed: () => void = () => undefined;
  readonly #network: SimNetwork;
  readonly #method: AnyMethod;
  readonly #from: Incarnation;
  readonly #abort = new AbortController();
  readonly #early: Packet[] = [];
  readonly #up = new Direction();
  readonly #down = new Direction();
  #server: Server | undefined;
  #isOpen = true;
  /** Set while dialling across a cut link. */
  #dialling: string | undefined;

  constructor(network: SimNetwork, from: Incarnation, method: AnyMethod) {
    this.#network = network;
    this.#from = from;
    this.#method = method;
    this.clientEnd = new SimEnd(
      (message) => this.#transmitUp({ bytes: method.codec.encodeRequest(message) }),
      () => this.#transmitUp({ end: { error: undefined } }),
      () => this.#cancelled(),
    );
  }

  touches(host: SimHost): boolean {
    return this.#from.host === host || this.#server?.at.host === host;
  }

  connects(a: SimHost, b: SimHost): boolean {
    return this.touches(a) && this.touches(b);
  }

  dial(endpoint: string): void {
    this.#at(this.#from, this.#network.latency(), () => this.#connect(endpoint));
  }

  /** Ends the client's side before anything was sent. */
  fail(error: BrokerError): void {
    if (!this.#isOpen) return;
    this.#close();
    this.#at(this.#from, this.#network.latency(), () => this.clientEnd.ended(error));
  }

  /** The client closed the connection under the stream. */
  close(): void {
    if (!this.#isOpen) return;
    this.#cancelled();
    const error = new BrokerError("CLOSED", "the connection was closed");
    this.#at(this.#from, 0, () => this.clientEnd.ended(error));
  }

  /** Both ends see the stream fail; what is under way is lost. */
  break(why: string): void {
    if (!this.#isOpen) return;
    this.#close();
    this.#network.streamsBroken += 1;
    this.#network.messagesLost += this.#up.held.length + this.#down.held.length;
    const error = new BrokerError("UNREACHABLE", why);
    this.#tellServer(error);
    const { clientEnd } = this;
    this.#at(this.#from, this.#noticeMs(this.#server?.at, this.#from), () => {
      clientEnd.ended(error);
    });
  }

  /** The network was healed: what waited goes on its way. */
  release(): void {
    const endpoint = this.#dialling;
    if (endpoint !== undefined) {
      this.#dialling = undefined;
      this.dial(endpoint);
    }
    for (const packet of this.#up.held.splice(0)) this.#transmitUp(packet);
    for (const packet of this.#down.held.splice(0)) this.#transmitDown(packet);
  }

  #connect(endpoint: string): void {
    if (!this.#isOpen) return;
    const network = this.#network;
    const from = this.#from.host;
    const machine = network.hostOf(endpoint);
    if (machine !== undefined && (network.isCut(from, machine) || network.isCut(machine, from))) {
      this.#dialling = endpoint;
      this.#at(this.#from, CONNECT_TIMEOUT_MS, () => {
        if (this.#dialling === endpoint && this.#server === undefined) {
          this.fail(new BrokerError("UNREACHABLE", `${endpoint} does not answer`));
        }
      });
      return;
    }
    const listener = network.find(endpoint);
    if (listener === undefined) {
      this.fail(new BrokerError("UNREACHABLE", `${endpoint} refused`, { refused: true }));
      return;
    }
    const registered = listener.methods.get(this.#method.path);
    if (registered === undefined) {
      this.fail(new BrokerError("UNSUPPORTED_VERSION", `no method ${this.#method.path}`));
      return;
    }
    const end = new SimEnd(
      (message) => this.#transmitDown({ bytes: this.#method.codec.encodeResponse(message) }),
      (error) => this.#transmitDown({ end: { error } }),
      () => this.break("cancelled by the server"),
    );
    const at = { host: listener.host, generation: listener.generation };
    this.#server = { at, end };
    // On the server's own time: a paused process accepts nothing.
    this.#at(at, network.latency(), () => {
      if (this.#isOpen) this.#guard(() => this.#serve(registered, end));
    });
    this.#up.lastArrivalMs = network.world.nowMs + network.timing.latencyMsMax;
    for (const packet of this.#early.splice(0)) this.#transmitUp(packet);
  }

  #serve(registered: Registered, end: SimEnd): void {
    const { name } = this.#from.host;
    const context = { peer: name, signal: this.#abort.signal, deadlineMs: undefined };
    if (registered.bidi !== undefined) {
      registered.bidi(end, context);
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
        (error: unknown) => this.#refuse(error),
      );
    };
  }

  /** What the handler throws ends this call; anything but a BrokerError is a defect. */
  #guard(run: () => void): void {
    try {
      run();
    } catch (error) {
      this.#refuse(error);
    }
  }

  #refuse(error: unknown): void {
    const server = this.#server;
    if (server === undefined) return;
    if (isBrokerError(error)) {
      server.end.end(error);
      return;
    }
    this.#network.onDefect(server.at.host, error);
    server.end.end(new BrokerError("INTERNAL", "internal error"));
  }

  #transmitUp(packet: Packet): void {
    if (!this.#isOpen) return;
    const server = this.#server;
    if (server === undefined) {
      this.#early.push(packet);
      return;
    }
    const { at, end } = server;
    this.#carry(this.#up, packet, this.#from, at, () => {
      const { bytes } = packet;
      this.#guard(() => {
        if (bytes !== undefined) end.deliver(this.#method.codec.decodeRequest(Buffer.from(bytes)));
        else if (this.#method.kind === "bidi") end.ended(undefined);
      });
    });
  }

  #transmitDown(packet: Packet): void {
    const server = this.#server;
    if (!this.#isOpen || server === undefined) return;
    this.#carry(this.#down, packet, server.at, this.#from, () => {
      const { bytes, end } = packet;
      if (bytes !== undefined) {
        this.clientEnd.deliver(this.#method.codec.decodeResponse(Buffer.from(bytes)));
        return;
      }
      this.#close();
      this.#tellServer(undefined);
      this.clientEnd.ended(end?.error);
    });
  }

  #carry(
    direction: Direction,
    packet: Packet,
    from: Incarnation,
    to: Incarnation,
    arrive: () => void,
  ): void {
    const network = this.#network;
    const { world } = network;
    if (network.isCut(from.host, to.host) || direction.held.length > 0) {
      this.#hold(direction, packet);
      return;
    }
    const atMs = Math.max(world.nowMs + network.latency(), direction.lastArrivalMs + 0.001);
    direction.lastArrivalMs = atMs;
    this.#at(to, atMs - world.nowMs, () => {
      if (!this.#isOpen) return;
      network.messagesDelivered += 1;
      const { bytes } = packet;
      const content = bytes === undefined ? "end" : `${bytes.length} ${crc32c(bytes)}`;
      world.trace(`${from.host.name}>${to.host.name} ${this.#method.path} ${content}`);
      arrive();
    });
  }

  #hold(direction: Direction, packet: Packet): void {
    this.#network.messagesHeld += 1;
    direction.held.push(packet);
    if (direction.held.length > 1) return;
    direction.holds += 1;
    const hold = direction.holds;
    this.#network.world.schedule(BREAK_AFTER_MS, () => {
      if (direction.held.length > 0 && direction.holds === hold) this.break("keepalive timeout");
    });
  }

  #cancelled(): void {
    if (!this.#isOpen) return;
    this.#close();
    this.#tellServer(new BrokerError("CANCELLED", "the client gave up"));
  }

  #close(): void {
    this.#isOpen = false;
    this.#dialling = undefined;
    this.onClosed();
  }

  #tellServer(error: BrokerError | undefined): void {
    const server = this.#server;
    if (server === undefined) return;
    this.#at(server.at, this.#noticeMs(this.#from, server.at), () => {
      this.#abort.abort(new Error("the call ended"));
      this.#guard(() => server.end.ended(error));
    });
  }

  /** Across a cut link nobody hears of the other side's end before keepalive does. */
  #noticeMs(from: Incarnation | undefined, to: Incarnation): number {
    const isCut = from !== undefined && this.#network.isCut(from.host, to.host);
    return isCut ? BREAK_AFTER_MS : this.#network.latency();
  }

  #at(incarnation: Incarnation, delayMs: number, run: () => void): void {
    this.#network.world.schedule(delayMs, run, incarnation.host, incarnation.generation);
  }
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
