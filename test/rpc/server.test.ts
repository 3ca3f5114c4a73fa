import { createServer } from "node:net";
import { Client, credentials, Metadata } from "@grpc/grpc-js";
import { afterEach, describe, expect, test } from "vitest";
import { type Deferred, deferred } from "../../src/base/deferred.ts";
import { BrokerError } from "../../src/model/errors.ts";
import { GRPC_MESSAGE_BYTES_MAX } from "../../src/model/limits.ts";
import { grpcConnector } from "../../src/rpc/connector.ts";
import { AttachRequest, PeerEnvelope } from "../../src/rpc/generated/flotilla-internal-v1.ts";
import {
  GetMetadataRequest,
  GetMetadataResponse,
  LaneAck,
  LaneBatch,
  ProduceRequest,
  type ProduceRequest as ProduceRequestType,
  ProduceResponse,
  PublishRequest,
  PublishResponse,
} from "../../src/rpc/generated/flotilla-v1.ts";
import { metadataService, peerService, produceService } from "../../src/rpc/methods.ts";
import type { CallContext, MessageStream, StreamHandler } from "../../src/rpc/ports.ts";
import { type Loopback, openLoopback, record, refusal } from "./loopback.ts";

let loopback: Loopback | undefined;
afterEach(async () => {
  await loopback?.close();
  loopback = undefined;
});

type ServerEnd = MessageStream<ProduceResponse, ProduceRequestType>;

async function openProduce(
  handler: StreamHandler<ProduceRequestType, ProduceResponse>,
  options: Parameters<typeof openLoopback>[1] = {},
): Promise<Loopback> {
  loopback = await openLoopback((registry) => {
    registry.bidi(produceService.produce, handler);
    registry.unary(metadataService.getMetadata, () =>
      Promise.resolve(GetMetadataResponse.create({ clusterId: "c" })),
    );
  }, options);
  return loopback;
}

function batchOf(bytes: number, number = 0): ProduceRequestType {
  return ProduceRequest.create({
    batches: [LaneBatch.create({ number, batch: Buffer.alloc(bytes, 7) })],
  });
}

function ackOf(firstNumber: number): ProduceResponse {
  return ProduceResponse.create({ acks: [LaneAck.create({ firstNumber })] });
}

/** Answers each message with the number of its first batch. */
function echo(stream: ServerEnd): void {
  stream.onMessage = (message) => stream.send(ackOf(message.batches[0]?.number ?? 0));
  stream.onEnd = () => stream.end();
}

describe("unary", () => {
  test("unary: carries request, response, peer and deadline", async () => {
    let context: CallContext | undefined;
    loopback = await openLoopback((registry) => {
      registry.unary(metadataService.getMetadata, (request, given) => {
        context = given;
        return Promise.resolve(GetMetadataResponse.create({ clusterId: request.topics.join() }));
      });
    });
    const request = GetMetadataRequest.create({ topics: ["a", "b"] });
    const response = await loopback
      .connect()
      .unary(metadataService.getMetadata, request, { timeoutMs: 5000 });
    expect(response.clusterId).toBe("a,b");
    expect(context?.peer).toMatch(/^127\.0\.0\.1:\d+$/);
    expect((context?.deadlineMs ?? 0) - performance.now()).toBeGreaterThan(1000);
  });

  test("unary: a BrokerError arrives with reason and fields", async () => {
    loopback = await openLoopback((registry) => {
      registry.unary(metadataService.getMetadata, () =>
        Promise.reject(new BrokerError("NOT_LEADER", "elsewhere – dort", { leaderId: 2 })),
      );
    });
    const call = loopback
      .connect()
      .unary(metadataService.getMetadata, GetMetadataRequest.create(), { timeoutMs: 5000 });
    expect(await refusal(call)).toMatchObject({
      reason: "NOT_LEADER",
      message: "elsewhere – dort",
      fields: { leaderId: 2 },
    });
  });

  test("unary: another exception is INTERNAL for the client and a defect for the owner", async () => {
    loopback = await openLoopback((registry) => {
      registry.unary(metadataService.getMetadata, () => Promise.reject(new TypeError("secret")));
    });
    const call = loopback
      .connect()
      .unary(metadataService.getMetadata, GetMetadataRequest.create(), { timeoutMs: 5000 });
    const error = await refusal(call);
    expect(error.reason).toBe("INTERNAL");
    expect(error.message).not.toContain("secret");
    expect(loopback.defects).toMatchObject([{ message: "secret" }]);
  });

  test("unary: an unknown method is UNSUPPORTED_VERSION", async () => {
    loopback = await openLoopback(() => {});
    const call = loopback
      .connect()
      .unary(metadataService.getMetadata, GetMetadataRequest.create(), { timeoutMs: 5000 });
    expect((await refusal(call)).reason).toBe("UNSUPPORTED_VERSION");
  });

  test("unary: deadline and abort reach the handler's signal", async () => {
    const aborted: string[] = [];
    loopback = await openLoopback((registry) => {
      registry.unary(metadataService.getMetadata, (request, { signal }) => {
        const name = request.topics[0] ?? "";
        return new Promise((resolve) => {
          signal.addEventListener("abort", () => {
            aborted.push(name);
            resolve(GetMetadataResponse.create());
          });
          if (name === "abort") caller.abort();
        });
      });
    });
    const caller = new AbortController();
    const connection = loopback.connect();
    const slow = connection.unary(
      metadataService.getMetadata,
      GetMetadataRequest.create({ topics: ["slow"] }),
      { timeoutMs: 100 },
    );
    expect((await refusal(slow)).reason).toBe("DEADLINE");
    const given = connection.unary(
      metadataService.getMetadata,
      GetMetadataRequest.create({ topics: ["abort"] }),
      { timeoutMs: 5000, signal: caller.signal },
    );
    expect((await refusal(given)).reason).toBe("CANCELLED");
    await expect.poll(() => aborted).toEqual(["slow", "abort"]);
  });
});

describe("bidi", () => {
  test("bidi: delivers in order, ends both ways", async () => {
    const { connect } = await openProduce(echo);
    const stream = connect().bidi(produceService.produce);
    const recorded = record(stream);
    for (let number = 0; number < 100; number += 1) stream.send(batchOf(10, number));
    stream.end();
    expect(await recorded.ended).toBeUndefined();
    expect(recorded.messages.map((message) => message.acks[0]?.firstNumber)).toEqual(
      Array.from({ length: 100 }, (_, number) => number),
    );
  });

  test("bidi: an error carries its reason, even to a paused reader", async () => {
    const { connect } = await openProduce((stream) => {
      stream.send(ackOf(0));
      stream.onMessage = () => {
        stream.send(ackOf(1));
        stream.end(new BrokerError("SHUTTING_DOWN", "bye", { after: 1 }));
      };
    });
    const stream = connect().bidi(produceService.produce);
    const recorded = record(stream);
    await recorded.count(1);
    stream.pause();
    stream.send(batchOf(1));
    expect(await recorded.ended).toMatchObject({ reason: "SHUTTING_DOWN", fields: { after: 1 } });
  });

  test("bidi: a paused reader gets everything before a normal end", async () => {
    const { connect } = await openProduce((stream) => {
      for (let number = 0; number < 40; number += 1) stream.send(ackOf(number));
      stream.end();
    });
    const stream = connect().bidi(produceService.produce);
    const recorded = record(stream);
    await recorded.count(1);
    stream.pause();
    const seen = recorded.messages.length;
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(recorded.messages).toHaveLength(seen);
    stream.resume();
    expect(await recorded.ended).toBeUndefined();
    expect(recorded.messages).toHaveLength(40);
  });

  test("bidi: cancelling at the client ends both sides with CANCELLED", async () => {
    const ended = deferred<BrokerError | undefined>();
    const signalled = deferred<void>();
    const { connect } = await openProduce((stream, { signal }) => {
      signal.addEventListener("abort", () => signalled.resolve());
      stream.onEnd = (error) => ended.resolve(error);
      stream.send(ackOf(0));
    });
    const stream = connect().bidi(produceService.produce);
    const recorded = record(stream);
    await recorded.count(1);
    stream.cancel();
    expect((await recorded.ended)?.reason).toBe("CANCELLED");
    expect((await ended.promise)?.reason).toBe("CANCELLED");
    await signalled.promise;
    expect(stream.send(batchOf(1))).toBe(false);
  });

  test("bidi: cancelling at the server breaks off a client that does not read", async () => {
    const { connect } = await openProduce((stream) => {
      const large = ProduceResponse.create({
        refusals: [{ lane: 0, number: 0, reason: "x", message: "x".repeat(1e6), metadata: {} }],
      });
      stream.onDrain = () => {};
      for (let i = 0; i < 40; i += 1) stream.send(large);
      stream.onMessage = () => stream.cancel();
    });
    const stream = connect().bidi(produceService.produce);
    const recorded = record(stream);
    stream.pause();
    stream.send(batchOf(1));
    expect((await recorded.ended)?.reason).toBe("UNREACHABLE");
  });

  test("bidi: malformed bytes are refused with a reason, other streams go on", async () => {
    const { connect, endpoint } = await openProduce(echo);
    const connection = connect();
    const other = connection.bidi(produceService.produce);
    const recorded = record(other);
    other.send(batchOf(1, 1));
    await recorded.count(1);
    const raw = { ...produceService.produce };
    const malformed = {
      ...raw,
      codec: { ...raw.codec, encodeRequest: () => Buffer.from([0x1a, 0xff]) },
    };
    const bad = connection.bidi(malformed);
    const badRecorded = record(bad);
    bad.send(batchOf(1));
    expect(await badRecorded.ended).toMatchObject({
      reason: "INVALID_REQUEST",
      fields: { field: "message" },
    });
    other.send(batchOf(1, 2));
    await recorded.count(2);
    expect(endpoint).toContain("127.0.0.1");
  });

  test("bidi: what a callback throws ends the call only (BrokerError, defect)", async () => {
    const { connect, defects } = await openProduce((stream) => {
      stream.onMessage = (message) => {
        if (message.batches[0]?.number === 0) throw new BrokerError("OVERLOADED", "no");
        throw new TypeError("oops");
      };
    });
    const connection = connect();
    const ends = [0, 1].map((number) => {
      const stream = connection.bidi(produceService.produce);
      stream.send(batchOf(1, number));
      return record(stream).ended;
    });
    expect((await Promise.all(ends)).map((end) => end?.reason)).toEqual(["OVERLOADED", "INTERNAL"]);
    expect(defects).toMatchObject([{ message: "oops" }]);
  });

  test("bidi: send answers false above the mark and onDrain follows", async () => {
    const { connect } = await openProduce(echo);
    const stream = connect().bidi(produceService.produce);
    const recorded = record(stream);
    const drained = deferred<void>();
    stream.onDrain = () => drained.resolve();
    let sent = 0;
    while (stream.send(batchOf(256 * 1024, sent))) sent += 1;
    expect(sent).toBeLessThan(16);
    await drained.promise;
    stream.end();
    await recorded.ended;
    expect(recorded.messages).toHaveLength(sent + 1);
  });
});

describe("server stream", () => {
  test("server stream: request in, messages out, end", async () => {
    loopback = await openLoopback((registry) => {
      registry.serverStream(peerService.attach, (request, stream) => {
        for (let index = 0; index < request.nodeId; index += 1) stream.send(PeerEnvelope.create());
        stream.end();
      });
    });
    const request = AttachRequest.create({ nodeId: 3, lane: "bulk" });
    const recorded = record(loopback.connect().serverStream(peerService.attach, request));
    expect(await recorded.ended).toBeUndefined();
    expect(recorded.messages).toHaveLength(3);
  });

  test("server stream: a refused request carries its reason; the handler hears of a lost client", async () => {
    const ended: Deferred<BrokerError | undefined> = deferred();
    loopback = await openLoopback((registry) => {
      registry.serverStream(peerService.attach, (request, stream) => {
        if (request.nodeId === 0) throw new BrokerError("CLUSTER_MISMATCH", "no");
        stream.onEnd = (error) => ended.resolve(error);
        stream.send(PeerEnvelope.create());
      });
    });
    const connection = loopback.connect();
    const refused = record(connection.serverStream(peerService.attach, AttachRequest.create()));
    expect((await refused.ended)?.reason).toBe("CLUSTER_MISMATCH");
    const request = AttachRequest.create({ nodeId: 1 });
    const recorded = record(connection.serverStream(peerService.attach, request));
    await recorded.count(1);
    connection.close();
    expect((await recorded.ended)?.reason).toBe("CANCELLED");
    expect((await ended.promise)?.reason).toBe("CANCELLED");
  });
});

describe("limits", () => {
  test("limits: calls above the limit of a connection are refused, never parked", async () => {
    const { connect } = await openProduce((stream) => void stream.send(ackOf(0)), {
      limits: { streamsPerConnectionMax: 4 },
    });
    const connection = connect();
    const streams = Array.from({ length: 4 }, () => connection.bidi(produceService.produce));
    await Promise.all(streams.map((stream) => record(stream).count(1)));
    const surplus = Array.from({ length: 60 }, () =>
      record(connection.bidi(produceService.produce)),
    );
    for (const end of await Promise.all(surplus.map((recorded) => recorded.ended))) {
      expect(end).toMatchObject({
        reason: "OVERLOADED",
        fields: { limit: "streamsPerConnection" },
      });
    }
    streams[0]?.cancel();
    await expect
      .poll(async () => {
        const recorded = record(connection.bidi(produceService.produce));
        return Promise.race([recorded.ended.then(() => "refused"), recorded.count(1)]);
      })
      .toBeUndefined();
  });

  test("limits: calls of surplus connections are refused with OVERLOADED", async () => {
    const { connect } = await openProduce(echo, { limits: { connectionsMax: 1 } });
    const ask = (connection: ReturnType<typeof connect>): Promise<unknown> =>
      connection.unary(metadataService.getMetadata, GetMetadataRequest.create(), {
        timeoutMs: 5000,
      });
    await ask(connect());
    expect(await refusal(ask(connect()))).toMatchObject({
      reason: "OVERLOADED",
      fields: { limit: "connections" },
    });
  });

  test("limits: a request slightly too large has a typed refusal, a huge one a plain one", async () => {
    loopback = await openLoopback((registry) => {
      registry.unary(produceService.publish, () => Promise.resolve(PublishResponse.create()));
    });
    const client = rawClient(loopback.endpoint);
    const slightly = await rawCall(client, Buffer.alloc(GRPC_MESSAGE_BYTES_MAX + 1));
    expect(slightly.code).toBe(3);
    expect(slightly.metadata.get("grpc-status-details-bin")).toHaveLength(1);
    expect((await rawCall(client, Buffer.alloc(GRPC_MESSAGE_BYTES_MAX * 2))).code).toBe(8);
    client.close();
  });

  test("limits: a message too large is refused before it is sent", async () => {
    loopback = await openLoopback((registry) => {
      registry.unary(produceService.publish, () => Promise.resolve(PublishResponse.create()));
    });
    const request = PublishRequest.create({
      messages: [{ headers: [], timestampMs: 0, messageId: "", value: Buffer.alloc(17 << 20) }],
    });
    const call = loopback.connect().unary(produceService.publish, request, { timeoutMs: 5000 });
    expect((await refusal(call)).reason).toBe("RECORD_TOO_LARGE");
  });

  test("limits: a compression bomb is not inflated beyond the message limit", async () => {
    loopback = await openLoopback((registry) => {
      registry.unary(produceService.publish, () => Promise.resolve(PublishResponse.create()));
    });
    const client = rawClient(loopback.endpoint, { "grpc.default_compression_algorithm": 2 });
    const before = process.memoryUsage().rss;
    const answer = await rawCall(client, Buffer.alloc(256 << 20));
    expect(answer.code).toBe(8);
    expect(answer.details).toMatch(/decompresses/);
    expect(process.memoryUsage().rss - before).toBeLessThan(700 << 20);
    client.close();
  });
});

describe("connector", () => {
  test("connector: a refused connection fails at once and says so (unary, bidi)", async () => {
    const port = await freePort();
    const connection = grpcConnector().connect(`127.0.0.1:${port}`, "x");
    for (let attempt = 0; attempt < 3; attempt += 1) {
      const started = performance.now();
      const call = connection.unary(metadataService.getMetadata, GetMetadataRequest.create(), {
        timeoutMs: 10_000,
      });
      const expected = { reason: "UNREACHABLE", fields: { refused: true } };
      expect(await refusal(call)).toMatchObject(expected);
      const stream = connection.bidi(produceService.produce);
      expect(await record(stream).ended).toMatchObject(expected);
      expect(performance.now() - started).toBeLessThan(500);
    }
    connection.close();
  });

  test("connector: a silent listener fails calls after the connect timeout", async () => {
    const silent = createServer(() => {});
    await new Promise<void>((resolve) => silent.listen(0, "127.0.0.1", resolve));
    const address = silent.address();
    const port = typeof address === "object" && address !== null ? address.port : 0;
    const connection = grpcConnector({ connectTimeoutMs: 100 }).connect(`127.0.0.1:${port}`, "x");
    const call = connection.unary(metadataService.getMetadata, GetMetadataRequest.create(), {
      timeoutMs: 10_000,
    });
    const stream = record(connection.bidi(produceService.produce));
    expect(await refusal(call)).toMatchObject({ reason: "UNREACHABLE", fields: {} });
    expect((await stream.ended)?.reason).toBe("UNREACHABLE");
    connection.close();
    silent.close();
  });

  test("connector: finds a broker that comes back within its backoff", async () => {
    const port = await freePort();
    const connection = grpcConnector().connect(`127.0.0.1:${port}`, "x");
    const ask = (): Promise<unknown> =>
      connection.unary(metadataService.getMetadata, GetMetadataRequest.create(), {
        timeoutMs: 5000,
      });
    for (let attempt = 0; attempt < 20; attempt += 1) await refusal(ask());
    await openProduce(echo, { port });
    const started = performance.now();
    await expect
      .poll(
        () =>
          ask().then(
            () => true,
            () => false,
          ),
        { interval: 20, timeout: 5000 },
      )
      .toBe(true);
    expect(performance.now() - started).toBeLessThan(2000);
    connection.close();
  });

  test("connector: a broker that dies ends streams with UNREACHABLE, even paused ones", async () => {
    const { connect, server } = await openProduce((stream) => void stream.send(ackOf(0)));
    const stream = connect().bidi(produceService.produce);
    const recorded = record(stream);
    await recorded.count(1);
    stream.pause();
    await server.close(0);
    expect((await recorded.ended)?.reason).toBe("UNREACHABLE");
  });

  test("connector: after close calls are refused with CLOSED", async () => {
    const { connect } = await openProduce(echo);
    const connection = connect();
    connection.close();
    const call = connection.unary(metadataService.getMetadata, GetMetadataRequest.create(), {
      timeoutMs: 1000,
    });
    expect((await refusal(call)).reason).toBe("CLOSED");
    expect((await record(connection.bidi(produceService.produce)).ended)?.reason).toBe("CLOSED");
  });
});

test("server: close lets calls end within the grace time", async () => {
  const opened = deferred<ServerEnd>();
  const { connect, server } = await openProduce((stream) => opened.resolve(stream));
  const recorded = record(connect().bidi(produceService.produce));
  const serverEnd = await opened.promise;
  const closed = server.close(5000);
  serverEnd.send(ackOf(1));
  serverEnd.end();
  expect(await recorded.ended).toBeUndefined();
  expect(recorded.messages).toHaveLength(1);
  await closed;
});

test("server: an address in use is an error", async () => {
  const { server } = await openProduce(echo);
  await expect(openLoopback(() => {}, { port: server.port })).rejects.toThrow();
});

function rawClient(endpoint: string, options: Record<string, number> = {}): Client {
  const insecure = credentials.createInsecure();
  return new Client(endpoint, insecure, { "grpc.max_send_message_length": -1, ...options });
}

function rawCall(
  client: Client,
  bytes: Buffer,
): Promise<{ code: number; details: string; metadata: Metadata }> {
  return new Promise((resolve) => {
    client.makeUnaryRequest(
      "/flotilla.v1.ProduceService/Publish",
      (given: Buffer) => given,
      (given: Buffer) => given,
      bytes,
      (error) => {
        resolve(error ?? { code: 0, details: "", metadata: new Metadata() });
      },
    );
  });
}

async function freePort(): Promise<number> {
  const probe = createServer();
  await new Promise<void>((resolve) => probe.listen(0, "127.0.0.1", resolve));
  const address = probe.address();
  await new Promise<void>((resolve) => probe.close(() => resolve()));
  return typeof address === "object" && address !== null ? address.port : 0;
}
