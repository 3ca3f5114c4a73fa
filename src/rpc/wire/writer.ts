// Writes protobuf wire format into memory of exactly the right size. Called by the generated codecs only: they first add
// up sizes (the functions below, which also check ranges), then allocate once, then write. Each byte field is copied
// exactly once.
import { BrokerError } from "../../model/errors.ts";

export class Writer {
  readonly #bytes: Buffer;
  #position: number;

  /** Writes from `position` on; the caller made sure that the message fits. */
  constructor(bytes: Buffer, position: number) {
    this.#bytes = bytes;
    this.#position = position;
  }

  get position(): number {
    return this.#position;
  }

  /** An unsigned number up to 2^53 − 1. */
  varint(value: number): void {
    const bytes = this.#bytes;
    let rest = value;
    let position = this.#position;
    while (rest > 0x7fff_ffff) {
      bytes[position] = (rest % 128) | 0x80;
      position += 1;
      rest = Math.floor(rest / 128);
    }
    while (rest > 0x7f) {
      bytes[position] = (rest & 0x7f) | 0x80;
      position += 1;
      rest >>>= 7;
    }
    bytes[position] = rest;
    this.#position = position + 1;
  }

  /** A number of either sign; negative ones take ten bytes. */
  signed(value: number): void {
    if (value >= 0) {
      this.varint(value);
      return;
    }
    let rest = BigInt.asUintN(64, BigInt(value));
    for (let count = 0; count < 9; count += 1) {
      this.#bytes[this.#position] = Number(rest & 0x7fn) | 0x80;
      this.#position += 1;
      rest >>= 7n;
    }
    this.#bytes[this.#position] = Number(rest);
    this.#position += 1;
  }

  bool(value: boolean): void {
    this.#bytes[this.#position] = value ? 1 : 0;
    this.#position += 1;
  }

  bytes(value: Uint8Array): void {
    this.varint(value.length);
    this.#bytes.set(value, this.#position);
    this.#position += value.length;
  }

  /** One byte field made of pieces. */
  chunks(pieces: readonly Uint8Array[]): void {
    this.varint(chunksLength(pieces));
    for (const piece of pieces) {
      this.#bytes.set(piece, this.#position);
      this.#position += piece.length;
    }
  }

  string(value: string): void {
    const length = Buffer.byteLength(value);
    this.varint(length);
    this.#bytes.write(value, this.#position, length, "utf8");
    this.#position += length;
  }
}

/** Bytes of a non-negative number that was checked before. */
export function varintSize(value: number): number {
  if (value < 0x80) return 1;
  if (value < 0x4000) return 2;
  if (value < 0x20_0000) return 3;
  if (value < 0x1000_0000) return 4;
  let size = 5;
  for (let rest = Math.floor(value / 0x8_0000_0000); rest > 0; rest = Math.floor(rest / 128)) {
    size += 1;
  }
  return size;
}

export function uint64Size(value: number, field: string): number {
  if (!Number.isSafeInteger(value) || value < 0) throw invalid(field, "0 … 2^53 − 1");
  return varintSize(value);
}

export function uint32Size(value: number, field: string): number {
  if (!Number.isInteger(value) || value < 0 || value > 0xffff_ffff) {
    throw invalid(field, "0 … 2^32 − 1");
  }
  return varintSize(value);
}

export function int64Size(value: number, field: string): number {
  if (!Number.isSafeInteger(value)) throw invalid(field, "±(2^53 − 1)");
  return value < 0 ? 10 : varintSize(value);
}

export function int32Size(value: number, field: string): number {
  if (!Number.isInteger(value) || value < -0x8000_0000 || value > 0x7fff_ffff) {
    throw invalid(field, "−2^31 … 2^31 − 1");
  }
  return value < 0 ? 10 : varintSize(value);
}

/** Length prefix and content. */
export function prefixedSize(length: number): number {
  return varintSize(length) + length;
}

export function stringSize(value: string): number {
  return prefixedSize(Buffer.byteLength(value));
}

export function chunksLength(pieces: readonly Uint8Array[]): number {
  let length = 0;
  for (const piece of pieces) length += piece.length;
  return length;
}

function invalid(field: string, limit: string): BrokerError {
  return new BrokerError("INVALID_REQUEST", `${field} is not an integer in ${limit}`, {
    field,
    limit,
  });
}
