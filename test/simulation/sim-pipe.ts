// One call of the simulated network: two ordered directions between a client's process and a server's. Each end belongs
// to one incarnation of its host; nothing of it runs any more once that has died. It breaks as connections do: at once or
// after keepalive, with or without what was under way, for both sides or for one that the other does not hear of. Made by
// sim-network.ts.
import { crc32c } from "../../src/base/crc32c.ts";
import { BrokerError } from "../../src/model/errors.ts";
import type {
  AttachRequest,
  Lane,
  PeerEnvelope,
} from "../../src/rpc/generated/flotilla-internal-v1.ts";
import { peerService } from "../../src/rpc/methods.ts";
import type { Method } from "../../src/rpc/ports.ts";
import { Direction, type Packet } from "./sim-direction.ts";
import { SimEnd } from "./sim-end.ts";
import type { Holding, Registered, SimNetwork } from "./sim-network.ts";
import { type Incarnation, ServerCall } from "./sim-server-call.ts";
import type { SimHost } from "./world.ts";

/** A stream across a cut link breaks after this long, as TCP keepalive would do. */
const BREAK_AFTER_MS = 8000;
/** Dialling across a cut link fails after this long. */
const CONNECT_TIMEOUT_MS = 2000;

export type AnyMethod = Method<unknown, unknown, "unary" | "bidi" | "server-stream">;

export class Pipe {
  readonly clientEnd: SimEnd;
  onClosed: () => void = () => undefined;
  readonly #network: SimNetwork;
  readonly #method: AnyMethod;
  readonly #from: Incarnation;
  readonly #early: Packet[] = [];
  readonly #up: Direction;
  readonly #down: Direction;
  /** Of a stream between brokers. */
  #lane: Lane | undefined;
  #server: ServerCall | undefined;
  #isOpen = true;
  /** Set while dialling across a cut link. */
  #dialling: string | undefined;

  constructor(network: SimNetwork, from: Incarnation, method: AnyMethod) {
    this.#network = network;
    this.#from = from;
    this.#method = method;
    this.#up = new Direction(network);
    this.#down = new Direction(network);
    this.clientEnd = new SimEnd({
      transmit: (message) => this.#sendUp(message),
      finish: () => this.#transmitUp({ end: { error: undefined } }),
      cancel: () => this.#cancelled(),
      taken: (bytes) => this.#takenFrom(this.#down, bytes, this.#server?.at, this.#server?.end),
    });
  }

  /** Both ends know each other. */
  get isEstablished(): boolean {
    return this.#isOpen && this.#server !== undefined;
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

  /**
   * Both ends see the stream fail.
   * @param graceMs what arrives within this time still does; the rest of what is under way is lost
   */
  break(why: string, graceMs = 0): void {
    if (!this.#isOpen) return;
    const fromMs = this.#network.world.nowMs + graceMs;
    this.#up.lostFromMs = fromMs;
    this.#down.lostFromMs = fromMs;
    this.#close();
    this.#network.streamsBroken += 1;
    const error = new BrokerError("UNREACHABLE", why);
    this.#tellServer(error, graceMs + this.#noticeMs(this.#from, this.#server?.at));
    this.#tellClient(error, graceMs + this.#noticeMs(this.#server?.at, this.#from));
  }

  /** One end sees the stream fail at once, the other not before keepalive: what it sends meanwhile is lost. */
  breakHalf(isClientTold: boolean): void {
    if (!this.isEstablished) return;
    this.#close();
    this.#up.isDead = true;
    this.#down.isDead = true;
    this.#network.streamsBroken += 1;
    const error = new BrokerError("UNREACHABLE", "connection reset");
    const tell = (isClient: boolean, inMs: number): void => {
      if (isClient) this.#tellClient(error, inMs);
      else this.#tellServer(error, inMs);
    };
    tell(isClientTold, this.#network.latency());
    tell(!isClientTold, BREAK_AFTER_MS);
  }

  /** Holds one direction back: a path that carries nothing while the connection stands. */
  clog(isUp: boolean): Holding {
    const direction = isUp ? this.#up : this.#down;
    const before = direction.cloggedCount;
    direction.isClogged = true;
    return {
      held: () => direction.cloggedCount - before,
      end: () => {
        direction.isClogged = false;
        this.#release(direction);
      },
    };
  }

  /** The network was healed: what waited goes on its way. */
  release(): void {
    const endpoint = this.#dialling;
    if (endpoint !== undefined) {
      this.#dialling = undefined;
      this.dial(endpoint);
    }
    this.#release(this.#up);
    this.#release(this.#down);
  }

  #release(direction: Direction): void {
    if (direction.isClogged) return;
    for (const packet of direction.held.splice(0)) {
      if (direction === this.#up) this.#transmitUp(packet);
      else this.#transmitDown(packet);
    }
  }

  #connect(endpoint: string): void {
    if (!this.#isOpen) return;
    const network = this.#network;
    const from = this.#from.host;
    const machine = network.hostOf(endpoint);
    if (machine !== undefined && (network.isCut(from, machine) || network.isCut(machine, from))) {
      // Who is down would not have answered anyway.
      if (machine.isUp) {
        network.heldBack(from, machine);
        network.heldBack(machine, from);
      }
      this.#wait(endpoint);
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
    this.#accept({ host: listener.host, generation: listener.generation }, registered);
  }

  /** Nobody answers: until the link is healed or the caller has enough. */
  #wait(endpoint: string): void {
    this.#dialling = endpoint;
    this.#at(this.#from, CONNECT_TIMEOUT_MS, () => {
      if (this.#dialling === endpoint && this.#server === undefined) {
        this.fail(new BrokerError("UNREACHABLE", `${endpoint} does not answer`));
      }
    });
  }

  #accept(at: Incarnation, registered: Registered): void {
    const network = this.#network;
    const end = new SimEnd({
      transmit: (message) => this.#sendDown(message),
      finish: (error) => this.#transmitDown({ end: { error } }),
      cancel: () => this.break("cancelled by the server"),
      taken: (bytes) => this.#takenFrom(this.#up, bytes, this.#from, this.clientEnd),
    });
    const server = new ServerCall(at, end, this.#from.host.name, network.onDefect);
    this.#server = server;
    // On the server's own time: a paused process accepts nothing.
    this.#at(at, network.latency(), () => {
      if (this.#isOpen) server.guard(() => server.serve(registered));
    });
    this.#up.notBefore(network.world.nowMs + network.timing.latencyMsMax);
    for (const packet of this.#early.splice(0)) this.#transmitUp(packet);
  }

  #sendUp(message: unknown): boolean {
    if (this.#method.path === peerService.attach.path) this.#lane = (message as AttachRequest).lane;
    const bytes = this.#method.codec.encodeRequest(message);
    const isFree = this.#up.buffer(bytes.length);
    this.#transmitUp({ bytes });
    return isFree;
  }

  #sendDown(message: unknown): boolean {
    const server = this.#server;
    if (server !== undefined && this.#lane !== undefined) {
      this.#network.onPeerEnvelope(server.at.host, message as PeerEnvelope);
    }
    const bytes = this.#method.codec.encodeResponse(message);
    const isFree = this.#down.buffer(bytes.length);
    this.#transmitDown({ bytes });
    return isFree;
  }

  #transmitUp(packet: Packet): void {
    if (!this.#isOpen) return;
    const server = this.#server;
    if (server === undefined) {
      this.#early.push(packet);
      return;
    }
    const { at, end } = server;
    this.#carry(this.#up, packet, this.#from, at, (counted, bytes) => {
      server.guard(() => {
        if (bytes !== undefined) {
          end.deliver(this.#method.codec.decodeRequest(bytes), counted);
        } else if (this.#method.kind === "bidi") end.ended(undefined);
      });
    });
  }

  #transmitDown(packet: Packet): void {
    const server = this.#server;
    if (!this.#isOpen || server === undefined) return;
    this.#carry(this.#down, packet, server.at, this.#from, (counted, bytes) => {
      if (bytes !== undefined) {
        this.clientEnd.deliver(this.#method.codec.decodeResponse(bytes), counted);
        return;
      }
      this.#close();
      this.#tellServer(undefined, this.#noticeMs(this.#from, server.at));
      this.clientEnd.ended(packet.end?.error);
    });
  }

  /** @param arrive told how many bytes of the sender's buffer this frees, and what arrives */
  #carry(
    direction: Direction,
    packet: Packet,
    from: Incarnation,
    to: Incarnation,
    arrive: (counted: number, bytes: Buffer | undefined) => void,
  ): void {
    const network = this.#network;
    if (direction.isClogged || direction.held.length > 0 || network.isCut(from.host, to.host)) {
      if (direction.isClogged) direction.cloggedCount += 1;
      network.heldBack(from.host, to.host);
      this.#hold(direction, packet);
      return;
    }
    const size = packet.bytes?.length ?? 0;
    const isPeerMessage =
      packet.bytes !== undefined && direction === this.#down && this.#isRaftLane;
    let counted = size;
    const arrivals = direction.arrivals(isPeerMessage);
    for (const inMs of arrivals) {
      const freed = counted;
      counted = 0;
      this.#at(to, inMs, () => {
        if (!this.#arrived(direction, packet, from, to)) return;
        // Nobody else has the memory that a codec has just filled; what comes twice shares none either.
        const isOnly = packet.bytes === undefined || arrivals.length === 1;
        arrive(freed, isOnly ? packet.bytes : Buffer.from(packet.bytes));
      });
    }
    // It was lost: room for others nevertheless.
    const end = direction === this.#up ? this.clientEnd : this.#server?.end;
    this.#takenFrom(direction, counted, from, end);
  }

  /** @returns whether it did: otherwise it was lost with the connection */
  #arrived(direction: Direction, packet: Packet, from: Incarnation, to: Incarnation): boolean {
    const network = this.#network;
    const { world } = network;
    if (direction.isDead || world.nowMs >= direction.lostFromMs) return false;
    if (!this.#isOpen && direction.lostFromMs === Number.POSITIVE_INFINITY) return false;
    network.messagesDelivered += 1;
    const { bytes } = packet;
    const content = bytes === undefined ? "end" : `${bytes.length} ${crc32c(bytes)}`;
    world.trace(`${from.host.name}>${to.host.name} ${this.#method.path} ${content}`);
    return true;
  }

  get #isRaftLane(): boolean {
    return this.#lane === "control" || this.#lane === "bulk";
  }

  #hold(direction: Direction, packet: Packet): void {
    direction.held.push(packet);
    if (direction.held.length > 1) return;
    direction.holds += 1;
    const hold = direction.holds;
    this.#network.world.schedule(BREAK_AFTER_MS, () => {
      if (direction.held.length > 0 && direction.holds === hold) this.break("keepalive timeout");
    });
  }

  /** The application took bytes: their sender hears of it when it was told to wait. */
  #takenFrom(
    direction: Direction,
    bytes: number,
    sender: Incarnation | undefined,
    end: SimEnd | undefined,
  ): void {
    if (bytes === 0 || !direction.taken(bytes)) return;
    if (sender === undefined || end === undefined) return;
    this.#at(sender, this.#network.latency(), () => {
      if (!this.#isOpen) return;
      if (end === this.clientEnd) end.drained();
      else this.#server?.guard(() => end.drained());
    });
  }

  #cancelled(): void {
    if (!this.#isOpen) return;
    this.#close();
    const error = new BrokerError("CANCELLED", "the client gave up");
    this.#tellServer(error, this.#noticeMs(this.#from, this.#server?.at));
  }

  #close(): void {
    this.#isOpen = false;
    this.#dialling = undefined;
    this.onClosed();
  }

  #tellServer(error: BrokerError | undefined, inMs: number): void {
    const server = this.#server;
    if (server === undefined) return;
    this.#at(server.at, inMs, () => server.ended(error));
  }

  #tellClient(error: BrokerError, inMs: number): void {
    this.#at(this.#from, inMs, () => this.clientEnd.ended(error));
  }

  /** Across a cut link nobody hears of the other side's end before keepalive does. */
  #noticeMs(from: Incarnation | undefined, to: Incarnation | undefined): number {
    const isCut = from !== undefined && to !== undefined && this.#network.isCut(from.host, to.host);
    return isCut ? BREAK_AFTER_MS : this.#network.latency();
  }

  #at(incarnation: Incarnation, delayMs: number, run: () => void): void {
    this.#network.world.schedule(delayMs, run, incarnation.host, incarnation.generation);
  }
}
