// What stands in DATA frames, over a transport that is fine: prefixes with wrong lengths and flags, messages that are cut or
// not what they are compressed as. Every call ends with a gRPC status.
import { connect } from "node:http2";
import { gzipSync } from "node:zlib";
import { message, zipped } from "../../flood/wire.ts";
import { callWith } from "../raw-call.ts";
import type { Subject } from "../subject.ts";
import type { FuzzedBroker } from "./broker.ts";
import { MESSAGE_SEEDS, METHODS } from "./wire.ts";

const ENCODINGS = ["identity", "gzip", "deflate", "none-such"];

/** close() must follow; the broker stays. */
export function prefixSubject({ assertUnharmed, node }: FuzzedBroker): Subject {
  const session = connect(`http://${node.client}`);
  session.on("error", () => undefined);
  let turn = 0;
  return {
    name: "grpc-prefix",
    seeds: MESSAGE_SEEDS.flatMap((bytes) => [
      message(bytes),
      zipped(bytes),
      Buffer.concat([message(bytes), message(bytes), zipped(bytes)]),
      message(bytes, bytes.length + 1),
      message(gzipSync(bytes), 0xffff_ffff),
    ]),
    cost: 10,
    async run(bytes) {
      const method = METHODS[turn % METHODS.length];
      turn += 1;
      if (method === undefined) return;
      for (const encoding of ENCODINGS) {
        const half = bytes.length / 2;
        const pieces = [bytes.subarray(0, half), bytes.subarray(half)];
        const headers = { "grpc-encoding": encoding };
        await callWith(session, method.path, encoding === "gzip" ? pieces : [bytes], headers);
      }
      await assertUnharmed();
    },
    close() {
      session.destroy();
      return Promise.resolve();
    },
  };
}
