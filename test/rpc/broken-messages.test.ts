// What a call gets whose frames are fine and whose messages are not. grpc-js answers these before we see anything, without
// ErrorInfo; a client of ours takes them by their code. What it answers stands here, because nothing of ours decides it.
import { type ClientHttp2Session, connect } from "node:http2";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { GetMetadataResponse } from "../../src/rpc/generated/flotilla-v1.ts";
import { fetchService, metadataService } from "../../src/rpc/methods.ts";
import { message, zipped } from "../flood/wire.ts";
import { callWith } from "../fuzz/raw-call.ts";
import { type Loopback, openLoopback } from "./loopback.ts";

const UNARY = metadataService.getMetadata.path;
const BIDI = fetchService.fetch.path;

let loopback: Loopback;
let session: ClientHttp2Session;
beforeEach(async () => {
  loopback = await openLoopback((registry) => {
    registry.unary(metadataService.getMetadata, () =>
      Promise.resolve(GetMetadataResponse.create()),
    );
    registry.bidi(fetchService.fetch, (stream) => {
      stream.onEnd = (error) => stream.end(error);
    });
  });
  session = connect(`http://${loopback.endpoint}`);
});
afterEach(async () => {
  session.destroy();
  await loopback.close();
});

const BODY = Buffer.alloc(0);
const flagged = (flag: number, bytes: Buffer): Buffer => {
  const all = message(bytes);
  all[0] = flag;
  return all;
};
/** A field whose length goes beyond the message. */
const NO_PROTOBUF = message(Buffer.from([0x0a, 0x7f, 1]));
const CUT = message(Buffer.alloc(3), 10);
const GROSS = message(BODY, 0xffff_ffff);
interface Ending {
  readonly code: number;
  readonly words: string;
}
const OK: Ending = { code: 0, words: "OK" };
const NO_MESSAGE = { code: 12, words: "no request message" };
const TWO = { code: 12, words: "a second request message" };
const NOT_ZIPPED = { code: 13, words: "Failed to decompress message" };
const NO_SUCH_ENCODING = { code: 12, words: "unsupported encoding" };
const MALFORMED = { code: 3, words: "malformed message" };
const TOO_LARGE = { code: 8, words: "larger than max" };

// A stream that ends inside a message ends well: grpc-js does not look at what its decoder still holds, and nothing of the
// message reaches us. The flag says "compressed" only when it is 1, and only with an encoding in the headers.
describe.each([
  ["unary", UNARY, NO_MESSAGE, TWO],
  ["bidi", BIDI, OK, OK],
])("broken messages: %s", (_kind, path, none, two) => {
  it.each<[string, Buffer, string, Ending]>([
    ["nothing", BODY, "identity", none],
    ["whole", message(BODY), "identity", OK],
    ["whole and compressed", zipped(BODY), "gzip", OK],
    ["cut inside the message", CUT, "identity", none],
    ["cut inside the prefix", CUT.subarray(0, 3), "identity", none],
    ["two messages", Buffer.concat([message(BODY), message(BODY)]), "identity", two],
    ["a length of 4 GiB", GROSS, "identity", TOO_LARGE],
    ["no protobuf", NO_PROTOBUF, "identity", MALFORMED],
    ["flag of compression without an encoding", flagged(1, BODY), "identity", OK],
    ["a flag that there is not", flagged(7, BODY), "gzip", OK],
    ["compressed, and is not", flagged(1, Buffer.from("x")), "gzip", NOT_ZIPPED],
    ["compressed in another way", zipped(BODY), "deflate", NOT_ZIPPED],
    ["an encoding that there is not", zipped(BODY), "none-such", NO_SUCH_ENCODING],
  ])("%s", async (_name, bytes, encoding, end) => {
    const got = await callWith(session, path, [bytes], { "grpc-encoding": encoding });
    expect(got.code).toBe(end.code);
    expect(got.message).toContain(end.words);
    expect(loopback.defects).toEqual([]);
  });
});
