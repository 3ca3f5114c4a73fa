import { describe, expect, it } from "vitest";
import { seededRandom } from "../../src/base/random.ts";
import {
  DELIVER_ITEMS_MAX,
  DELIVER_RANGES_MAX,
  DELIVER_UPDATES_MAX,
  type DeliveryCommand,
  type OffsetRange,
  type SubscriptionUpdate,
} from "../../src/delivery/delivery-commands.ts";
import { decodeDeliveryCommand } from "../../src/delivery/delivery-decoder.ts";
import {
  deliveryReplyOf,
  encodeDeliveryCommand,
  mergedRanges,
  splitUpdates,
} from "../../src/delivery/delivery-encoder.ts";
import { FrameError } from "../../src/model/entry-frame.ts";
import { attempt, ID, wire } from "./fixture.ts";

const deliver = (update: Omit<SubscriptionUpdate, "id">): DeliveryCommand => ({
  type: "deliver",
  updates: [{ id: ID, ...update }],
});

describe("delivery commands", () => {
  const commands: readonly DeliveryCommand[] = [
    { type: "attach", id: ID, version: 4, startOffset: 70, createdIndex: 3 },
    { type: "detach", id: ID },
    { type: "seek", id: ID, offset: 5 },
    { type: "deliver", updates: [] },
    deliver({}),
    deliver({
      settle: [
        [0, 1],
        [5, 900],
      ],
    }),
    deliver({ settle: [[7, 9]], left: [0, 2 ** 48 - 1], joined: [77], complete: true }),
    deliver({ complete: true }),
    deliver({ seeks: 3, settle: [[7, 9]] }),
    deliver({ release: [{ offset: 3, action: "dead" }] }),
    deliver({
      fail: [
        { offset: 1, notBeforeMs: 77, attempt: { timeMs: 5, cause: "session-lost", error: "" } },
      ],
    }),
    deliver({
      dead: [
        { offset: 1, attempt: attempt("no") },
        { offset: 2, attempt: undefined },
      ],
    }),
    deliver({
      park: [
        { offset: 1, sinceMs: 5, key: Buffer.from([0, 255]), scope: "key" },
        { offset: 2, sinceMs: 5, key: undefined, scope: "partition" },
        { offset: 3, sinceMs: 5, key: Buffer.alloc(0), scope: "key" },
      ],
    }),
  ];
  for (const command of commands) {
    it(`are read as they were written: ${JSON.stringify(encodeDeliveryCommand(command))}`, () => {
      expect(decodeDeliveryCommand(wire(command))).toEqual(command);
    });
  }

  it("ranges: are sorted and merged, and stand as pairs of gap and count", () => {
    const settle: OffsetRange[] = [
      [50, 60],
      [4, 4],
      [7, 9],
      [55, 58],
      [9, 10],
      [2, 5],
    ];
    expect(encodeDeliveryCommand(deliver({ settle }))).toEqual({
      type: "deliver",
      updates: [{ id: ID, settle: [2, 3, 2, 3, 40, 10] }],
    });
    const random = seededRandom(5);
    for (let round = 0; round < 200; round += 1) {
      const ranges = Array.from({ length: random.integer(0, 20) }, (): OffsetRange => {
        const from = random.integer(0, 60);
        return [from, from + random.integer(0, 9)];
      });
      const covered = (list: readonly OffsetRange[]): boolean[] =>
        Array.from({ length: 80 }, (_, at) => list.some(([from, to]) => from <= at && at < to));
      const merged = mergedRanges(ranges);
      expect(covered(merged)).toEqual(covered(ranges));
      expect(merged.every(([from], at) => at === 0 || from > (merged[at - 1]?.[1] ?? 0))).toBe(
        true,
      );
      const [update] = wire(deliver({ settle: ranges }))["updates"] as [{ settle?: number[] }];
      expect(update.settle?.length ?? 0).toBe(2 * merged.length);
    }
  });

  it("texts are cut and times made whole: what is written can be read", () => {
    const command = deliver({
      fail: [
        { offset: 1, notBeforeMs: 1.75, attempt: attempt("x".repeat(300), -3) },
        {
          offset: 2,
          notBeforeMs: Number.POSITIVE_INFINITY,
          attempt: attempt(`${"x".repeat(255)}😀`),
        },
      ],
    });
    const decoded = decodeDeliveryCommand(wire(command));
    const fails = decoded.type === "deliver" ? decoded.updates[0]?.fail : undefined;
    expect(fails?.[0]).toMatchObject({
      notBeforeMs: 1,
      attempt: { timeMs: 0, error: "x".repeat(256) },
    });
    expect(fails?.[1]?.notBeforeMs).toBe(Number.MAX_SAFE_INTEGER);
    expect(fails?.[1]?.attempt.error).toBe(`${"x".repeat(255)}\ufffd`);
  });

  const update = (fields: object): object => ({
    type: "deliver",
    updates: [{ id: ID, ...fields }],
  });
  const one = { offset: 1, notBeforeMs: 1, timeMs: 1, cause: "nack" };
  const malformed: readonly object[] = [
    { type: "attach", id: "x", version: 1, startOffset: 0, createdIndex: 0 },
    { type: "attach", id: ID.toUpperCase(), version: 1, startOffset: 0, createdIndex: 0 },
    { type: "attach", id: ID, version: 1, startOffset: -1, createdIndex: 0 },
    { type: "attach", id: ID, version: 1.5, startOffset: 0, createdIndex: 0 },
    { type: "attach", id: ID, version: 1, startOffset: 0 },
    { type: "attach", id: ID, version: 1, startOffset: 0, createdIndex: 0, more: 1 },
    { type: "detach" },
    { type: "detach", id: ID, more: 1 },
    { type: "seek", id: ID, offset: "1" },
    { type: "seek", id: ID, offset: 2 ** 53 },
    { type: "deliver", updates: [{ id: ID, seeks: 0 }] },
    { type: "deliver", updates: [{ id: ID, seeks: 1.5 }] },
    { type: "other", id: ID },
    { type: "deliver" },
    { type: "deliver", updates: [null] },
    { type: "deliver", updates: [[]] },
    { type: "deliver", updates: new Array(DELIVER_UPDATES_MAX + 1).fill({ id: ID }) },
    update({ other: [] }),
    update({ settle: [] }),
    update({ settle: [1] }),
    update({ settle: [1, 0] }),
    update({ settle: [-1, 1] }),
    update({ settle: [1, 1, 0, 1] }),
    update({ settle: [1, 1.5] }),
    update({ settle: [2 ** 52, 2 ** 52] }),
    update({ settle: new Array(2 * DELIVER_RANGES_MAX + 2).fill(1) }),
    update({ release: [{ offset: 1 }] }),
    update({ release: [{ offset: 1, action: "maybe" }] }),
    update({ fail: [] }),
    update({ fail: {} }),
    update({ fail: [{ ...one, cause: "boredom" }] }),
    update({ fail: [{ ...one, error: 7 }] }),
    update({ fail: [{ ...one, error: "x".repeat(257) }] }),
    update({ fail: [{ ...one, more: 1 }] }),
    update({ fail: [{ ...one, timeMs: undefined }] }),
    update({ fail: new Array(DELIVER_ITEMS_MAX + 1).fill(one) }),
    update({
      fail: new Array(DELIVER_ITEMS_MAX).fill(one),
      release: [{ offset: 1, action: "retry" }],
    }),
    update({ dead: [{ offset: 1, cause: "nack" }] }),
    update({ dead: [{ offset: 1, notBeforeMs: 1 }] }),
    update({ park: [{ offset: 1, sinceMs: 1, key: "=" }] }),
    update({ park: [{ offset: 1, sinceMs: 1, key: 5 }] }),
    update({ park: [{ offset: 1, sinceMs: 1, partition: false }] }),
    update({ park: [{ offset: 1 }] }),
    update({ sessions: 1 }),
    update({ joined: [] }),
    update({ joined: {} }),
    update({ joined: ["1"] }),
    update({ joined: [-1] }),
    update({ joined: [1.5] }),
    update({ joined: [2 ** 48] }),
    update({ joined: [3, 3] }),
    update({ left: [4, 3] }),
    update({ left: [Number.NaN] }),
    update({ joined: Array.from({ length: DELIVER_ITEMS_MAX + 1 }, (_, at) => at) }),
    update({ fail: new Array(DELIVER_ITEMS_MAX).fill(one), left: [1] }),
    update({ complete: false }),
    update({ complete: 1 }),
  ];
  for (const fields of malformed) {
    it(`what is not known stops the replica: ${JSON.stringify(fields).slice(0, 120)}`, () => {
      expect(() => decodeDeliveryCommand({ v: 1, ...fields })).toThrow(FrameError);
    });
  }

  it("replies: are told from anything else", () => {
    expect(deliveryReplyOf({ outcome: "limit" })).toEqual({ outcome: "limit" });
    for (const other of [undefined, null, 5, {}, { outcome: "maybe" }]) {
      expect(() => deliveryReplyOf(other)).toThrow(TypeError);
    }
  });
});

describe("splitting updates", () => {
  const range = (at: number): OffsetRange => [at * 2, at * 2 + 1];

  it("what fits stays together", () => {
    const updates = [
      { id: ID, settle: [range(0)] },
      { id: ID, joined: [1] },
    ];
    expect(splitUpdates(updates)).toEqual([updates]);
    expect(splitUpdates([])).toEqual([]);
  });

  it("what does not fit follows in further commands, in order, and nothing is said twice", () => {
    const fails = Array.from({ length: 2 * DELIVER_ITEMS_MAX + 5 }, (_, offset) => ({
      offset,
      notBeforeMs: 1,
      attempt: attempt(),
    }));
    const settle = Array.from({ length: DELIVER_RANGES_MAX + 3 }, (_, at) => range(at));
    const hashes = (from: number): number[] =>
      Array.from({ length: 2 * DELIVER_ITEMS_MAX }, (_, at) => from + at);
    const note = { complete: true, left: hashes(0), joined: hashes(9000) } as const;
    const many = Array.from({ length: DELIVER_UPDATES_MAX }, () => ({
      id: ID,
      seeks: 7,
      settle: [range(9)],
    }));
    const updates: SubscriptionUpdate[] = [
      { id: ID, seeks: 7, settle, fail: fails, release: [{ offset: 1, action: "retry" }], ...note },
      ...many,
    ];
    const portions = splitUpdates(updates);
    for (const portion of portions) {
      expect(() =>
        decodeDeliveryCommand(wire({ type: "deliver", updates: portion })),
      ).not.toThrow();
    }
    const all = portions.flat();
    expect(all.every((one) => one.seeks === 7)).toBe(true);
    expect(all.flatMap((one) => one.settle ?? [])).toEqual([
      ...settle,
      ...many.flatMap((one) => one.settle),
    ]);
    expect(all.flatMap((one) => one.fail ?? [])).toEqual(fails);
    expect(all.flatMap((one) => one.release ?? [])).toHaveLength(1);
    expect(all.flatMap((one) => one.left ?? [])).toEqual(note.left);
    expect(all.flatMap((one) => one.joined ?? [])).toEqual(note.joined);
    // Who left makes room, and that the others are all is true when all of them are there.
    const lastOf = (is: (one: SubscriptionUpdate) => boolean): number => all.findLastIndex(is);
    const firstJoined = all.findIndex(({ joined = [] }) => joined.length > 0);
    expect(firstJoined).toBeGreaterThanOrEqual(lastOf(({ left = [] }) => left.length > 0));
    expect(all.findIndex(({ complete }) => complete === true)).toBe(
      lastOf(({ joined = [] }) => joined.length > 0),
    );
    expect(all.filter(({ complete }) => complete === true)).toHaveLength(1);
  });
});
