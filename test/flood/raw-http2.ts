// HTTP/2 by hand, as no library would speak it: frames over a plain socket (RFC 9113), headers without compression
// (RFC 7541 §6.2.2). For attacks only.
import { connect, type Socket } from "node:net";
import { portOf } from "./attack.ts";
import type { Tally } from "./tally.ts";

export const PREFACE: Buffer = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
export const FRAME = {
  DATA: 0,
  HEADERS: 1,
  RST_STREAM: 3,
  SETTINGS: 4,
  PING: 6,
  CONTINUATION: 9,
} as const;
export const END_STREAM = 1;
export const END_HEADERS = 4;

export function frame(type: number, flags: number, stream: number, payload: Buffer): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

export const SETTINGS: Buffer = frame(FRAME.SETTINGS, 0, 0, Buffer.alloc(0));

/** A header block of literals; names and values below 2^14 characters. */
export function headerBlock(headers: Readonly<Record<string, string>>): Buffer {
  const parts: Buffer[] = [];
  for (const [name, value] of Object.entries(headers)) {
    parts.push(Buffer.from([0]), text(name), text(value));
  }
  return Buffer.concat(parts);
}

export function callHeaders(path: string): Record<string, string> {
  return {
    ":method": "POST",
    ":scheme": "http",
    ":path": path,
    ":authority": "flood",
    "content-type": "application/grpc",
    te: "trailers",
  };
}

function text(value: string): Buffer {
  const bytes = Buffer.from(value);
  return Buffer.concat([integer(bytes.length), bytes]);
}

/** Seven bits of prefix. */
function integer(value: number): Buffer {
  if (value < 127) return Buffer.from([value]);
  const bytes = [127];
  let rest = value - 127;
  for (; rest >= 128; rest = Math.floor(rest / 128)) bytes.push((rest % 128) | 128);
  bytes.push(rest);
  return Buffer.from(bytes);
}

/** Sockets that we ended ourselves. */
const dropped = new WeakSet<Socket>();

/** A socket whose end is counted; resolves when it stands or failed. */
export function openSocket(endpoint: string, tally: Tally): Promise<Socket> {
  return new Promise((resolve) => {
    const socket = connect(portOf(endpoint));
    socket.on("error", () => undefined);
    socket.once("connect", () => {
      tally.connected += 1;
      resolve(socket);
    });
    socket.once("close", () => {
      if (!dropped.has(socket)) tally.cut += 1;
      resolve(socket);
    });
  });
}

/** Ends a socket without counting it as cut by the broker. */
export function drop(socket: Socket): void {
  dropped.add(socket);
  socket.destroy();
}

/** Writes as fast as the other end takes it. False: the socket is gone. */
export function push(socket: Socket, bytes: Buffer): Promise<boolean> {
  if (socket.destroyed) return Promise.resolve(false);
  if (socket.write(bytes)) return new Promise((resolve) => setImmediate(resolve, true));
  return new Promise((resolve) => {
    const done = (): void => {
      socket.removeListener("drain", done);
      socket.removeListener("close", done);
      resolve(!socket.destroyed);
    };
    socket.once("drain", done);
    socket.once("close", done);
  });
}
