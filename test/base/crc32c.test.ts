import { crc32c as native } from "@node-rs/crc32";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { crc32c } from "../../src/base/crc32c.ts";

describe("crc32c", () => {
  test("known values (RFC 3720, B.4)", () => {
    expect(crc32c(Buffer.alloc(32, 0))).toBe(0x8a9136aa);
    expect(crc32c(Buffer.alloc(32, 0xff))).toBe(0x62a8ab43);
    expect(crc32c(Buffer.from("123456789"))).toBe(0xe3069283);
    expect(crc32c(Buffer.alloc(0))).toBe(0);
  });

  test("short and long inputs, continued or not: as the library says", () => {
    const seed = fc.integer({ min: 0, max: 0xffff_ffff });
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), seed, (bytes, start) => {
        expect(crc32c(bytes, start)).toBe(native(bytes, start));
      }),
    );
  });

  test("pieces in any cut give the whole's", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.nat(200), (bytes, cut) => {
        const parts = crc32c(bytes.subarray(cut), crc32c(bytes.subarray(0, cut)));
        expect(parts).toBe(crc32c(bytes));
      }),
    );
  });
});
