import { Server } from "@grpc/grpc-js";
import { afterEach, expect, test } from "vitest";
import { systemClock } from "../../src/base/clock.ts";
import { AttachRequest, PeerEnvelope } from "../../src/rpc/generated/flotilla-internal-v1.ts";
import { LaneBatch, ProduceRequest, ProduceResponse } from "../../src/rpc/generated/flotilla-v1.ts";
import { peerService, produceService } from "../../src/rpc/methods.ts";
import type { MessageStream } from "../../src/rpc/ports.ts";
import { openServerWindows } from "../../src/rpc/server-window.ts";
import { type Loopback, openLoopback, record } from "./loopback.ts";

const KIB = 1024;
const MIB = 1024 * KIB;

let loopback: Loopback | undefined;
afterEach(async () => {
  await loopback?.close();
  loopback = undefined;
});

test.each([
  [64 * KIB, 4 * MIB],
  [512 * KIB, 4 * MIB],
])(
  "window: a client sends ahead of a paused broker by its window (messages of %i, window %i)",
  async (messageBytes, windowBytes) => {
    let received = 0;
    let serverEnd: MessageStream<unknown, unknown> | undefined;
    loopback = await openLoopback(
      (registry) => {
        registry.bidi(produceService.produce, (stream) => {
          stream.pause();
          stream.onMessage = () => {
            received += 1;
          };
          serverEnd = stream as unknown as MessageStream<unknown, unknown>;
          stream.send(ProduceResponse.create());
        });
      },
      { receiveWindowBytes: windowBytes },
    );
    const stream = loopback.connect().bidi(produceService.produce);
    await record(stream).count(1);
    const message = ProduceRequest.create({
      batches: [LaneBatch.create({ batch: Buffer.alloc(messageBytes) })],
    });
    const sentBytes = await fill(stream, message, messageBytes);
    // Window, one message read ahead by grpc-js, one by the stream, and our own send buffer.
    expect(sentBytes).toBeGreaterThan(windowBytes * 0.75);
    expect(sentBytes).toBeLessThan(windowBytes + 3 * MIB + 4 * messageBytes);
    expect(received).toBe(0);
    serverEnd?.resume();
    await expect.poll(() => received, { timeout: 5000 }).toBe(sentBytes / messageBytes);
  },
);

test("window: a broker sends ahead of a paused client by the client's window", async () => {
  let sentBytes = 0;
  loopback = await openLoopback((registry) => {
    registry.serverStream(peerService.attach, (_request, stream) => {
      const envelope = PeerEnvelope.create({
        snapshot: {
          groupId: 0,
          from: 0,
          to: 0,
          term: 0,
          index: 0,
          position: 0,
          totalBytes: 0,
          bytes: Buffer.alloc(64 * KIB),
          crc: 0,
          meta: Buffer.alloc(0),
        },
      });
      void fill(stream, envelope, 64 * KIB).then((bytes) => {
        sentBytes = bytes;
      });
    });
  });
  const stream = loopback
    .connect({ receiveWindowBytes: 4 * MIB })
    .serverStream(peerService.attach, AttachRequest.create());
  const recorded = record(stream);
  await recorded.count(1);
  stream.pause();
  await expect.poll(() => sentBytes, { timeout: 5000 }).toBeGreaterThan(4 * MIB);
  expect(sentBytes - recorded.messages.length * 64 * KIB).toBeLessThan(8 * MIB);
});

test("window: a grpc-js without the private parts is reported at start-up", () => {
  const server = new Server();
  const options = { windowBytes: MIB, socketsMax: 1, clock: systemClock };
  const events = { onSession: () => {}, onStream: () => true };
  expect(() => openServerWindows(server, options, events).assertInstalled()).toThrow(
    /server-window/,
  );
  Object.assign(server, { createHttp2Server: undefined });
  expect(() => openServerWindows(server, options, events)).toThrow(/server-window/);
});

/** Sends until nothing drains for a while; bytes that send() took. */
async function fill<Out>(
  stream: MessageStream<Out, never> | MessageStream<Out, unknown>,
  message: Out,
  messageBytes: number,
): Promise<number> {
  let sent = 0;
  for (;;) {
    let drained = (): void => {};
    const drain = new Promise<boolean>((resolve) => {
      drained = () => resolve(true);
    });
    stream.onDrain = drained;
    do sent += messageBytes;
    while (stream.send(message));
    const stalled = new Promise<boolean>((resolve) => setTimeout(() => resolve(false), 300));
    if (!(await Promise.race([drain, stalled]))) return sent;
  }
}
