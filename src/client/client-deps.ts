// What all parts of the SDK share: time, chance, log, connections and knowledge of the cluster. Built by client.ts.
import type { Clock } from "../base/clock.ts";
import type { Random } from "../base/random.ts";
import type { ConnectionPool } from "./connection-pool.ts";
import type { DeliveryObserver } from "./delivery-observer.ts";
import type { MetadataCache } from "./metadata-cache.ts";

/** Structured log lines; pino's loggers fit. */
export interface ClientLogger {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
}

export const silentLogger: ClientLogger = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
};

export interface ClientDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: ClientLogger;
  readonly connections: ConnectionPool;
  readonly metadata: MetadataCache;
  readonly observer?: DeliveryObserver | undefined;
}
