import { connect, createServer, type Socket } from "node:net";
import { afterEach, expect, test } from "vitest";
import { isBrokerError } from "../../src/model/errors.ts";
import { grpcConnector } from "../../src/rpc/connector.ts";
import { GetMetadataRequest, GetMetadataResponse } from "../../src/rpc/generated/flotilla-v1.ts";
import { metadataService } from "../../src/rpc/methods.ts";
import type { Connection } from "../../src/rpc/ports.ts";
import { freePorts } from "../support/free-ports.ts";
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
  const address = server.address();
  return { port: typeof address === "object" && address !== null ? address.port : 0, sockets };
}

async function metadataServer(): Promise<Loopback> {
  const loopback = await openLoopback((registry) => {
    registry.unary(metadataService.getMetadata, () =>
      Promise.resolve(GetMetadataResponse.create({ clusterId: "c" })),
    );
  });
  open.push(loopback);
  return loopback;
}

/** A connection, and one question after the other on it. */
function dial(port: number): { connection: Connection; ask: () => Promise<GetMetadataResponse> } {
  const options = { connectTimeoutMs: CONNECT_TIMEOUT_MS };
  const connection = grpcConnector(options).connect(`127.0.0.1:${port}`, "test");
  open.push(connection);
  const request = GetMetadataRequest.create({});
  const ask = (): Promise<GetMetadataResponse> =>
    connection.unary(metadataService.getMetadata, request, { timeoutMs: 10_000 });
  return { connection, ask };
}

/** Asks until there is an answer; until then nobody is to be reached. */
async function expectAnswer(ask: () => Promise<GetMetadataResponse>): Promise<void> {
  const outcome = (): Promise<string> =>
    ask().then(
      ({ clusterId }) => clusterId,
      (error: unknown) => (isBrokerError(error, "UNREACHABLE") ? "" : String(error)),
    );
  await expect.poll(outcome, { timeout: 8000, interval: 20 }).toBe("c");
}

test("connection: one that dies before the greeting is given up for another after two timeouts", async () => {
  const { port, sockets } = await swallowing(await metadataServer());
  const { ask } = dial(port);
  expect(await refusal(ask())).toMatchObject({ reason: "UNREACHABLE" });
  expect(sockets.length).toBe(1);
  await expectAnswer(ask);
  expect(sockets.length).toBe(2);
});

test("connection: the same after the endpoint refused a while (grpc-js then says so at once, and goes on waiting)", async () => {
  const loopback = await metadataServer();
  const [port = 0] = await freePorts(1);
  const { ask } = dial(port);
  expect(await refusal(ask())).toMatchObject({ reason: "UNREACHABLE", fields: { refused: true } });
  const { sockets } = await swallowing(loopback, port);
  await expectAnswer(ask);
  expect(sockets.length).toBeGreaterThan(1);
});

test("connection: closing ends what waits, and what was given up", async () => {
  const { port, sockets } = await swallowing(undefined);
  const { ask, connection } = dial(port);
  while (sockets.length < 2) await refusal(ask());
  const last = refusal(ask());
  connection.close();
  expect(await last).toMatchObject({ reason: "CANCELLED" });
  expect(await refusal(ask())).toMatchObject({ reason: "CLOSED" });
});
