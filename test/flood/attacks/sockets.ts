// Attacks below HTTP/2: connections that come and go, that say nothing, or that speak something else.
import { connect as connectTls } from "node:tls";
import { type Attack, pick, portOf, rest, type Target } from "../attack.ts";
import { drop, openSocket, PREFACE } from "../raw-http2.ts";
import type { Tally } from "../tally.ts";

/** Opens so many sockets, sends each the same bytes and keeps them; again when the broker ended most of them. */
async function holdSockets(
  target: Target,
  tally: Tally,
  signal: AbortSignal,
  options: { readonly count: number; readonly bytes: Buffer },
): Promise<void> {
  while (!signal.aborted) {
    const sockets = [];
    for (let place = 0; place < options.count && !signal.aborted; place += 1) {
      const socket = await openSocket(pick(target.clients, place), tally);
      socket.resume();
      if (options.bytes.length > 0) socket.write(options.bytes);
      tally.sent += 1;
      sockets.push(socket);
    }
    for (let looks = 0; looks < 40 && !signal.aborted; looks += 1) {
      await rest(250, signal);
      if (sockets.filter((socket) => !socket.destroyed).length < options.count / 10) break;
    }
    for (const socket of sockets) if (!socket.destroyed) drop(socket);
  }
}

const connectStorm: Attack = {
  name: "connect-storm",
  what: "opens and closes connections as fast as it can",
  effects: ["answered"],
  async run(target, tally, signal) {
    for (let place = 0; !signal.aborted; place += 1) {
      const sockets = await Promise.all(
        Array.from({ length: 20 }, () => openSocket(pick(target.clients, place), tally)),
      );
      tally.sent += sockets.length;
      tally.answered += sockets.filter((socket) => !socket.destroyed).length;
      for (const socket of sockets) drop(socket);
      await rest(5, signal);
    }
  },
};

const halfOpen: Attack = {
  name: "half-open",
  what: "900 connections that never say anything",
  effects: ["cut"],
  run: (target, tally, signal) =>
    holdSockets(target, tally, signal, { count: 900, bytes: Buffer.alloc(0) }),
};

const prefaceSilence: Attack = {
  name: "preface-silence",
  what: "900 connections that send HTTP/2's preface and nothing else",
  effects: ["cut"],
  run: (target, tally, signal) =>
    holdSockets(target, tally, signal, { count: 900, bytes: PREFACE }),
};

const http1: Attack = {
  name: "http1",
  what: "HTTP/1.1 requests on the client listener",
  effects: ["cut"],
  run: (target, tally, signal) =>
    holdSockets(target, tally, signal, {
      count: 200,
      bytes: Buffer.from("GET /metrics HTTP/1.1\r\nHost: broker\r\n\r\n"),
    }),
};

const tlsGarbage: Attack = {
  name: "tls",
  what: "TLS handshakes and noise on the plain listener",
  effects: ["cut"],
  async run(target, tally, signal) {
    const noise = Buffer.alloc(4096, 0x16);
    for (let place = 0; !signal.aborted; place += 1) {
      const { host, port } = portOf(pick(target.clients, place));
      const socket = connectTls({ host, port, rejectUnauthorized: false });
      socket.on("error", () => undefined);
      socket.once("close", () => {
        tally.cut += 1;
      });
      const plain = await openSocket(pick(target.clients, place + 1), tally);
      plain.resume();
      plain.write(noise);
      tally.sent += 2;
      await rest(20, signal);
      if (place % 50 === 49) socket.destroy();
    }
  },
};

export const socketAttacks: readonly Attack[] = [
  connectStorm,
  halfOpen,
  prefaceSilence,
  http1,
  tlsGarbage,
];
