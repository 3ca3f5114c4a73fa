// Counts connections of a listener and calls per connection, and refuses what is too much with OVERLOADED. Without it a
// client above HTTP/2's own limit would just wait. Called by the server for every connection and call.
import type { ServerHttp2Session } from "node:http2";
import type { Cancel, Clock } from "../base/clock.ts";
import { BrokerError } from "../model/errors.ts";

export interface AdmissionLimits {
  /** Calls in flight per connection, inclusive. */
  readonly streamsPerConnectionMax: number;
  /** Open connections, inclusive. Further ones are refused on their first call, and cut at once from twice as many on. */
  readonly connectionsMax: number;
}

/** So long a connection above the limit may stay, to make its first call and hear the reason. */
const SURPLUS_CONNECTION_MS = 5000;

export class Admission {
  readonly #limits: AdmissionLimits;
  readonly #clock: Clock;
  readonly #sessions = new Set<ServerHttp2Session>();
  /** "address:port" of the other end → calls in flight. */
  readonly #calls = new Map<string, number>();
  readonly #surplus = new Set<string>();

  constructor(limits: AdmissionLimits, clock: Clock) {
    this.#limits = limits;
    this.#clock = clock;
  }

  get connectionCount(): number {
    return this.#sessions.size;
  }

  sessionOpened(session: ServerHttp2Session): void {
    const peer = peerOf(session);
    this.#sessions.add(session);
    let cancelTimer: Cancel | undefined;
    session.once("close", () => {
      cancelTimer?.();
      this.#sessions.delete(session);
      this.#surplus.delete(peer);
    });
    if (this.#sessions.size <= this.#limits.connectionsMax) return;
    if (this.#sessions.size > this.#limits.connectionsMax * 2) {
      session.destroy();
      return;
    }
    this.#surplus.add(peer);
    cancelTimer = this.#clock.schedule(SURPLUS_CONNECTION_MS, () => session.destroy());
  }

  /** Breaks off every connection. (grpc-js's forceShutdown forgets them while channelz is off.) */
  destroySessions(): void {
    for (const session of this.#sessions) session.destroy();
  }

  /** Undefined when admitted; then {@link leave} must follow. */
  tryEnter(peer: string): BrokerError | undefined {
    if (this.#surplus.has(peer)) {
      return overloaded("too many connections", "connections", this.#limits.connectionsMax);
    }
    const count = this.#calls.get(peer) ?? 0;
    if (count >= this.#limits.streamsPerConnectionMax) {
      const max = this.#limits.streamsPerConnectionMax;
      return overloaded("too many calls on one connection", "streamsPerConnection", max);
    }
    this.#calls.set(peer, count + 1);
    return undefined;
  }

  leave(peer: string): void {
    const count = (this.#calls.get(peer) ?? 1) - 1;
    if (count <= 0) this.#calls.delete(peer);
    else this.#calls.set(peer, count);
  }
}

/** The same text as grpc-js's getPeer(). */
function peerOf(session: ServerHttp2Session): string {
  const { remoteAddress, remotePort } = session.socket;
  return `${remoteAddress ?? "unknown"}:${remotePort ?? 0}`;
}

function overloaded(message: string, limit: string, max: number): BrokerError {
  return new BrokerError("OVERLOADED", message, { limit, max });
}
