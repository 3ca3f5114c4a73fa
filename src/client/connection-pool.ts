// One connection per broker endpoint and lane ("control", "produce", "fetch"): bulk data never delays control calls.
import { BrokerError } from "../model/errors.ts";
import type { Connection, Connector } from "../rpc/ports.ts";

export type ConnectionLane = "control" | "produce" | "fetch";

/** Endpoints remembered. Beyond: the connections of the one unused for longest are closed. */
const ENDPOINTS_MAX = 256;

export class ConnectionPool {
  readonly #connector: Connector;
  readonly #connections = new Map<string, Map<ConnectionLane, Connection>>();
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
