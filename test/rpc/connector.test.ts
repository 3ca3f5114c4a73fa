import { connect, createServer, type Socket } from "node:net";
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
async function swallowing(loopback: Loopback): Promise<{ port: number; sockets: Socket[] }> {
  const target = Number(loopback.endpoint.split(":")[1]);
  const sockets: Socket[] = [];
  const keep = (socket: Socket): void => {
    socket.on("error", () => undefined);
    open.push({ close: () => socket.destroy() });
  };
  const server = createServer((socket) => {
    keep(socket);
    sockets.push(socket);
    if (sockets.length === 1) return;
    const onward = connect(target, "127.0.0.1");
    keep(onward);
    socket.pipe(onward).pipe(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  open.push({ close: () => server.close() });
  const address = server.address();
  return { port: typeof address === "object" && address !== null ? address.port : 0, sockets };
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
  for (let attempt = 0; attempt < 2; attempt += 1) {
    expect(await refusal(ask())).toMatchObject({ reason: "UNREACHABLE" });
    expect(sockets.length).toBe(1);
  }
  expect(await ask()).toMatchObject({ clusterId: "c" });
  expect(sockets.length).toBe(2);
});
