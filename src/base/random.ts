// Randomness is a port. This is the only file of the product that touches Math.random or crypto.
import { randomBytes } from "node:crypto";

export interface Random {
  /** Uniform in [0, 1). */
  next(): number;
  /** Uniform integer in [from, to). */
  integer(from: number, to: number): number;
  /** A random (version 4) UUID in its 36-character text form. */
  uuid(): string;
}

export const systemRandom: Random = {
  next: () => Math.random(),
  integer: (from, to) => from + Math.floor(Math.random() * (to - from)),
  uuid: () => formatUuid(randomBytes(16)),
};

/** A repeatable source: equal seeds give equal sequences on every platform (sfc32 seeded by splitmix32). */
export function seededRandom(seed: number): Random {
  let mix = seed >>> 0;
  const splitmix = (): number => {
    mix = (mix + 0x9e3779b9) >>> 0;
    let z = mix;
    z = Math.imul(z ^ (z >>> 16), 0x21f0aaad);
    z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
    return (z ^ (z >>> 15)) >>> 0;
  };
  let a = splitmix();
  let b = splitmix();
  let c = splitmix();
  let counter = 1;
  const word = (): number => {
    const sum = (a + b + counter) >>> 0;
    counter = (counter + 1) >>> 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) >>> 0;
    c = ((c << 21) | (c >>> 11)) >>> 0;
    c = (c + sum) >>> 0;
    return sum;
  };
  for (let warmUp = 0; warmUp < 12; warmUp += 1) word();
  const next = (): number => word() / 0x1_0000_0000;
  return {
    next,
    integer: (from, to) => from + Math.floor(next() * (to - from)),
    uuid: () => {
      const bytes = new Uint8Array(16);
      for (let i = 0; i < 16; i += 1) bytes[i] = word() & 0xff;
      return formatUuid(bytes);
    },
  };
}

function formatUuid(bytes: Uint8Array): string {
  const view = Uint8Array.from(bytes);
  view[6] = ((view[6] ?? 0) & 0x0f) | 0x40;
  view[8] = ((view[8] ?? 0) & 0x3f) | 0x80;
  const hex = Buffer.from(view.buffer, view.byteOffset, view.byteLength).toString("hex");
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}
