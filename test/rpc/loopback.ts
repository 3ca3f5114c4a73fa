// A server and connections to it on the loopback interface, for the tests of this room.
import { type BrokerError, isBrokerError } from "../../src/model/errors.ts";
import { type ConnectorOptions, grpcConnector } from "../../src/rpc/connector.ts";
import type { Connection, MessageStream, ServiceRegistry } from "../../src/rpc/ports.ts";
import { type GrpcServer, type GrpcServerOptions, openGrpcServer } from "../../src/rpc/server.ts";

export interface Loopback {
  readonly server: GrpcServer;
  readonly endpoint: string;
  readonly defects: unknown[];
  readonly connect: (options?: ConnectorOptions) => Connection;
  readonly close: () => Promise<void>;
}

export async function openLoopback(
  services: (registry: ServiceRegistry) => void,
  options: Partial<GrpcServerOptions> = {},
): Promise<Loopback> {
  const defects: unknown[] = [];
  const server = await openGrpcServer({
    host: "127.0.0.1",
    port: 0,
    services,
    onDefect: (error) => defects.push(error),
    ...options,
  });
  const endpoint = `127.0.0.1:${server.port}`;
  const connections: Connection[] = [];
  return {
    server,
    endpoint,
    defects,
    connect(connectorOptions) {
      const connection = grpcConnector(connectorOptions).connect(endpoint, "test");
      connections.push(connection);
      return connection;
    },
    async close() {
      for (const connection of connections) connection.close();
      await server.close(0);
    },
  };
}

/** The BrokerError that the promise rejects with. */
export async function refusal(promise: Promise<unknown>): Promise<BrokerError> {
  try {
    await promise;
  } catch (error) {
    if (isBrokerError(error)) return error;
    throw error;
  }
  throw new Error("nothing was refused");
}

export interface Recorded<In> {
  readonly messages: In[];
  readonly ended: Promise<BrokerError | undefined>;
  /** Resolves when so many messages have come. */
  count(wanted: number): Promise<void>;
}

/** Collects what a stream delivers. */
export function record<Out, In>(stream: MessageStream<Out, In>): Recorded<In> {
  const messages: In[] = [];
  const waiting: { wanted: number; resolve: () => void }[] = [];
  let endCount = 0;
  stream.onMessage = (message) => {
    if (endCount > 0) throw new Error("a message after the end");
    messages.push(message);
    for (const { wanted, resolve } of waiting) if (messages.length >= wanted) resolve();
  };
  const ended = new Promise<BrokerError | undefined>((resolve) => {
    stream.onEnd = (error) => {
      endCount += 1;
      if (endCount > 1) throw new Error("ended twice");
      resolve(error);
    };
  });
  return {
    messages,
    ended,
    count: (wanted) =>
      new Promise((resolve) => {
        if (messages.length >= wanted) resolve();
        else waiting.push({ wanted, resolve });
      }),
  };
}
