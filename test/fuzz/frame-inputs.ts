// HTTP/2 connections as bytes, whole ones and ones in which single fields of frames are wrong: lengths, types, flags, stream
// ids, prefixes of messages; frames twice, missing, or in another order; the end too early.
import * as fc from "fast-check";
import { END_HEADERS, END_STREAM, FRAME, PREFACE } from "../flood/raw-http2.ts";
import { blockOf } from "./frame-reader.ts";

export interface Frame {
  readonly type: number;
  readonly flags: number;
  readonly stream: number;
  readonly payload: Buffer;
  /** Default: what the payload has. */
  readonly length?: number;
}

const LENGTHS = [0, 1, 4, 5, 8, 0x3fff, 0x4000, 0x4001, 0xffff, 0x7f_ffff, 0xff_ffff];
const PREFIX_LENGTHS = [0, 1, 0xffff, 0x0100_0000, 0x7fff_ffff, 0xffff_ffff];
const STREAMS = [0, 1, 2, 3, 5, 7, 0x7fff_ffff, 0x8000_0001, 0xffff_ffff];
/** Of the prefix: its flag, and where its length begins. */
const PREFIX_BYTES = 5;

export const SETTINGS_FRAME: Frame = frameOf(FRAME.SETTINGS, 0, 0, Buffer.alloc(0));

export function frameOf(type: number, flags: number, stream: number, payload: Buffer): Frame {
  return { type, flags, stream, payload };
}

/** HEADERS and DATA of a call, each DATA with a part of the body; `isSplit`: with CONTINUATION, and the body in two. */
export function callFrames(stream: number, path: string, body: Buffer, isSplit = false): Frame[] {
  const block = blockOf(path);
  if (!isSplit) {
    return [
      frameOf(FRAME.HEADERS, END_HEADERS, stream, block),
      frameOf(FRAME.DATA, END_STREAM, stream, body),
    ];
  }
  return [
    frameOf(FRAME.HEADERS, 0, stream, block.subarray(0, 20)),
    frameOf(FRAME.CONTINUATION, END_HEADERS, stream, block.subarray(20)),
    frameOf(FRAME.DATA, 0, stream, body.subarray(0, 3)),
    frameOf(FRAME.DATA, END_STREAM, stream, body.subarray(3)),
  ];
}

export function connectionBytes(frames: readonly Frame[]): Buffer {
  return Buffer.concat([PREFACE, ...frames.map(bytesOf)]);
}

function bytesOf({ flags, length, payload, stream, type }: Frame): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(length ?? payload.length, 0, 3);
  head.writeUInt8(type, 3);
  head.writeUInt8(flags, 4);
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

type Damage = (frames: readonly Frame[], at: number) => Frame[];

function change(how: (frame: Frame) => Frame): Damage {
  return (frames, at) => frames.map((frame, place) => (place === at ? how(frame) : frame));
}

/** As change(), of one of the frames with messages. */
function changeData(how: (frame: Frame) => Frame): Damage {
  return (frames, at) => {
    const data = frames.filter(({ type }) => type === FRAME.DATA);
    const chosen = data[at % Math.max(data.length, 1)];
    return frames.map((frame) => (frame === chosen ? how(frame) : frame));
  };
}

const byte = fc.integer({ min: 0, max: 255 });
const flip = fc.tuple(fc.nat({ max: 200 }), fc.integer({ min: 1, max: 255 })).map(
  ([place, mask]) =>
    (frame: Frame) =>
      flipped(frame, place, mask),
);
const cutOff = fc.nat({ max: 40 }).map((count) => (frame: Frame) => cut(frame, count));

/** Only what is in DATA is wrong: every call must be answered. */
const messageDamage: fc.Arbitrary<Damage> = fc.oneof(
  byte.map((flag) => changeData((frame) => withPrefix(frame, 0, flag))),
  fc
    .constantFrom(...PREFIX_LENGTHS)
    .map((length) => changeData((one) => withPrefix(one, 1, length))),
  flip.map(changeData),
  cutOff.map(changeData),
);

const frameDamage: fc.Arbitrary<Damage> = fc.oneof(
  fc.constantFrom(...LENGTHS).map((length) => change((frame) => ({ ...frame, length }))),
  byte.map((type) => change((frame) => ({ ...frame, type: type % 16 }))),
  byte.map((flags) => change((frame) => ({ ...frame, flags }))),
  fc.constantFrom(...STREAMS).map((stream) => change((frame) => ({ ...frame, stream }))),
  flip.map(change),
  cutOff.map(change),
  fc.constant<Damage>((frames, at) => frames.filter((_, place) => place !== at)),
  fc.constant<Damage>((frames, at) =>
    frames.flatMap((one, place) => (place === at ? [one, one] : one)),
  ),
  fc.constant<Damage>((frames, at) => [...frames.slice(at), ...frames.slice(0, at)]),
  messageDamage,
);

/** Connections made of these, with up to four things wrong. */
export function framesOf(whole: readonly (readonly Frame[])[]): fc.Arbitrary<Buffer> {
  const place = fc.nat({ max: 100 });
  const frames = fc.constantFrom(...whole);
  const few = { minLength: 1, maxLength: 4 };
  const onlyMessages = fc
    .tuple(frames, fc.array(fc.tuple(messageDamage, place), few))
    .map(([from, damages]) => connectionBytes(damaged(from, damages)));
  const anything = fc
    .tuple(frames, fc.array(fc.tuple(frameDamage, place), few), fc.option(fc.nat({ max: 400 })))
    .map(([from, damages, end]) =>
      connectionBytes(damaged(from, damages)).subarray(0, end ?? undefined),
    );
  return fc.oneof(onlyMessages, { weight: 2, arbitrary: anything });
}

function damaged(
  frames: readonly Frame[],
  damages: readonly (readonly [Damage, number])[],
): readonly Frame[] {
  return damages.reduce((sum, [apply, at]) => apply(sum, at % Math.max(sum.length, 1)), frames);
}

/** Only DATA has a prefix. */
function withPrefix(frame: Frame, at: 0 | 1, value: number): Frame {
  if (frame.type !== FRAME.DATA || frame.payload.length < PREFIX_BYTES) return frame;
  const payload = Buffer.from(frame.payload);
  if (at === 0) payload.writeUInt8(value, 0);
  else payload.writeUInt32BE(value, 1);
  return { ...frame, payload };
}

function flipped(frame: Frame, place: number, mask: number): Frame {
  const payload = Buffer.from(frame.payload);
  const at = place % Math.max(payload.length, 1);
  if (at < payload.length) payload.writeUInt8((payload[at] ?? 0) ^ mask, at);
  return { ...frame, payload };
}

function cut(frame: Frame, count: number): Frame {
  return { ...frame, payload: frame.payload.subarray(0, count) };
}
