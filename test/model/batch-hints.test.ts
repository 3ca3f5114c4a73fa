// Hints may only ever lead to decoding a batch in vain, never to passing over a message that somebody wants.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  areHints,
  HINT_TAGS_MAX,
  HINTS_BYTES_MAX,
  HintCollector,
  mayCarry,
  tagHash,
  tagWords,
} from "../../src/model/batch-hints.ts";
import { HEADER } from "../../src/model/headers.ts";
import { BatchBuilder, NO_PRODUCER } from "../../src/model/record-batch-builder.ts";

function hintsOf(...headers: readonly string[]): Buffer {
  const collector = new HintCollector();
  for (const header of headers) collector.add(HEADER.TAGS, Buffer.from(header));
  return collector.take();
}

const hashes = (...tags: readonly string[]): Set<number> => new Set(tags.map(tagHash));

describe("hints of a batch", () => {
  it("name the hash of each tag once, ascending", () => {
    const [first = 0, second = 0] = [tagHash("red"), tagHash("blue")].sort((a, b) => a - b);
    const expected = Buffer.alloc(10);
    expected.set([1, 2]);
    expected.writeUInt32BE(first, 2);
    expected.writeUInt32BE(second, 6);
    expect(hintsOf("red", " blue ,red", "")).toEqual(expected);
  });

  it("say that there are no tags", () => {
    expect(hintsOf()).toEqual(Buffer.from([1, 0]));
    expect(mayCarry(hintsOf(), hashes("red"))).toBe(false);
  });

  it("there are none for more tags than fit", () => {
    const names = Array.from({ length: HINT_TAGS_MAX + 1 }, (_, i) => `t${i}`);
    expect(hintsOf(names.join(",")).length).toBe(0);
    const most = hintsOf(names.slice(1).join(","));
    expect(most.length).toBe(HINTS_BYTES_MAX);
    expect(areHints(most)).toBe(true);
  });

  it("other headers do not count", () => {
    const collector = new HintCollector();
    collector.add("color", Buffer.from("red"));
    expect(collector.take()).toEqual(Buffer.from([1, 0]));
  });

  it.each([
    ["absent", undefined],
    ["empty", Buffer.alloc(0)],
    ["of another kind", Buffer.from([9, 0])],
    ["cut off", hintsOf("red").subarray(0, 4)],
    ["longer than they say", Buffer.concat([hintsOf("red"), Buffer.from([0])])],
  ])("%s: the batch must be decoded", (_name, hints) => {
    expect(mayCarry(hints, hashes("blue"))).toBe(true);
  });

  it("whatever a batch carries is found by its hints", () => {
    const header = fc.string({ maxLength: 40, unit: "grapheme" });
    fc.assert(
      fc.property(fc.array(header, { maxLength: 30 }), (headers) => {
        const builder = new BatchBuilder();
        for (const text of headers) {
          builder.append("k", "v", [{ name: HEADER.TAGS, value: Buffer.from(text) }], 1);
        }
        if (headers.length === 0) builder.append("k", "v", undefined, 1);
        const { hints } = builder.finishIn(NO_PRODUCER, 64);
        for (const text of headers) {
          // As a filter reads it: from the bytes.
          for (const tag of tagWords(Buffer.from(text).toString("utf8"))) {
            expect(mayCarry(hints.length === 0 ? undefined : hints, hashes(tag))).toBe(true);
          }
        }
      }),
    );
  });

  it("a builder's next batch begins without those of the one before", () => {
    const builder = new BatchBuilder();
    builder.append("k", "v", [{ name: HEADER.TAGS, value: Buffer.from("red") }], 1);
    builder.finish();
    builder.append("k", "v", [{ name: HEADER.TAGS, value: Buffer.from("green") }], 1);
    builder.reset();
    builder.append("k", "v", [{ name: HEADER.TAGS, value: Buffer.from("blue") }], 1);
    const { hints } = builder.finishIn(NO_PRODUCER, 64);
    expect(hints).toEqual(hintsOf("blue"));
  });
});
