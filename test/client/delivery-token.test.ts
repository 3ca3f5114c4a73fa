import { describe, expect, it } from "vitest";
import { DeliveryToken } from "../../src/client/index.ts";

const token = (...parts: readonly [number, number, number]): DeliveryToken =>
  new DeliveryToken(...parts);

describe("delivery token", () => {
  it("order: layout epoch, leader epoch, delivery number; texts are ordered alike", () => {
    const ascending = [
      token(1, 1, 1),
      token(1, 1, 255),
      token(1, 1, 256),
      token(1, 2, 1),
      token(1, 2 ** 53 - 1, 1),
      token(2, 1, 1),
    ];
    for (const [i, one] of ascending.entries()) {
      for (const [j, other] of ascending.entries()) {
        expect(Math.sign(one.compare(other))).toBe(Math.sign(i - j));
        expect(one.isNewerThan(other)).toBe(i > j);
        expect(one.toString() > other.toString()).toBe(i > j);
      }
    }
  });

  it("text: reads back; what is none is refused", () => {
    expect(DeliveryToken.parse(token(3, 77, 12_345).toString()).compare(token(3, 77, 12_345))).toBe(
      0,
    );
    for (const text of ["", "1-2-3", `${token(1, 1, 1).toString()}-0`]) {
      expect(() => DeliveryToken.parse(text)).toThrow(TypeError);
    }
  });
});
