// The fuzzer's own demands must be able to fail: a call without a status, a reset, calls that are whole and those that are not.
import { createServer, connect as dial, type ServerHttp2Stream } from "node:http2";
import type { AddressInfo } from "node:net";
import { describe, expect, it } from "vitest";
import { metadataService } from "../../src/rpc/methods.ts";
import { message } from "../flood/wire.ts";
import { callFrames, connectionBytes, type Frame, SETTINGS_FRAME } from "./frame-inputs.ts";
import { FrameReader, wholeCalls } from "./frame-reader.ts";
import { type CallEnd, callWith } from "./raw-call.ts";

const { path } = metadataService.getMetadata;

/** What the fuzzer says about a server that does this with every stream. */
async function verdictOn(answer: (stream: ServerHttp2Stream) => void): Promise<CallEnd> {
  const server = createServer();
  server.on("stream", (stream) => {
    stream.on("error", () => undefined);
    answer(stream);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const session = dial(`http://127.0.0.1:${port}`);
  try {
    return await callWith(session, path, [message(Buffer.alloc(0))]);
  } finally {
    session.destroy();
    server.close();
  }
}

describe("a call with any bytes", () => {
  it("status: of headers alone, and of trailers", async () => {
    const alone = verdictOn((stream) => stream.respond({ "grpc-status": 8 }, { endStream: true }));
    expect(await alone).toEqual({ code: 8, message: "" });
    const trailing = verdictOn((stream) => {
      stream.respond({}, { waitForTrailers: true });
      stream.once("wantTrailers", () => stream.sendTrailers({ "grpc-status": 0 }));
      stream.end();
    });
    expect(await trailing).toEqual({ code: 0, message: "" });
  });

  it.each<[string, (stream: ServerHttp2Stream) => void, string]>([
    ["no status", (stream) => stream.respond({}, { endStream: true }), "without a status"],
    ["a reset", (stream) => stream.close(2), "reset with 2"],
    ["a connection that is gone", (stream) => stream.session?.destroy(), "without a status"],
    ["INTERNAL", (stream) => stream.respond({ "grpc-status": 13 }, { endStream: true }), path],
  ])("finding: %s", async (_name, answer, words) => {
    await expect(verdictOn(answer)).rejects.toThrow(words);
  });
});

describe("frames of the fuzzer", () => {
  const call = callFrames(1, path, message(Buffer.from("x")), true);
  const bytes = (...frames: Frame[]): Buffer => connectionBytes([SETTINGS_FRAME, ...frames]);

  it("whole calls: by stream, whatever their messages say", () => {
    expect(wholeCalls(bytes(...call, ...callFrames(3, path, Buffer.from("?"))))).toEqual([1, 3]);
  });

  it.each<[string, Buffer]>([
    ["an end too early", bytes(...call).subarray(0, -1)],
    ["another preface", Buffer.concat([Buffer.from("X"), bytes(...call).subarray(1)])],
    ["no SETTINGS", connectionBytes(call)],
    ["a length", bytes(...call.map((one) => ({ ...one, length: one.payload.length + 1 })))],
    ["a type", bytes(...call.map((one) => ({ ...one, type: 5 })))],
    ["a flag", bytes(...call.map((one) => ({ ...one, flags: one.flags | 8 })))],
    ["an even stream", bytes(...call.map((one) => ({ ...one, stream: 2 })))],
    ["a stream twice", bytes(...call, ...call)],
    ["other headers", bytes(...callFrames(1, "/none", Buffer.alloc(0)))],
    ["no end of the stream", bytes(...call.slice(0, -1))],
  ])("no whole call: %s", (_name, input) => {
    expect(wholeCalls(input)).toEqual([]);
  });

  it("trailers: HEADERS that end a stream, also when they arrive in pieces", () => {
    const reader = new FrameReader();
    const trailers = Buffer.from([0, 0, 1, 1, 5, 0, 0, 0, 3, 0x88]);
    expect(reader.endedStreams(trailers.subarray(0, 4))).toEqual([]);
    expect(reader.endedStreams(trailers.subarray(4))).toEqual([3]);
  });
});
