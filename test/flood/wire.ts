// gRPC calls of attacks: over the project's own connector where refusals are read, and over plain HTTP/2 sessions where the
// window is what is abused.
import { type ClientHttp2Session, type ClientHttp2Stream, connect } from "node:http2";
import { gzipSync } from "node:zlib";
import { grpcConnector } from "../../src/rpc/connector.ts";
import type { Connection } from "../../src/rpc/ports.ts";
import { errorOfStatus } from "../../src/rpc/status.ts";
import { countError, type Tally } from "./tally.ts";

/** Of a client with many attacks in flight; its own memory is nobody's concern here. MB. */
const SESSION_MEMORY = 4000;

export function dial(endpoint: string): Connection {
  return grpcConnector({ userAgent: "flood" }).connect(endpoint, "flood");
}

/** A session that takes `windowBytes` per stream and no more, unless it reads. */
export function openSession(
  endpoint: string,
  tally: Tally,
  windowBytes: number,
): ClientHttp2Session {
  const session = connect(`http://${endpoint}`, {
    maxSessionMemory: SESSION_MEMORY,
    settings: { initialWindowSize: windowBytes },
  });
  session.on("error", () => undefined);
  session.once("connect", () => {
    tally.connected += 1;
  });
  session.once("goaway", () => {
    tally.cut += 1;
  });
  return session;
}

/** A call whose end is counted; nothing is read from it. */
export function openCall(
  session: ClientHttp2Session,
  path: string,
  tally: Tally,
  headers: Readonly<Record<string, string>> = {},
): ClientHttp2Stream | undefined {
  if (session.destroyed || session.closed) return undefined;
  const stream = session.request({
    ":method": "POST",
    ":path": path,
    "content-type": "application/grpc",
    te: "trailers",
    ...headers,
  });
  tally.sent += 1;
  stream.on("error", () => undefined);
  const look = (got: Readonly<Record<string, unknown>>): void => {
    const code = Number(got["grpc-status"] ?? 0);
    if (code === 0) return;
    const details = got["grpc-status-details-bin"];
    countError(
      tally,
      errorOfStatus({
        code,
        message: String(got["grpc-message"] ?? ""),
        details: typeof details === "string" ? Buffer.from(details, "base64") : undefined,
      }),
    );
  };
  stream.on("response", look);
  stream.on("trailers", look);
  stream.once("close", () => {
    if (stream.rstCode === ENHANCE_YOUR_CALM) tally.cut += 1;
  });
  return stream;
}

const ENHANCE_YOUR_CALM = 11;

/** A gRPC message with its prefix. */
export function message(bytes: Buffer, declaredBytes: number = bytes.length): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt32BE(declaredBytes, 1);
  return Buffer.concat([head, bytes]);
}

/** The same, compressed. */
export function zipped(bytes: Buffer): Buffer {
  const body = message(gzipSync(bytes));
  body[0] = 1;
  return body;
}

/** A call whose answer or failure is counted. */
export async function counted(tally: Tally, call: Promise<unknown>): Promise<void> {
  tally.sent += 1;
  try {
    await call;
    tally.answered += 1;
  } catch (error) {
    countError(tally, error);
  }
}
