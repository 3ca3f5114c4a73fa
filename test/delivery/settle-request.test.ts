import { describe, expect, it } from "vitest";
import {
  checkSettle,
  SETTLE_RANGES_MAX,
  type SettleMessage,
} from "../../src/delivery/settle-request.ts";

const ACK: SettleMessage = {
  number: 1,
  channel: 0,
  deliveryNumber: 4,
  kind: "ack",
  ranges: [10, 2, 20, 1],
  cumulative: false,
  retryAtMs: 0,
  error: "",
};

const NONSENSE: readonly [field: string, more: Partial<SettleMessage>][] = [
  ["settle.number", { number: 0 }],
  ["settle.kind", { kind: undefined }],
  ["settle.deliveryNumber", { deliveryNumber: 0 }],
  ["settle.cumulative", { kind: "nack", cumulative: true }],
  ["settle.retryAtMs", { retryAtMs: 5 }],
  ["settle.error", { kind: "nack", error: "x".repeat(257) }],
  ["settle.ranges", { ranges: [1] }],
  ["settle.ranges", { ranges: [1, 0] }],
  ["settle.ranges", { ranges: [Number.MAX_SAFE_INTEGER, 2] }],
  ["settle.ranges", { ranges: [20, 1, 10, 2] }],
  ["settle.ranges", { ranges: [10, 5, 14, 1] }],
  [
    "settle.ranges",
    { ranges: Array.from({ length: 2 * SETTLE_RANGES_MAX + 2 }, (_, at) => (at % 2 ? 1 : at)) },
  ],
];

describe("settle request", () => {
  it("check: pairs become ranges, kinds names", () => {
    expect(checkSettle(ACK)).toMatchObject({
      kind: "ack",
      isCumulative: false,
      ranges: [
        [10, 12],
        [20, 21],
      ],
    });
    const nack = { ...ACK, kind: "nack" as const, ranges: [], retryAtMs: 77, error: "e" };
    expect(checkSettle(nack)).toMatchObject({
      kind: "nack",
      ranges: [],
      retryAtMs: 77,
      error: "e",
    });
  });

  it.each(NONSENSE)("check: refuses nonsense, naming %s", (field, more) => {
    const refused = (): unknown => checkSettle({ ...ACK, ...more });
    expect(refused).toThrow(`${field} is not valid`);
  });
});
