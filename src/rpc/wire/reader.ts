// Reads protobuf wire format. Called by the generated codecs only. It bounds everything that bytes from outside could
// blow up: no read leaves the message, 64-bit numbers beyond 2^53 − 1 are refused, and one gRPC message may not contain
// more repeated elements than its budget (two bytes on the wire can become a hundred on the heap).
// Source of the format: protobuf.dev, "Encoding".
import { isUtf8 } from "node:buffer";
import { BrokerError } from "../../model/errors.ts";

/** Repeated elements that one request may contain; a broker decodes requests of strangers. */
export const REQUEST_ELEMENTS_MAX = 65_536;
/** The same for one message of a stream: a megabyte of the smallest batches. */
export const STREAM_ELEMENTS_MAX = 16_384;
/** Repeated elements that one response may contain; it comes from a broker that we chose to ask. */
export const RESPONSE_ELEMENTS_MAX = 1_000_000;

const WIRE_VARINT = 0;
const WIRE_FIXED64 = 1;
const WIRE_BYTES = 2;
const WIRE_FIXED32 = 5;
const EMPTY = Buffer.alloc(0);

export class Reader {
  readonly #bytes: Buffer;
  #elementsLeft: number;
  #position = 0;
  #end: number;

  constructor(bytes: Buffer, elementsMax: number) {
    this.#bytes = bytes;
    this.#end = bytes.length;
    this.#elementsLeft = elementsMax;
  }

  /** Whether the current message has another field. */
  get more(): boolean {
    return this.#position < this.#end;
  }

  /** Field number and wire type. */
  tag(): number {
    const tag = this.uint32();
    if (tag < 8) throw malformed("a field number is 0");
    return tag;
  }

  /** Steps into an embedded message; give the result to {@link leave}. */
  enter(): number {
    const end = this.#lengthPrefix();
    const outer = this.#end;
    this.#end = end;
    return outer;
  }

  leave(outer: number): void {
    this.#end = outer;
  }

  /** An embedded message. (A second occurrence replaces the first: no encoder writes one.) */
  message<T>(read: (reader: Reader) => T): T {
    const outer = this.enter();
    const message = read(this);
    this.leave(outer);
    return message;
  }

  /** One entry of a map<string, string>. "__proto__" becomes an ordinary key. */
  entry(target: Record<string, string>): void {
    const outer = this.enter();
    let key = "";
    let value = "";
    while (this.more) {
      const tag = this.tag();
      if (tag === 10) key = this.string();
      else if (tag === 18) value = this.string();
      else this.skip(tag);
    }
    this.leave(outer);
    if (key === "__proto__") Object.defineProperty(target, key, { value, enumerable: true });
    else target[key] = value;
  }

  /** Counts one more repeated element. */
  element(): void {
    this.#elementsLeft -= 1;
    if (this.#elementsLeft < 0) {
      throw new BrokerError("INVALID_REQUEST", "the message has too many elements", {
        field: "message",
        limit: "elements",
      });
    }
  }

  uint32(): number {
    const value = this.uint64();
    if (value > 0xffff_ffff) throw outOfRange("uint32");
    return value;
  }

  int32(): number {
    const value = this.int64();
    if (value < -0x8000_0000 || value > 0x7fff_ffff) throw outOfRange("int32");
    return value;
  }

  bool(): boolean {
    return this.#rawVarint() !== 0n;
  }

  uint64(): number {
    const bytes = this.#bytes;
    const end = this.#end;
    let value = 0;
    let scale = 1;
    let position = this.#position;
    for (let count = 0; count < 10 && position < end; count += 1) {
      const byte = bytes[position] ?? 0;
      position += 1;
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) {
        this.#position = position;
        if (value > Number.MAX_SAFE_INTEGER) throw outOfRange("uint64");
        return value;
      }
      scale *= 128;
    }
    throw malformed("a number is cut off or too long");
  }

  /** Negative numbers take ten bytes in two's complement; only they need BigInt. */
  int64(): number {
    const first = this.#bytes[this.#position] ?? 0x80;
    if (first < 0x80 && this.#position < this.#end) {
      this.#position += 1;
      return first;
    }
    const value = Number(BigInt.asIntN(64, this.#rawVarint()));
    if (!Number.isSafeInteger(value)) throw outOfRange("int64");
    return value;
  }

  /** A view; it pins the memory of the whole gRPC message. */
  bytes(): Buffer {
    const end = this.#lengthPrefix();
    const start = this.#position;
    this.#position = end;
    return start === end ? EMPTY : this.#bytes.subarray(start, end);
  }

  /** Concatenated pieces arrive as one view, or as none when the field is empty. */
  chunks(): readonly Buffer[] {
    const bytes = this.bytes();
    return bytes.length === 0 ? [] : [bytes];
  }

  /** Refuses malformed UTF-8: replacement characters would make different ids equal. */
  string(): string {
    const end = this.#lengthPrefix();
    const start = this.#position;
    this.#position = end;
    const text = this.#bytes.toString("utf8", start, end);
    if (text.includes("\ufffd") && !isUtf8(this.#bytes.subarray(start, end))) {
      throw malformed("a string is not UTF-8");
    }
    return text;
  }

  /** Unknown fields are passed over, as are known ones of another wire type. Groups are refused. */
  skip(tag: number): void {
    switch (tag & 7) {
      case WIRE_VARINT:
        this.#rawVarint();
        return;
      case WIRE_FIXED64:
        this.#advance(8);
        return;
      case WIRE_BYTES:
        this.#position = this.#lengthPrefix();
        return;
      case WIRE_FIXED32:
        this.#advance(4);
        return;
      default:
        throw malformed(`wire type ${tag & 7} is not supported`);
    }
  }

  #lengthPrefix(): number {
    const length = this.uint64();
    const end = this.#position + length;
    if (end > this.#end) throw malformed("a field is longer than its message");
    return end;
  }

  #advance(count: number): void {
    if (this.#position + count > this.#end) throw malformed("a field is cut off");
    this.#position += count;
  }

  #rawVarint(): bigint {
    let value = 0n;
    for (let count = 0n; count < 10n && this.#position < this.#end; count += 1n) {
      const byte = this.#bytes[this.#position] ?? 0;
      this.#position += 1;
      value |= BigInt(byte & 0x7f) << (count * 7n);
      if (byte < 0x80) return BigInt.asUintN(64, value);
    }
    throw malformed("a number is cut off or too long");
  }
}

/** The refusal of an enum number that this version does not know: guessing a default could weaken a promise. */
export function unknownEnumValue(field: string, value: number): BrokerError {
  return new BrokerError("INVALID_REQUEST", `${field} has the unknown value ${value}`, { field });
}

function malformed(what: string): BrokerError {
  return new BrokerError("INVALID_REQUEST", `malformed message: ${what}`, { field: "message" });
}

function outOfRange(type: string): BrokerError {
  return new BrokerError("INVALID_REQUEST", `a number exceeds ${type} or 2^53 − 1`, {
    field: "message",
    limit: type,
  });
}
