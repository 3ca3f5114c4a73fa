import { connect, createServer, type Server, type Socket } from "node:net";
import { afterEach, expect, test } from "vitest";
import { LinkProxy } from "./link-proxy.ts";

const open: { close: () => unknown }[] = [];
afterEach(async () => {
  for (const one of open.splice(0)) await one.close();
});

/** A server that says everything twice, and a link to it. */
async function echo(): Promise<LinkProxy> {
  const server: Server = createServer((socket) => {
    socket.on("data", (chunk) => socket.write(Buffer.concat([chunk, chunk])));
    socket.on("error", () => undefined);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", () => resolve()));
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  const proxy = await LinkProxy.open("127.0.0.1", port);
  open.push(proxy, { close: () => server.close() });
  return proxy;
}

interface Dialled {
  readonly socket: Socket;
  readonly heard: () => string;
  readonly failure: () => string | undefined;
}

async function dial({ port }: LinkProxy): Promise<Dialled> {
  let text = "";
  let failure: string | undefined;
  const socket = connect(port, "127.0.0.1");
  socket.on("data", (chunk: Buffer) => {
    text += chunk.toString();
  });
  socket.on("error", (error: NodeJS.ErrnoException) => {
    failure = error.code;
  });
  open.unshift({ close: () => socket.destroy() });
  await new Promise<void>((resolve) => {
    socket.once("connect", () => resolve());
    socket.once("close", () => resolve());
  });
  return { socket, heard: () => text, failure: () => failure };
}

function soon(isTrue: () => boolean): Promise<void> {
  return expect.poll(isTrue, { timeout: 10_000 }).toBe(true);
}

test("link proxy: passes both directions, until one is blocked (up, down)", async () => {
  const proxy = await echo();
  const { heard, socket } = await dial(proxy);
  socket.write("a");
  await soon(() => heard() === "aa");
  proxy.blockUp();
  socket.write("b");
  await soon(() => proxy.counts.heldUp === 1);
  expect([heard(), proxy.counts.heldDown]).toEqual(["aa", 0]);
  proxy.heal();
  const again = await dial(proxy);
  proxy.blockDown();
  again.socket.write("c");
  await soon(() => proxy.counts.heldDown === 1);
  expect(again.heard()).toBe("");
});

test("link proxy: resets what is connected, and what connects, until it is healed", async () => {
  const proxy = await echo();
  const first = await dial(proxy);
  first.socket.write("a");
  await soon(() => first.heard() === "aa");
  proxy.refuse();
  await soon(() => first.failure() === "ECONNRESET");
  const second = await dial(proxy);
  await soon(() => second.failure() === "ECONNRESET");
  proxy.heal();
  const third = await dial(proxy);
  third.socket.write("b");
  await soon(() => third.heard() === "bb");
  expect(proxy.counts.resets).toBe(2);
});

test("link proxy: delays (slow)", async () => {
  const proxy = await echo();
  const { heard, socket } = await dial(proxy);
  proxy.slow();
  const startMs = performance.now();
  socket.write("a");
  await soon(() => heard() === "aa");
  expect(performance.now() - startMs).toBeGreaterThan(700);
  expect(proxy.counts.slowed).toBe(2);
});

test("link proxy: forgets one connection, the others work (the one that carried most upwards)", async () => {
  const proxy = await echo();
  const [quiet, busy] = [await dial(proxy), await dial(proxy)];
  quiet.socket.write("a");
  busy.socket.write("bcd");
  await soon(() => quiet.heard() === "aa" && busy.heard() === "bcdbcd");
  const [most, least] = proxy.carried("up").sort((a, b) => b.bytes - a.bytes);
  expect([most?.bytes, least?.bytes]).toEqual([3, 1]);
  most?.forget();
  busy.socket.write("e");
  quiet.socket.write("f");
  await soon(() => quiet.heard() === "aaff");
  expect([busy.heard(), busy.failure(), proxy.counts.heldUp]).toEqual(["bcdbcd", undefined, 1]);
  proxy.heal();
  await soon(() => busy.failure() === "ECONNRESET");
  expect(quiet.failure()).toBeUndefined();
});
