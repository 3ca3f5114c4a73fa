// The SDK's root object: one per application and cluster. It connects when something is asked for, never earlier.
import { type Clock, systemClock } from "../base/clock.ts";
import { type Random, systemRandom } from "../base/random.ts";
import { grpcConnector } from "../rpc/connector.ts";
import type { Connector } from "../rpc/ports.ts";
import { Admin } from "./admin.ts";
import { type ClientDeps, type ClientLogger, silentLogger } from "./client-deps.ts";
import type { CloseOptions } from "./close-options.ts";
import { ConnectionPool } from "./connection-pool.ts";
import { ClusterConsumer, type Consumer } from "./consumer.ts";
import type { ConsumerOptions } from "./consumer-options.ts";
import type { DeliveryObserver } from "./delivery-observer.ts";
import { FlotillaError } from "./flotilla-error.ts";
import { MetadataCache } from "./metadata-cache.ts";
import { ClusterProducer } from "./producer.ts";
import type { Producer, ProducerOptions } from "./producer-options.ts";
import { ClusterReader, type Reader } from "./reader.ts";
import type { ReaderOptions } from "./reader-start.ts";
import { bytes, type Serializer } from "./serializer.ts";

export interface ClientOptions {
  /** Some brokers of the cluster, "host:port"; the others are learnt from them. */
  readonly bootstrap: readonly string[];
  /** Names the application in the brokers' logs. */
  readonly clientId?: string | undefined;
  /** Default: gRPC in plain text. Make one with grpcConnector() for TLS. */
  readonly connector?: Connector | undefined;
  readonly clock?: Clock | undefined;
  readonly random?: Random | undefined;
  /** Default: silent. */
  readonly logger?: ClientLogger | undefined;
  /** For tests: told of what consumers receive before it waits. */
  readonly observer?: DeliveryObserver | undefined;
}

export interface Client {
  producer(options?: ProducerOptions): Producer;
  reader(options: ReaderOptions): Reader;
  /** Takes part in a subscription. */
  consumer(options: ConsumerOptions): Consumer;
  consumer<T>(options: ConsumerOptions<T> & { readonly serializer: Serializer<T> }): Consumer<T>;
  admin(): Admin;
  /**
   * Closes consumers (they are drained), producers (their sends are delivered first), readers and connections. Idempotent.
   * @param options timeoutMs: sends unanswered then fail with CLOSED; default: their delivery timeout. What consumers still
   *   work on then is lost; default: 30000
   */
  close(options?: CloseOptions): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** @throws FlotillaError INVALID_REQUEST for options that cannot work; nothing is connected yet */
export function createClient(options: ClientOptions): Client {
  return new ClusterClient(options);
}

class ClusterClient implements Client {
  readonly #deps: ClientDeps;
  readonly #admin: Admin;
  readonly #producers = new Set<ClusterProducer>();
  readonly #readers = new Set<ClusterReader>();
  readonly #consumers = new Set<Consumer<unknown>>();
  #closing: Promise<void> | undefined;

  constructor(options: ClientOptions) {
    const { bootstrap, clientId, clock = systemClock, random = systemRandom } = options;
    checkBootstrap(bootstrap);
    const userAgent = ["flotilla-sdk", clientId ?? ""].filter((text) => text !== "").join("/");
    const connector = options.connector ?? grpcConnector({ clock, userAgent });
    const connections = new ConnectionPool(connector);
    const metadata = new MetadataCache({ bootstrap, connections, clock, random });
    const log = options.logger ?? silentLogger;
    this.#deps = { clock, random, log, connections, metadata, observer: options.observer };
    this.#admin = new Admin(this.#deps);
  }

  producer(options: ProducerOptions = {}): Producer {
    this.#requireOpen();
    const producer = new ClusterProducer(this.#deps, options, (closed) => {
      this.#producers.delete(closed);
    });
    this.#producers.add(producer);
    return producer;
  }

  reader(options: ReaderOptions): Reader {
    this.#requireOpen();
    const reader = new ClusterReader(this.#deps, options, (closed) => {
      this.#readers.delete(closed);
    });
    this.#readers.add(reader);
    return reader;
  }

  consumer(options: ConsumerOptions): Consumer;
  consumer<T>(options: ConsumerOptions<T> & { readonly serializer: Serializer<T> }): Consumer<T>;
  consumer<T>(options: ConsumerOptions<T>): Consumer<T> | Consumer {
    const { serializer, ...rest } = options;
    return serializer === undefined ? this.#consume(rest, bytes) : this.#consume(rest, serializer);
  }

  admin(): Admin {
    this.#requireOpen();
    return this.#admin;
  }

  close(options: CloseOptions = {}): Promise<void> {
    this.#closing ??= this.#close(options);
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #consume<T>(
    options: Omit<ConsumerOptions<T>, "serializer">,
    serializer: Serializer<T>,
  ): Consumer<T> {
    this.#requireOpen();
    const consumer = new ClusterConsumer<T>(this.#deps, options, serializer, () => {
      this.#consumers.delete(consumer);
    });
    this.#consumers.add(consumer);
    return consumer;
  }

  async #close(options: CloseOptions): Promise<void> {
    // Handlers may still send.
    await Promise.all([...this.#consumers].map((consumer) => consumer.close(options)));
    await Promise.all([
      ...[...this.#readers].map((reader) => reader.close()),
      ...[...this.#producers].map((producer) => producer.close(options)),
    ]);
    this.#deps.metadata.close();
    this.#deps.connections.close();
  }

  #requireOpen(): void {
    if (this.#closing !== undefined) throw new FlotillaError("CLOSED", "the client was closed");
  }
}

function checkBootstrap(bootstrap: readonly string[]): void {
  const isGood = bootstrap.length > 0 && bootstrap.every((endpoint) => /^.+:\d+$/.test(endpoint));
  if (isGood) return;
  throw new FlotillaError("INVALID_REQUEST", "bootstrap must name brokers as host:port", {
    field: "bootstrap",
    limit: "at least one host:port",
  });
}
