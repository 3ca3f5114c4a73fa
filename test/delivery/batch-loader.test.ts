import { describe, expect, it } from "vitest";
import { loadBatch } from "../../src/delivery/batch-loader.ts";
import { compileFilter } from "../../src/filter/compile-filter.ts";
import { HEADER } from "../../src/model/headers.ts";
import { BatchBuilder, NO_PRODUCER } from "../../src/model/record-batch-builder.ts";

const PLACE = { topic: "t", partition: 0, appendTimeMs: 1 };
const RED = compileFilter({ kind: "tags", tags: ["red"] });

/** Tags of one message each; "" for none. */
function built(...tags: readonly string[]): { readonly batch: Buffer; readonly hints: Buffer } {
  const builder = new BatchBuilder();
  for (const tag of tags) {
    const headers = tag === "" ? [] : [{ name: HEADER.TAGS, value: Buffer.from(tag) }];
    builder.append("key", "value", headers, 1);
  }
  return builder.finishIn(NO_PRODUCER, 64);
}

describe("loading a batch: hints", () => {
  it("none of the wanted tags: nothing is wanted, and nothing was decoded", () => {
    const { batch, hints } = built("blue", "", "green");
    // Whoever decoded it would say that it is malformed, and hand it out.
    batch.fill(0xff, 61);
    const loaded = loadBatch(batch, PLACE, { filter: RED, needsKeys: false, hints });
    expect(loaded).toMatchObject({ unwanted: [[0, 3]], keys: undefined, endOffset: 3 });
  });

  it("where order follows keys, a batch that is passed over has a place for each", () => {
    const { batch, hints } = built("blue", "");
    const loaded = loadBatch(batch, PLACE, { filter: RED, needsKeys: true, hints });
    expect(loaded).toMatchObject({ unwanted: [[0, 2]], keys: [undefined, undefined] });
  });

  it("one of them: the messages decide", () => {
    const { batch, hints } = built("blue", "red", "");
    const loaded = loadBatch(batch, PLACE, { filter: RED, needsKeys: false, hints });
    expect(loaded.unwanted).toEqual([
      [0, 1],
      [2, 3],
    ]);
  });

  it.each([
    ["without hints", undefined],
    ["with hints that lie about more", built("red").hints],
  ])("%s the messages decide", (_name, hints) => {
    const { batch } = built("blue", "red");
    const loaded = loadBatch(batch, PLACE, { filter: RED, needsKeys: false, hints });
    expect(loaded.unwanted).toEqual([[0, 1]]);
  });

  it("a filter that does not go by tags takes no notice of them", () => {
    const filter = compileFilter({ kind: "sql", expression: "1 = 1" });
    const { batch, hints } = built("blue");
    expect(loadBatch(batch, PLACE, { filter, needsKeys: false, hints }).unwanted).toEqual([]);
  });
});
