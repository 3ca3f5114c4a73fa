// The log view against a plain array of entries, and the disk's progress against a replay of what was really done.
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { LogView } from "../../src/raft/log-view.ts";
import { StorageProgress } from "../../src/raft/storage-progress.ts";
import type { TestEntry } from "./support/host.ts";

function emptyLog(): LogView<string> {
  return new LogView({
    term: 0,
    vote: 0,
    membership: { voters: [], learners: [] },
    appliedIndex: 0,
    firstIndex: 1,
    firstPrevTerm: 0,
    termRuns: [],
    lastIndex: 0,
    unappliedChanges: [],
  });
}

type Action =
  | { readonly kind: "append"; readonly termUp: number }
  | { readonly kind: "truncate" | "compact" | "release"; readonly at: number }
  | { readonly kind: "stage" };

const action: fc.Arbitrary<Action> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: fc.constant("append" as const), termUp: fc.nat(2) }) },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constantFrom("truncate" as const, "compact" as const, "release" as const),
      at: fc.double({ min: 0, max: 1, noNaN: true }),
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("stage" as const) }) },
);

describe("log view", () => {
  test("knows every term, and hands out what the disk needs to hold the same (random actions)", () => {
    fc.assert(
      fc.property(fc.array(action, { maxLength: 60 }), (actions) => {
        const log = emptyLog();
        const terms: number[] = [0];
        let disk: TestEntry[] = [];
        let first = 1;
        for (const step of actions) {
          const last = terms.length - 1;
          if (step.kind === "append") {
            const term = (terms[last] ?? 0) + (last === 0 ? 1 : 0) + (step.termUp === 2 ? 1 : 0);
            const entry = { index: last + 1, term, kind: "data", bytes: 10, handle: "" } as const;
            log.append(entry);
            terms.push(term);
          } else if (step.kind === "truncate" && last >= first) {
            const from = first + Math.floor(step.at * (last - first + 1));
            if (from > last) continue;
            log.truncate(from);
            terms.length = from;
          } else if (step.kind === "stage" && log.hasStorageWork) {
            const work = log.takeStorageWork();
            const from = work.truncateFrom ?? Number.POSITIVE_INFINITY;
            disk = [...disk.filter((entry) => entry.index < from), ...work.append];
            log.storage.flushed(log.storage.lastIo);
          } else if (step.kind === "compact" && !log.hasStorageWork) {
            first = first + Math.floor(step.at * (last + 1 - first));
            log.compact(first);
          } else if (step.kind === "release") log.release(last, step.at * 100);
        }
        if (log.hasStorageWork) {
          const work = log.takeStorageWork();
          const from = work.truncateFrom ?? Number.POSITIVE_INFINITY;
          disk = [...disk.filter((entry) => entry.index < from), ...work.append];
        }
        const last = terms.length - 1;
        expect(log.lastIndex).toBe(last);
        expect(disk.map((entry) => entry.term)).toEqual(terms.slice(1));
        const known = terms.slice(first - 1).map((_, at) => log.termAt(first - 1 + at));
        expect(known).toEqual(terms.slice(first - 1));
        expect(log.termAt(first - 2)).toBeUndefined();
        expect(log.termAt(last + 1)).toBeUndefined();
        const held = terms
          .slice(log.tail.first)
          .map((_, at) => log.tail.at(log.tail.first + at)?.term);
        expect(held).toEqual(terms.slice(log.tail.first));
        for (let term = 0; term <= (terms[last] ?? 0); term += 1) {
          let naive = last;
          while (naive >= first && (terms[naive] ?? 0) > term) naive -= 1;
          expect(log.lastWithTermAtMost(last, term)).toBe(naive);
        }
      }),
      { numRuns: 200 },
    );
  });

  test("releases only what is written, oldest first, down to the limit", () => {
    const log = emptyLog();
    for (let index = 1; index <= 10; index += 1) {
      log.append({ index, term: 1, kind: "data", bytes: 10, handle: "" });
    }
    log.takeStorageWork();
    log.release(10, 30);
    expect(log.tail.first).toBe(1);
    log.storage.written(1);
    log.release(5, 30);
    expect(log.tail.first).toBe(6);
    log.release(10, 30);
    expect(log.tail.first).toBe(8);
    expect(log.tail.bytes).toBe(30);
  });
});

describe("storage progress", () => {
  test("a completion vouches for an index only as far as no later truncation cut it (ABA)", () => {
    const progress = new StorageProgress(0);
    const first = progress.issue(5);
    progress.cut(3);
    const second = progress.issue(4);
    progress.written(first);
    expect(progress.writtenIndex).toBe(2);
    progress.flushed(first);
    expect(progress.flushedIndex).toBe(2);
    progress.written(second);
    expect(progress.writtenIndex).toBe(4);
    progress.cut(1);
    progress.flushed(second);
    expect(progress.flushedIndex).toBe(0);
    expect(progress.writtenIndex).toBe(0);
  });

  test("late and repeated completions are harmless, unknown ones are not", () => {
    const progress = new StorageProgress(0);
    progress.issue(1);
    progress.issue(2);
    progress.flushed(2);
    progress.flushed(1);
    progress.written(1);
    expect(progress.flushedIndex).toBe(2);
    progress.reset(7);
    progress.flushed(2);
    expect(progress.flushedIndex).toBe(7);
    expect(() => progress.written(3)).toThrow("never issued");
  });
});
