// Entries for the repair of a damaged replica, asked for from another node over its peer listener: one stream of pieces per
// request. What it brings is checked by whoever asked. Given to the replica set.
import { type Clock, sleep } from "../../base/clock.ts";
import { decodeFrames, type Frame, FrameError } from "../../model/entry-frame.ts";
import { BrokerError } from "../../model/errors.ts";
import type { NodeId } from "../../model/ids.ts";
import type { EntriesWanted } from "../../replica/ports.ts";
import { ReadEntriesRequest } from "../../rpc/generated/flotilla-internal-v1.ts";
import { peerService } from "../../rpc/methods.ts";
import type { Connection, Connector } from "../../rpc/ports.ts";

/** An answer that is not complete by then is given up; another node is asked. */
const TIMEOUT_MS = 15_000;

export interface EntryFetcherDeps {
  readonly clock: Clock;
  readonly connector: Connector;
  readonly clusterId: string;
  readonly nodeId: NodeId;
  readonly endpointOf: (node: NodeId) => string | undefined;
}

export class EntryFetcher {
  readonly #deps: EntryFetcherDeps;
  readonly #connections = new Map<string, Connection>();

  constructor(deps: EntryFetcherDeps) {
    this.#deps = deps;
  }

  /** See FetchEntries in the replica room. */
  async fetch(from: NodeId, wanted: EntriesWanted, signal: AbortSignal): Promise<Frame[]> {
    const endpoint = this.#deps.endpointOf(from);
    if (endpoint === undefined) {
      throw new BrokerError("UNREACHABLE", `node ${from} has no known peer listener`);
    }
    const abort = new AbortController();
    const onAbort = (): void => abort.abort(signal.reason);
    signal.addEventListener("abort", onAbort, { once: true });
    try {
      return await Promise.race([
        this.#receive(this.#connection(endpoint), wanted, abort.signal),
        this.#timeout(from, abort.signal),
      ]);
    } finally {
      signal.removeEventListener("abort", onAbort);
      abort.abort(new BrokerError("UNREACHABLE", "nobody waits for the answer any more"));
    }
  }

  close(): void {
    for (const connection of this.#connections.values()) connection.close();
    this.#connections.clear();
  }

  #receive(
    connection: Connection,
    { bytesMax, first, from, groupId, last, to }: EntriesWanted,
    signal: AbortSignal,
  ): Promise<Frame[]> {
    const { clusterId, nodeId } = this.#deps;
    const request = ReadEntriesRequest.create({
      clusterId,
      nodeId,
      groupId,
      firstIndex: first,
      lastIndex: last,
      bytesMax,
      from,
      to,
    });
    const stream = connection.serverStream(peerService.readEntries, request);
    const frames: Frame[] = [];
    let bytes = 0;
    return new Promise((resolve, reject) => {
      signal.addEventListener("abort", () => stream.cancel(), { once: true });
      const refuse = (error: BrokerError): void => {
        reject(error);
        stream.cancel();
      };
      stream.onMessage = (message) => {
        try {
          for (const piece of message.frames) {
            bytes += piece.length;
            frames.push(...decodeFrames(piece));
          }
        } catch (error) {
          if (!(error instanceof FrameError)) throw error;
          refuse(new BrokerError("INVALID_REQUEST", error.message, { field: "frames" }));
        }
        // A node that sends without end is asked no further; what it sent may be right.
        if (bytes < bytesMax * 2) return;
        resolve(frames);
        stream.cancel();
      };
      stream.onEnd = (error) => {
        if (error === undefined || frames.length > 0) resolve(frames);
        else reject(error);
      };
    });
  }

  async #timeout(from: NodeId, signal: AbortSignal): Promise<never> {
    try {
      await sleep(this.#deps.clock, TIMEOUT_MS, signal);
    } catch {
      throw new BrokerError("UNREACHABLE", "the request was given up");
    }
    throw new BrokerError("UNREACHABLE", `node ${from} did not answer in time`);
  }

  #connection(endpoint: string): Connection {
    let connection = this.#connections.get(endpoint);
    if (connection === undefined) {
      connection = this.#deps.connector.connect(endpoint, "peer-repair");
      this.#connections.set(endpoint, connection);
    }
    return connection;
  }
}
