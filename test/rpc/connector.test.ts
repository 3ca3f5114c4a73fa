import { connect, createServer, type Server, type Socket } from "node:net";
import { afterEach, expect, test } from "vitest";
import { grpcConnector } from "../../src/rpc/connector.ts";
import { GetMetadataRequest, GetMetadataResponse } from "../../src/rpc/generated/flotilla-v1.ts";
import { metadataService } from "../../src/rpc/methods.ts";
import { type Loopback, openLoopback, refusal } from "./loopback.ts";

const CONNECT_TIMEOUT_MS = 150;

const open: { close: () => unknown }[] = [];
afterEach(async () => {
  for (const one of open.splice(0).reverse()) await one.close();
});

/** A way to the server on which the first connection dies before the greeting, and nobody says so. */
async function swallowing(
  loopback: Loopback | undefined,
  port = 0,
): Promise<{ port: number; sockets: Socket[] }> {
  const target = Number(loopback?.endpoint.split(":")[1]);
  const sockets: Socket[] = [];
  const keep = (socket: Socket): void => {
    socket.on("error", () => undefined);
    open.push({ close: () => socket.destroy() });
  };
  const server = createServer((socket) => {
    keep(socket);
    sockets.push(socket);
    if (sockets.length === 1 || loopback === undefined) return;
    const onward = connect(target, "127.0.0.1");
    keep(onward);
    socket.pipe(onward).pipe(socket);
  });
  await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));
  open.push({ close: () => server.close() });
  return { port: portOf(server), sockets };
}

/** Nobody listens there. */
async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const port = portOf(server);
  await new Promise<void>((resolve) => server.close(() => resolve()));
  return port;
}

function portOf(server: Server): number {
  const address = server.address();
  return typeof address === "object" && address !== null ? address.port : 0;
}

/** Asks until there is an answer, for some seconds. */
async function answered<T>(ask: () => Promise<T>): Promise<T | undefined> {
  const endMs = performance.now() + 8000;
  while (performance.now() < endMs) {
    try {
      return await ask();
    } catch (error) {
      expect(error).toMatchObject({ reason: "UNREACHABLE" });
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
  return undefined;
}

test("connection: one that dies before the greeting is given up for another after two timeouts", async () => {
  const loopback = await openLoopback((registry) => {
    registry.unary(metadataService.getMetadata, () =>
      Promise.resolve(GetMetadataResponse.create({ clusterId: "c" })),
    );
  });
  open.push(loopback);
  const { port, sockets } = await swallowing(loopback);
  const options = { connectTimeoutMs: CONNECT_TIMEOUT_MS };
  const connection = grpcConnector(options).connect(`127.0.0.1:${port}`, "test");
  open.push(connection);
  const ask = (): Promise<GetMetadataResponse> =>
    connection.unary(metadataService.getMetadata, GetMetadataRequest.create({}), {
      timeoutMs: 10_000,
    });
  expect(await refusal(ask())).toMatchObject({ reason: "UNREACHABLE" });
  expect(sockets.length).toBe(1);
  expect(await answered(ask)).toMatchObject({ clusterId: "c" });
  expect(sockets.length).toBe(2);
});

test("connection: the same after the endpoint refused a while (grpc-js then says so at once, and goes on waiting)", async () => {
  const loopback = await openLoopback((registry) => {
    registry.unary(metadataService.getMetadata, () =>
      Promise.resolve(GetMetadataResponse.create({ clusterId: "c" })),
    );
  });
  open.push(loopback);
  const port = await freePort();
  const options = { connectTimeoutMs: CONNECT_TIMEOUT_MS };
  const connection = grpcConnector(options).connect(`127.0.0.1:${port}`, "test");
  open.push(connection);
  const ask = (): Promise<GetMetadataResponse> =>
    connection.unary(metadataService.getMetadata, GetMetadataRequest.create({}), {
      timeoutMs: 10_000,
    });
  expect(await refusal(ask())).toMatchObject({ reason: "UNREACHABLE", fields: { refused: true } });
  const { sockets } = await swallowing(loopback, port);
  expect(await answered(ask)).toMatchObject({ clusterId: "c" });
  expect(sockets.length).toBeGreaterThan(1);
});

test("connection: closing ends what waits, and what was given up", async () => {
  const port = await freePort();
  const { sockets } = await swallowing(undefined, port);
  const options = { connectTimeoutMs: CONNECT_TIMEOUT_MS };
  const connection = grpcConnector(options).connect(`127.0.0.1:${port}`, "test");
  const ask = (): Promise<GetMetadataResponse> =>
    connection.unary(metadataService.getMetadata, GetMetadataRequest.create({}), {
      timeoutMs: 10_000,
    });
  while (sockets.length < 2) await refusal(ask());
  const last = refusal(ask());
  connection.close();
  expect(await last).toMatchObject({ reason: "CANCELLED" });
  expect(await refusal(ask())).toMatchObject({ reason: "CLOSED" });
});
