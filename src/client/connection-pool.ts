// One connection per broker endpoint and lane ("control", "produce", "fetch"): bulk data never delays control calls. Streams of
// consumers are spread over as many connections as they need: a broker bounds the streams of one.
import { BrokerError } from "../model/errors.ts";
import { STREAMS_PER_CONNECTION_MAX } from "../model/limits.ts";
import type { Connection, Connector } from "../rpc/ports.ts";

export type ConnectionLane = "control" | "produce" | "fetch" | `consume-${number}`;

/** A connection on which one more stream may be opened. */
export interface StreamSlot {
  readonly connection: Connection;
  /** The stream has ended. Idempotent. */
  release(): void;
}

/** Some streams fewer than the broker allows: it may learn of a stream's end later than we do. */
const CONSUMERS_PER_CONNECTION = Math.floor(STREAMS_PER_CONNECTION_MAX * 0.75);

/** Endpoints remembered. Beyond: the connections of the one unused for longest are closed. */
const ENDPOINTS_MAX = 256;

export class ConnectionPool {
  readonly #connector: Connector;
  readonly #connections = new Map<string, Map<ConnectionLane, Connection>>();
  /** Streams of consumers by endpoint and connection. */
  readonly #streams = new Map<string, number[]>();
  #isClosed = false;

  constructor(connector: Connector) {
    this.#connector = connector;
  }

  /** @throws BrokerError CLOSED */
  get(endpoint: string, lane: ConnectionLane): Connection {
    if (this.#isClosed) throw new BrokerError("CLOSED", "the client was closed");
    let lanes = this.#connections.get(endpoint);
    if (lanes === undefined) {
      lanes = new Map();
      this.#makeRoom();
    } else this.#connections.delete(endpoint);
    // Set again: the map's order is the order of use.
    this.#connections.set(endpoint, lanes);
    let connection = lanes.get(lane);
    if (connection === undefined) {
      connection = this.#connector.connect(endpoint, lane);
      lanes.set(lane, connection);
    }
    return connection;
  }

  /** For a consumer's stream. @throws BrokerError CLOSED */
  slot(endpoint: string): StreamSlot {
    let counts = this.#streams.get(endpoint);
    if (counts === undefined) {
      counts = [];
      this.#streams.set(endpoint, counts);
    }
    const free = counts.findIndex((count) => count < CONSUMERS_PER_CONNECTION);
    const number = free < 0 ? counts.length : free;
    const connection = this.get(endpoint, `consume-${number}`);
    counts[number] = (counts[number] ?? 0) + 1;
    let isReleased = false;
    const release = (): void => {
      if (isReleased) return;
      isReleased = true;
      counts[number] = (counts[number] ?? 1) - 1;
      if (counts.every((count) => count === 0)) this.#streams.delete(endpoint);
    };
    return { connection, release };
  }

  /** Streams and calls in flight end. Idempotent. */
  close(): void {
    this.#isClosed = true;
    for (const lanes of this.#connections.values()) closeAll(lanes);
    this.#connections.clear();
  }

  #makeRoom(): void {
    if (this.#connections.size < ENDPOINTS_MAX) return;
    for (const [endpoint, lanes] of this.#connections) {
      closeAll(lanes);
      this.#connections.delete(endpoint);
      return;
    }
  }
}

function closeAll(lanes: ReadonlyMap<ConnectionLane, Connection>): void {
  for (const connection of lanes.values()) connection.close();
}
