// One direction of a simulated stream: when what is sent arrives, what a cut link or a clogged path holds back, how much
// the receiver has not taken yet. Bytes of a stream arrive in order; only messages between brokers may, as a fault, be
// lost, doubled or overtaken, which their receivers promise to bear. Owned by sim-pipe.ts.
import type { BrokerError } from "../../src/model/errors.ts";
import type { SimNetwork } from "./sim-network.ts";

export interface Packet {
  readonly bytes?: Buffer;
  readonly end?: { readonly error: BrokerError | undefined };
}

/** When a packet arrives, ms from now; several times when it was doubled, never when it was lost. */
export type Arrivals = readonly number[];

export class Direction {
  /** Waits for the link or the clogged path to be free again. */
  readonly held: Packet[] = [];
  /** Grows each time that holding begins. */
  holds = 0;
  isClogged = false;
  /** What the clogged path held back, ever. */
  cloggedCount = 0;
  /** Nothing that is sent arrives, and nobody is told: the other side has forgotten the stream. */
  isDead = false;
  /** What would arrive later than this was lost with the connection, ms. */
  lostFromMs: number = Number.POSITIVE_INFINITY;
  readonly #network: SimNetwork;
  #lastArrivalMs = 0;
  /** When the newest message that was delayed arrives: what is sent later and comes sooner has overtaken it. */
  #lateUntilMs = 0;
  /** Sent, and not yet taken by the application on the other side. */
  #bufferedBytes = 0;
  #isBlocked = false;

  constructor(network: SimNetwork) {
    this.#network = network;
  }

  /** Nothing arrives before this. */
  notBefore(atMs: number): void {
    this.#lastArrivalMs = Math.max(this.#lastArrivalMs, atMs);
  }

  /** @returns false when the sender should wait for drained() */
  buffer(bytes: number): boolean {
    this.#bufferedBytes += bytes;
    if (this.#bufferedBytes >= this.#network.bufferBytes) this.#isBlocked = true;
    return !this.#isBlocked;
  }

  /** @returns whether the sender may go on now, having been told to wait */
  taken(bytes: number): boolean {
    this.#bufferedBytes -= bytes;
    if (!this.#isBlocked || this.#bufferedBytes > this.#network.bufferBytes / 2) return false;
    this.#isBlocked = false;
    return true;
  }

  /** @param isPeerMessage of a lane between brokers, whose messages faults may single out */
  arrivals(isPeerMessage: boolean): Arrivals {
    const network = this.#network;
    const { nowMs } = network.world;
    const latencyMs = network.latency();
    const fate = isPeerMessage ? network.peerFate() : "arrives";
    if (fate === "lost") return [];
    if (fate === "late") {
      const lateMs = latencyMs + network.lateMs();
      this.#lateUntilMs = Math.max(this.#lateUntilMs, nowMs + lateMs);
      return [lateMs];
    }
    const atMs = Math.max(nowMs + latencyMs, this.#lastArrivalMs + 0.001);
    if (atMs < this.#lateUntilMs) network.troubled.reordering += 1;
    this.#lastArrivalMs = atMs;
    const inMs = atMs - nowMs;
    return fate === "doubled" ? [inMs, inMs + network.lateMs()] : [inMs];
  }
}
