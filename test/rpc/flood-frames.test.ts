// Floods of frames and of connections that fail in the middle of them: the process must survive. Frames by hand.
import { connect } from "node:net";
import { afterEach, expect, test } from "vitest";
import { MEMORY_BUDGET_MIN, MemoryBudget } from "../../src/model/memory-budget.ts";
import { GetMetadataRequest, GetMetadataResponse } from "../../src/rpc/generated/flotilla-v1.ts";
import { metadataService } from "../../src/rpc/methods.ts";
import {
  callHeaders,
  END_HEADERS,
  FRAME,
  frame,
  headerBlock,
  PREFACE,
  SETTINGS,
} from "../flood/raw-http2.ts";
import { type Loopback, openLoopback } from "./loopback.ts";

let loopback: Loopback | undefined;
afterEach(async () => {
  await loopback?.close();
  loopback = undefined;
});

async function open(
  connectionsMax?: number,
): Promise<{ loopback: Loopback; limits: Set<unknown> }> {
  const limits = new Set<unknown>();
  loopback = await openLoopback(
    (registry) => {
      registry.unary(metadataService.getMetadata, () =>
        Promise.resolve(GetMetadataResponse.create()),
      );
    },
    {
      memory: new MemoryBudget(MEMORY_BUDGET_MIN),
      ...(connectionsMax !== undefined && { limits: { connectionsMax } }),
      calls: {
        started: () => undefined,
        ended: () => undefined,
        refused: (_method, error) => void limits.add(error.fields["limit"]),
      },
    },
  );
  return { loopback, limits };
}

/** Sends all of it on a connection of its own; resolves when the connection ended. */
function send(port: number, bytes: Buffer): Promise<void> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    socket.on("error", () => undefined);
    socket.once("close", () => resolve());
    socket.resume();
    socket.write(Buffer.concat([PREFACE, SETTINGS, bytes]));
    setTimeout(() => socket.destroy(), 3000).unref();
  });
}

async function stillServes({ connect: dial }: Loopback): Promise<void> {
  const request = GetMetadataRequest.create();
  await dial().unary(metadataService.getMetadata, request, { timeoutMs: 10_000 });
}

const CALL = headerBlock(callHeaders(metadataService.getMetadata.path));
const headers = (stream: number): Buffer => frame(FRAME.HEADERS, END_HEADERS, stream, CALL);
const reset = (stream: number): Buffer =>
  frame(FRAME.RST_STREAM, 0, stream, Buffer.from([0, 0, 0, 8]));
const odd = (count: number): number[] => Array.from({ length: count }, (_, n) => n * 2 + 1);

test("frames: streams that are broken off as they open, thousands in one breath", async () => {
  const opened = await open();
  const bytes = Buffer.concat(odd(5000).flatMap((id) => [headers(id), reset(id)]));
  await Promise.all(Array.from({ length: 8 }, () => send(opened.loopback.server.port, bytes)));
  await stillServes(opened.loopback);
}, 30_000);

test("frames: a connection that fails right after it opened streams", async () => {
  const opened = await open();
  // Frames on streams that were never opened, and a header block that is none.
  const invalid = odd(1500).map((id) => frame(FRAME.DATA, 0, id + 10_000, Buffer.alloc(1)));
  const late = odd(1500).map(() => frame(FRAME.DATA, 0, 1, Buffer.alloc(0)));
  const broken = frame(FRAME.HEADERS, END_HEADERS, 20_001, Buffer.alloc(20, 0xff));
  const first = Buffer.concat(odd(100).map(headers));
  const floods = [
    Buffer.concat([first, ...invalid]),
    Buffer.concat([first, broken]),
    Buffer.concat([headers(1), reset(1), headers(3), ...late, headers(5)]),
    Buffer.concat([headers(1), frame(FRAME.DATA, 1, 1, Buffer.alloc(5)), headers(3), ...late]),
    Buffer.concat([first, Buffer.alloc(40_000, 0xff)]),
  ];
  for (let round = 0; round < 6; round += 1) {
    await Promise.all(floods.map((bytes) => send(opened.loopback.server.port, bytes)));
  }
  await stillServes(opened.loopback);
}, 60_000);

test.each([
  ["PING", Buffer.concat(odd(3000).map(() => frame(FRAME.PING, 0, 0, Buffer.alloc(8))))],
  ["SETTINGS", Buffer.concat(odd(3000).map(() => SETTINGS))],
])(
  "frames: a flood of %s ends the connection",
  async (_name, bytes) => {
    const opened = await open();
    await Promise.all(Array.from({ length: 4 }, () => send(opened.loopback.server.port, bytes)));
    await expect.poll(() => [...opened.limits]).toContain("connection.control-frames");
    await stillServes(opened.loopback);
  },
  30_000,
);

test("connections far beyond their limit that speak before they are looked at: they end, and nothing else does", async () => {
  const { loopback } = await open(1);
  const port = Number(loopback.endpoint.split(":").at(-1));
  for (let round = 0; round < 2; round += 1) {
    await Promise.all(Array.from({ length: 12 }, () => send(port, Buffer.alloc(0))));
  }
  await stillServes(loopback);
}, 60_000);
