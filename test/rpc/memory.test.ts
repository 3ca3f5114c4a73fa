// What clients can make a listener hold: a real server and real connections, some of them written frame by frame.
import { connect as connectHttp2 } from "node:http2";
import { connect } from "node:net";
import { afterEach, expect, test } from "vitest";
import type { BrokerError } from "../../src/model/errors.ts";
import { MEMORY_BUDGET_MIN, MemoryBudget, PURPOSE_NAMES } from "../../src/model/memory-budget.ts";
import { causeOf } from "../../src/rpc/connection-guard.ts";
import {
  GetMetadataRequest,
  GetMetadataResponse,
  LaneBatch,
  ProduceRequest,
  ProduceResponse,
} from "../../src/rpc/generated/flotilla-v1.ts";
import { metadataService, produceService } from "../../src/rpc/methods.ts";
import type { MessageStream, ServiceRegistry } from "../../src/rpc/ports.ts";
import { type Loopback, openLoopback, record, refusal } from "./loopback.ts";

const MIB = 1024 * 1024;

let loopback: Loopback | undefined;
afterEach(async () => {
  await loopback?.close();
  loopback = undefined;
});

interface Opened extends Loopback {
  readonly budget: MemoryBudget;
  readonly refused: BrokerError[];
}

async function open(services: (registry: ServiceRegistry) => void): Promise<Opened> {
  const budget = new MemoryBudget(MEMORY_BUDGET_MIN);
  const refused: BrokerError[] = [];
  loopback = await openLoopback(services, {
    memory: budget,
    calls: {
      started: () => undefined,
      ended: () => undefined,
      refused: (_method, error) => void refused.push(error),
    },
  });
  return { ...loopback, budget, refused };
}

function answering(bytes: number): (registry: ServiceRegistry) => void {
  return (registry) => {
    registry.unary(metadataService.getMetadata, () =>
      Promise.resolve(GetMetadataResponse.create({ clusterId: "x".repeat(bytes) })),
    );
  };
}

const ask = (connection: ReturnType<Loopback["connect"]>): Promise<unknown> =>
  connection.unary(metadataService.getMetadata, GetMetadataRequest.create(), { timeoutMs: 8000 });

test("receive: messages that never end are refused with a reason, and others are served meanwhile", async () => {
  const opened = await open(answering(10));
  const sessions = Array.from({ length: 4 }, () =>
    connectHttp2(`http://${opened.endpoint}`, { maxSessionMemory: 1000 }),
  );
  const statuses: string[] = [];
  for (const session of sessions) {
    session.on("error", () => undefined);
    for (let count = 0; count < 12; count += 1) {
      const stream = session.request({
        ":method": "POST",
        ":path": metadataService.getMetadata.path,
        "content-type": "application/grpc",
        te: "trailers",
      });
      stream.on("error", () => undefined);
      stream.on("response", (headers) => void statuses.push(String(headers["grpc-status"])));
      const head = Buffer.alloc(5);
      head.writeUInt32BE(16 * MIB, 1);
      stream.write(head);
      stream.write(Buffer.alloc(8 * MIB));
    }
  }
  await expect.poll(() => statuses.length, { timeout: 8000 }).toBeGreaterThan(5);
  expect(new Set(statuses)).toEqual(new Set(["8"]));
  expect(opened.budget.used("receive")).toBeLessThanOrEqual(opened.budget.limit("receive"));
  expect(opened.refused[0]).toMatchObject({
    reason: "OVERLOADED",
    fields: { limit: "memory.receive" },
  });
  await ask(opened.connect());
  for (const session of sessions) session.destroy();
  await expect.poll(() => opened.budget.used("receive"), { timeout: 5000 }).toBe(0);
});

test("receive: a request that is refused and ends in one breath is answered once", async () => {
  const opened = await open(answering(10));
  opened.budget.take("receive", opened.budget.limit("receive"));
  const calls = Array.from({ length: 20 }, () => refusal(ask(opened.connect())));
  for (const error of await Promise.all(calls)) {
    expect(error).toMatchObject({ reason: "OVERLOADED", fields: { limit: "memory.receive" } });
  }
});

test("receive: handled messages and ended streams hold nothing", async () => {
  const opened = await open((registry) => {
    registry.bidi(produceService.produce, (stream) => {
      stream.onMessage = () => void stream.send(ProduceResponse.create());
      stream.onEnd = () => stream.end();
    });
  });
  const stream = opened.connect().bidi(produceService.produce);
  const recorded = record(stream);
  for (let number = 0; number < 20; number += 1) {
    const batches = [LaneBatch.create({ number, batch: Buffer.alloc(MIB) })];
    stream.send(ProduceRequest.create({ batches }));
  }
  await recorded.count(20);
  expect(opened.budget.used("receive")).toBe(0);
  stream.end();
  await recorded.ended;
  await expect
    .poll(() => PURPOSE_NAMES.filter((purpose) => opened.budget.used(purpose) > 0))
    .toEqual(["connections"]);
});

test("send: answers that nobody takes are bounded, and given back when their client is gone", async () => {
  const opened = await open(answering(8 * MIB));
  const session = connectHttp2(`http://${opened.endpoint}`, {
    settings: { initialWindowSize: 0 },
  });
  session.on("error", () => undefined);
  for (let count = 0; count < 30; count += 1) {
    const stream = session.request({
      ":method": "POST",
      ":path": metadataService.getMetadata.path,
      "content-type": "application/grpc",
      te: "trailers",
    });
    stream.on("error", () => undefined);
    stream.end(Buffer.alloc(5));
  }
  await expect.poll(() => opened.budget.used("send"), { timeout: 5000 }).toBeGreaterThan(7 * MIB);
  expect(opened.budget.used("send")).toBeLessThanOrEqual(opened.budget.limit("send"));
  expect((await refusalOrNothing(ask(opened.connect())))?.fields).toEqual(
    expect.toSatisfy((fields: unknown) => fields === undefined || isSendLimit(fields)),
  );
  session.destroy();
  await expect.poll(() => opened.budget.used("send"), { timeout: 5000 }).toBe(0);
});

test("send: under pressure a stream that takes nothing for two seconds is broken off", async () => {
  const streams: MessageStream<ProduceResponse, ProduceRequest>[] = [];
  const opened = await open((registry) => {
    registry.bidi(produceService.produce, (stream) => void streams.push(stream));
  });
  const stream = opened.connect({ receiveWindowBytes: 65_535 }).bidi(produceService.produce);
  const recorded = record(stream);
  stream.send(ProduceRequest.create());
  await expect.poll(() => streams.length).toBe(1);
  stream.pause();
  opened.budget.take("send", opened.budget.limit("send") * 0.9);
  const metadata = { text: "y".repeat(500_000) };
  const refusals = [{ lane: 0, number: 0, reason: "", message: "", metadata }];
  for (let count = 0; count < 8; count += 1) {
    streams[0]?.send(ProduceResponse.create({ refusals }));
  }
  expect(await recorded.ended).toMatchObject({ reason: "OVERLOADED" });
});

test("connections: one that never speaks HTTP/2 is ended", async () => {
  const opened = await open(answering(1));
  const socket = connect(opened.server.port, "127.0.0.1");
  socket.resume();
  const sinceMs = performance.now();
  await new Promise((resolve) => socket.once("close", resolve));
  expect(performance.now() - sinceMs).toBeLessThan(8000);
  expect(opened.refused).toMatchObject([{ fields: { limit: "connection.silent" } }]);
}, 15_000);

test("connections: what a second must look like to end one", () => {
  const calm = {
    rawBytes: 0,
    dataBytes: 0,
    sentBytes: 0,
    streamsOpened: 0,
    resets: 0,
    pings: 0,
    settings: 0,
  };
  expect(causeOf(calm)).toBeUndefined();
  expect(causeOf({ ...calm, rawBytes: 60 * MIB, dataBytes: 59 * MIB })).toBeUndefined();
  expect(causeOf({ ...calm, rawBytes: 4 * MIB, streamsOpened: 3000 })).toBeUndefined();
  expect(causeOf({ ...calm, rawBytes: 2 * MIB, sentBytes: 100 * MIB })).toBeUndefined();
  expect(causeOf({ ...calm, rawBytes: MIB })).toBe("noise");
  expect(causeOf({ ...calm, resets: 1001 })).toBe("resets");
  expect(causeOf({ ...calm, pings: 150, settings: 100 })).toBe("control-frames");
});

function isSendLimit(fields: unknown): boolean {
  const { limit } = fields as { limit?: unknown };
  return limit === "memory.send";
}

async function refusalOrNothing(call: Promise<unknown>): Promise<BrokerError | undefined> {
  let isRefused = false;
  const watched = call.catch((error: unknown) => {
    isRefused = true;
    throw error;
  });
  await watched.catch(() => undefined);
  return isRefused ? refusal(call) : undefined;
}
