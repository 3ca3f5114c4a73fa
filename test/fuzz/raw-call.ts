// A gRPC call over an HTTP/2 client that is fine, with any bytes where messages and their prefixes stand.
import { type ClientHttp2Session, constants } from "node:http2";
import { errorOfStatus } from "../../src/rpc/status.ts";

const ANSWER_MS = 15_000;
/** Ends streams that would wait for more. */
const CALL_TIMEOUT = "300m";
/** What grpc-js itself answers with code 13, before we see anything: not a defect of the broker. */
const TRANSPORTS_OWN = ["Failed to decompress message"];

/** How a call was answered: grpc-status, and whether anything was said with it. */
export interface CallEnd {
  readonly code: number;
  readonly message: string;
}

/**
 * Every such call must end with a gRPC status, never with a reset or a connection that is gone.
 * @param pieces DATA frames
 * @throws Error when there is no status in time, or one that is a defect of the broker
 */
export function callWith(
  session: ClientHttp2Session,
  path: string,
  pieces: readonly Buffer[],
  headers: Readonly<Record<string, string>> = {},
): Promise<CallEnd> {
  return new Promise((resolve, reject) => {
    const stream = session.request({
      ":method": "POST",
      ":path": path,
      "content-type": "application/grpc",
      te: "trailers",
      "grpc-timeout": CALL_TIMEOUT,
      ...headers,
    });
    const timer = setTimeout(() => reject(new Error(`${path} was never answered`)), ANSWER_MS);
    let end: CallEnd | undefined;
    const look = (got: Readonly<Record<string, unknown>>): void => {
      if (got["grpc-status"] === undefined) return;
      const code = Number(got["grpc-status"]);
      const message = decodeURI(String(got["grpc-message"] ?? ""));
      end = { code, message };
      const details = got["grpc-status-details-bin"];
      const bytes = typeof details === "string" ? Buffer.from(details, "base64") : undefined;
      if (code !== 0 && isDefect(code, message, bytes)) reject(new Error(`${path}: ${message}`));
    };
    stream.on("response", look);
    stream.on("trailers", look);
    stream.on("error", () => undefined);
    stream.once("close", () => {
      clearTimeout(timer);
      if (end !== undefined) resolve(end);
      else reject(new Error(`${path} ended without a status, ${resetName(stream.rstCode)}`));
    });
    stream.resume();
    for (const piece of pieces) stream.write(piece);
    stream.end();
  });
}

function isDefect(code: number, message: string, details: Buffer | undefined): boolean {
  if (TRANSPORTS_OWN.includes(message)) return false;
  return errorOfStatus({ code, message, details }).reason === "INTERNAL";
}

function resetName(code: number): string {
  return code === constants.NGHTTP2_NO_ERROR ? "nor reset" : `reset with ${code}`;
}
