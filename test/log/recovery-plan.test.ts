import { describe, expect, it } from "vitest";
import {
  planRecovery,
  type SegmentDamage,
  type SegmentFinding,
} from "../../src/log/recovery-plan.ts";
import type { GroupId } from "../../src/model/ids.ts";

/** A whole segment with entries `first` … `last` of term 1, one record each. */
function segment(first: number, last: number, damage?: Partial<SegmentDamage>): SegmentFinding {
  const header = {
    groupId: 1 as GroupId,
    firstIndex: first,
    prevTerm: first === 1 ? 0 : 1,
    baseOffset: first - 1,
    prevAppendTimeMs: 0,
    generation: 1,
  };
  const found = {
    name: `s${first}`,
    header,
    run: { lastIndex: last, lastTerm: 1, nextOffset: last },
  };
  const detail = { position: 500, isShort: false, isFollowed: false, detail: "checksum" };
  return damage === undefined ? found : { ...found, damage: { ...detail, ...damage } };
}

function unreadable(isShort: boolean): SegmentFinding {
  const damage = { position: 0, isShort, isFollowed: false, detail: "header" };
  return { name: "bad", header: undefined, damage };
}

function plan(
  segments: readonly SegmentFinding[],
  durableIndexHint = 0,
  pageCacheKept = false,
): string {
  const result = planRecovery(segments, { durableIndexHint, pageCacheKept });
  if (result.kind === "corrupt") return "corrupt";
  return `keep ${result.keep}${result.cutAt === undefined ? "" : ` cut ${result.cutAt}`}`;
}

describe("recovery plan", () => {
  const torn = segment(6, 8, { isShort: true });
  const hole = segment(6, 8, { isFollowed: true });

  it("whole segments: all stay", () => {
    expect(plan([segment(1, 5), segment(6, 8)], 8, true)).toBe("keep 2");
    expect(plan([segment(1, 0)])).toBe("keep 1");
  });

  it("torn tail: is cut, whether power was lost or not", () => {
    expect(plan([segment(1, 5), torn], 8)).toBe("keep 2 cut 500");
    expect(plan([segment(1, 5), torn], 8, true)).toBe("keep 2 cut 500");
  });

  it("damage at or below the hint: corrupt", () => {
    expect(plan([segment(1, 5), torn], 9)).toBe("corrupt");
    expect(plan([segment(1, 5, {}), segment(6, 8)], 6)).toBe("corrupt");
    expect(plan([segment(1, 5), unreadable(true)], 6)).toBe("corrupt");
  });

  it("a log shorter than the hint: corrupt even without visible damage", () => {
    expect(plan([segment(1, 5)], 6)).toBe("corrupt");
    expect(plan([segment(1, 5)], 5)).toBe("keep 1");
  });

  it("damage above the hint after a power cut: cut, with all behind it", () => {
    expect(plan([segment(1, 5), hole], 8)).toBe("keep 2 cut 500");
    expect(plan([segment(1, 3, {}), segment(6, 8)], 3)).toBe("keep 1 cut 500");
    expect(plan([segment(1, 5), unreadable(false), segment(9, 9)], 5)).toBe("keep 1");
  });

  it("damage without a power cut: only the end of the last write may be missing", () => {
    expect(plan([segment(1, 5), hole], 0, true)).toBe("corrupt");
    expect(plan([segment(1, 5), segment(6, 8, {})], 0, true)).toBe("corrupt");
    expect(plan([segment(1, 5), segment(6, 8, { isShort: true, isFollowed: true })], 0, true)).toBe(
      "corrupt",
    );
    expect(plan([segment(1, 5, { isShort: true }), segment(6, 8)], 0, true)).toBe("corrupt");
    expect(plan([segment(1, 5), unreadable(true)], 0, true)).toBe("keep 1");
    expect(plan([segment(1, 5), unreadable(false)], 0, true)).toBe("corrupt");
    expect(plan([segment(1, 5), segment(7, 8)], 0, true)).toBe("corrupt");
  });

  it("gaps, overlaps and strangers: what does not continue goes", () => {
    expect(plan([segment(1, 5), segment(7, 8)])).toBe("keep 1");
    expect(plan([segment(1, 5), segment(4, 8)])).toBe("keep 1");
    const other = segment(6, 8);
    const stranger = { ...other, header: other.header && { ...other.header, prevTerm: 3 } };
    expect(plan([segment(1, 5), stranger])).toBe("keep 1");
  });

  it("an unreadable first segment: corrupt, never an empty log", () => {
    expect(plan([unreadable(true)])).toBe("corrupt");
    expect(plan([unreadable(false), segment(6, 8)])).toBe("corrupt");
  });
});
