// Reads HTTP/2 frames as far as the fuzzer must know them: which calls of an input are fine as far as HTTP/2 is concerned,
// and which streams the broker ended with trailers.
import {
  callHeaders,
  END_HEADERS,
  END_STREAM,
  FRAME,
  headerBlock,
  PREFACE,
} from "../flood/raw-http2.ts";
import { METHODS } from "./subjects/wire.ts";

interface ReadFrame {
  readonly type: number;
  readonly flags: number;
  readonly stream: number;
  readonly payload: Buffer;
}

const HEAD_BYTES = 9;
const GOOD_BLOCKS = new Set(METHODS.map(({ path }) => blockOf(path).toString("latin1")));

/** What the fuzzer's calls have as headers; the deadline ends streams that would wait for more. */
export function blockOf(path: string): Buffer {
  return headerBlock({ ...callHeaders(path), "grpc-timeout": "50m" });
}

/** All frames, and whether something was left that is none. */
function framesIn(bytes: Buffer): { readonly frames: ReadFrame[]; readonly rest: Buffer } {
  const frames: ReadFrame[] = [];
  let at = 0;
  while (at + HEAD_BYTES <= bytes.length) {
    const end = at + HEAD_BYTES + bytes.readUIntBE(at, 3);
    if (end > bytes.length) break;
    frames.push({
      type: bytes.readUInt8(at + 3),
      flags: bytes.readUInt8(at + 4),
      stream: bytes.readUInt32BE(at + 5),
      payload: bytes.subarray(at + HEAD_BYTES, end),
    });
    at = end;
  }
  return { frames, rest: bytes.subarray(at) };
}

/**
 * Streams with a whole call, when all frames of the connection are as RFC 9113 wants them; empty when in doubt. What
 * stands in DATA does not matter.
 */
export function wholeCalls(bytes: Buffer): number[] {
  if (!bytes.subarray(0, PREFACE.length).equals(PREFACE)) return [];
  const { frames, rest } = framesIn(bytes.subarray(PREFACE.length));
  const [first, ...others] = frames;
  if (rest.length > 0 || first === undefined || !isSettings(first)) return [];
  const ended: number[] = [];
  let last = 0;
  let blocks: Buffer[] | undefined;
  for (const frame of others) {
    const { flags, payload, stream, type } = frame;
    if (blocks !== undefined) {
      if (type !== FRAME.CONTINUATION || stream !== last) return [];
      blocks.push(payload);
    } else if (type === FRAME.HEADERS && (flags & ~END_HEADERS) === 0) {
      if (stream % 2 !== 1 || stream <= last || stream > 0x7fff_ffff) return [];
      last = stream;
      blocks = [payload];
    } else if (type === FRAME.DATA && (flags & ~END_STREAM) === 0) {
      if (stream !== last || ended.includes(stream) || payload.length > 0x4000) return [];
      if (flags === END_STREAM) ended.push(stream);
    } else if (!isPing(frame) && !isSettings(frame)) return [];
    if (blocks === undefined || type === FRAME.DATA) continue;
    if ((flags & ~END_HEADERS) !== 0) return [];
    if (flags !== END_HEADERS) continue;
    if (!GOOD_BLOCKS.has(Buffer.concat(blocks).toString("latin1"))) return [];
    blocks = undefined;
  }
  return ended;
}

function isSettings({ flags, payload, stream, type }: ReadFrame): boolean {
  return type === FRAME.SETTINGS && flags === 0 && stream === 0 && payload.length === 0;
}

function isPing({ flags, payload, stream, type }: ReadFrame): boolean {
  return type === FRAME.PING && flags === 0 && stream === 0 && payload.length === 8;
}

/** What the broker sends. */
export class FrameReader {
  #rest: Buffer = Buffer.alloc(0);
  readonly #seen: string[] = [];
  /** Streams that were broken off, also after their trailers. */
  readonly resets = new Set<number>();

  /** Types and streams of all frames so far, for people. */
  get summary(): string {
    return this.#seen.join(" ");
  }

  /** Streams that ended with trailers in these bytes. */
  endedStreams(bytes: Buffer): number[] {
    const { frames, rest } = framesIn(Buffer.concat([this.#rest, bytes]));
    this.#rest = rest;
    for (const { flags, stream, type } of frames) {
      this.#seen.push(`${type}/${flags}/${stream}`);
      if (type === FRAME.RST_STREAM) this.resets.add(stream);
    }
    const isTrailers = ({ flags, type }: ReadFrame): boolean =>
      type === FRAME.HEADERS && (flags & END_STREAM) !== 0;
    return frames.filter(isTrailers).map(({ stream }) => stream);
  }
}
