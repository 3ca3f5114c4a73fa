// One row of the table of refusals, and what all rows use. See error-cases.ts.
import type { BrokerError, ErrorReason } from "../../src/model/errors.ts";
import { PublishMessage } from "../../src/rpc/generated/flotilla-v1.ts";
import type { Connection } from "../../src/rpc/ports.ts";
import type { WireClient } from "../support/wire-client.ts";

/** Small limits, so that they can be reached. */
export const STREAMS_MAX = 12;
export const CONNECTIONS_MAX = 24;
export const PARKED_MAX = 6;

/** Connections that the cases use; the client ones stay the same for the whole table. */
export interface Ends {
  readonly leader: WireClient;
  readonly follower: WireClient;
  /** Topic with min.acks=all and message.bytes.max=1000, on its leader. */
  readonly strict: WireClient;
  readonly controller: Connection;
  /** Peer listener of node 1. */
  readonly peer: Connection;
  readonly clusterId: string;
  readonly connect: () => Connection;
}

/** Done before the positions are compared: it may write. Its result goes to `refuse`. */
export interface ErrorCase<T = unknown> {
  readonly reason: ErrorReason;
  readonly title: string;
  readonly prepare?: (ends: Ends) => Promise<T>;
  readonly refuse: (ends: Ends, prepared: T) => Promise<BrokerError>;
  /** What the error must say. */
  readonly fields?: Readonly<Record<string, unknown>>;
}

export const TIMEOUT = { timeoutMs: 10_000 };
export const UNKNOWN_ID = "00000000-0000-4000-8000-000000000000";

export const message = (fields: Partial<PublishMessage>): PublishMessage =>
  PublishMessage.create(fields);
