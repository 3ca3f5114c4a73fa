import { describe, expect, test } from "vitest";
import type { KeyedWrite } from "../../src/log/ports.ts";
import { PRODUCER_BATCH_WINDOW } from "../../src/model/limits.ts";
import { AppendOverlay } from "../../src/partition/overlay.ts";
import { checkSequence, ProducerTable } from "../../src/partition/producer-table.ts";
import { applyWrites } from "./fake-replica.ts";

const STRONG = 4;
const WEAK = 5;

/** A table that holds batches [baseSequence, recordCount] of one producer; offsets and indexes count up. */
function tableWith(
  producerId: number,
  batches: readonly (readonly [number, number])[],
  epoch = 0,
): ProducerTable {
  const table = new ProducerTable();
  for (const [number, [baseSequence, recordCount]] of batches.entries()) {
    const record = {
      baseSequence,
      recordCount,
      baseOffset: 100 + number,
      term: 3,
      index: number + 1,
    };
    table.record({ producerId, producerEpoch: epoch }, record, 1000 + number, []);
  }
  return table;
}

function check(
  table: ProducerTable,
  producerId: number,
  batch: { sequence: number; count?: number; epoch?: number },
): string {
  const result = checkSequence(
    {
      producerId,
      producerEpoch: batch.epoch ?? 0,
      baseSequence: batch.sequence,
      recordCount: batch.count ?? 1,
    },
    table.get(producerId),
    undefined,
  );
  if (result.kind === "accept") return "accept";
  if (result.kind === "duplicate") return `duplicate of ${result.batch.baseOffset}`;
  return result.reason === "SEQUENCE_GAP" ? `SEQUENCE_GAP ${result.expected}` : result.reason;
}

describe("producer table: sequences", () => {
  const MAX = 0x7fff_ffff;
  const cases: readonly (readonly [
    string,
    number,
    readonly (readonly [number, number])[],
    { sequence: number; count?: number; epoch?: number },
    string,
  ])[] = [
    ["unknown producer begins at 0", STRONG, [], { sequence: 0 }, "accept"],
    ["unknown producer elsewhere", STRONG, [], { sequence: 5 }, "UNKNOWN_PRODUCER"],
    ["unknown weak producer elsewhere", WEAK, [], { sequence: 5 }, "accept"],
    ["next in order", STRONG, [[0, 3]], { sequence: 3 }, "accept"],
    ["gap", STRONG, [[0, 3]], { sequence: 4 }, "SEQUENCE_GAP 3"],
    ["gap of a weak one", WEAK, [[0, 3]], { sequence: 4 }, "accept"],
    ["newest again", STRONG, [[0, 3]], { sequence: 0, count: 3 }, "duplicate of 100"],
    [
      "an older one again",
      STRONG,
      [
        [0, 3],
        [3, 2],
        [5, 1],
      ],
      { sequence: 3, count: 2 },
      "duplicate of 101",
    ],
    [
      "cut differently",
      STRONG,
      [
        [0, 3],
        [3, 2],
      ],
      { sequence: 1, count: 2 },
      "DUPLICATE_OUT_OF_WINDOW",
    ],
    [
      "longer than what is stored",
      STRONG,
      [
        [0, 3],
        [3, 2],
      ],
      { sequence: 3, count: 3 },
      "DUPLICATE_OUT_OF_WINDOW",
    ],
    [
      "weak, lost in a hole",
      WEAK,
      [
        [0, 3],
        [5, 1],
      ],
      { sequence: 3, count: 2 },
      "SEQUENCE_GAP 6",
    ],
    [
      "weak, overlaps the hole's end",
      WEAK,
      [
        [0, 3],
        [5, 1],
      ],
      { sequence: 4, count: 2 },
      "DUPLICATE_OUT_OF_WINDOW",
    ],
    [
      "older than everything remembered",
      WEAK,
      [[5, 1]],
      { sequence: 2 },
      "DUPLICATE_OUT_OF_WINDOW",
    ],
    ["wraps", STRONG, [[MAX - 1, 2]], { sequence: 0 }, "accept"],
    ["wraps inside a batch", STRONG, [[MAX, 3]], { sequence: 2 }, "accept"],
    [
      "duplicate across the wrap",
      STRONG,
      [
        [MAX, 3],
        [2, 1],
      ],
      { sequence: MAX, count: 3 },
      "duplicate of 100",
    ],
    ["gap across the wrap", STRONG, [[MAX, 1]], { sequence: 1 }, "SEQUENCE_GAP 0"],
    ["new epoch begins at 0", STRONG, [[0, 3]], { sequence: 0, epoch: 1 }, "accept"],
    ["new epoch elsewhere", STRONG, [[0, 3]], { sequence: 3, epoch: 1 }, "SEQUENCE_GAP 0"],
    ["new epoch of a weak one elsewhere", WEAK, [[0, 3]], { sequence: 3, epoch: 1 }, "accept"],
  ];
  for (const [title, producerId, batches, batch, expected] of cases) {
    test(title, () => {
      expect(check(tableWith(producerId, batches), producerId, batch)).toBe(expected);
    });
  }

  test("an older epoch is fenced", () => {
    expect(check(tableWith(STRONG, [[0, 1]], 2), STRONG, { sequence: 1, epoch: 1 })).toBe(
      "PRODUCER_FENCED",
    );
  });

  test("the window holds PRODUCER_BATCH_WINDOW batches", () => {
    const count = PRODUCER_BATCH_WINDOW + 5;
    const table = tableWith(
      STRONG,
      Array.from({ length: count }, (_, i) => [i, 1] as const),
    );
    for (let sequence = 0; sequence < count; sequence += 1) {
      const expected = sequence < 5 ? "DUPLICATE_OUT_OF_WINDOW" : `duplicate of ${100 + sequence}`;
      expect(check(table, STRONG, { sequence })).toBe(expected);
    }
    expect(check(table, STRONG, { sequence: count })).toBe("accept");
  });

  test("uncommitted batches count like applied ones and are dropped when applied", () => {
    const table = tableWith(STRONG, [[0, 1]]);
    const overlay = new AppendOverlay();
    for (let sequence = 1; sequence < 40; sequence += 1) {
      const batch = {
        producerId: STRONG,
        producerEpoch: 0,
        baseSequence: sequence,
        recordCount: 1,
      };
      const verdict = checkSequence(batch, table.get(STRONG), overlay.producer(STRONG));
      expect(verdict.kind).toBe("accept");
      overlay.addBatch(batch, {
        baseSequence: sequence,
        recordCount: 1,
        baseOffset: 100 + sequence,
        term: 3,
        index: sequence + 1,
      });
    }
    for (const sequence of [0, 1, 20, 39]) {
      const verdict = checkSequence(
        { producerId: STRONG, producerEpoch: 0, baseSequence: sequence, recordCount: 1 },
        table.get(STRONG),
        overlay.producer(STRONG),
      );
      expect(verdict).toMatchObject({ kind: "duplicate", batch: { baseOffset: 100 + sequence } });
    }
    overlay.applied(39);
    expect(overlay.producer(STRONG)?.length).toBe(1);
    overlay.applied(40);
    expect(overlay.producer(STRONG)).toBeUndefined();
    expect(overlay.length).toBe(0);
  });
});

describe("producer table: limits", () => {
  function add(
    table: ProducerTable,
    producerId: number,
    index: number,
    writes: KeyedWrite[],
  ): void {
    const record = { baseSequence: 0, recordCount: 1, baseOffset: index, term: 1, index };
    table.record({ producerId, producerEpoch: 0 }, record, index * 10, writes);
  }

  test("a new producer in a full table replaces the one idle for longest", () => {
    const table = new ProducerTable(3);
    const stored = new Map<string, Uint8Array>();
    const writes: KeyedWrite[] = [];
    for (const [producerId, index] of [
      [2, 1],
      [4, 2],
      [6, 3],
      [2, 4],
      [8, 5],
    ] as const) {
      add(table, producerId, index, writes);
    }
    applyWrites(stored, writes);
    expect(table.size).toBe(3);
    expect(table.get(4)).toBeUndefined();
    const copy = new ProducerTable(3);
    copy.restore(stored);
    expect(new Map(copy.pairs())).toEqual(stored);
    add(copy, 10, 6, []);
    expect(copy.get(6)).toBeUndefined();
    expect(copy.get(2)).toBeDefined();
  });

  test("expiry forgets only those that are still idle", () => {
    const table = new ProducerTable();
    for (const [producerId, index] of [
      [2, 1],
      [4, 2],
      [6, 3],
    ] as const) {
      add(table, producerId, index, []);
    }
    expect(table.idleSince(20, 10)).toEqual([2, 4]);
    expect(table.idleSince(20, 1)).toEqual([2]);
    add(table, 2, 4, []);
    const writes: KeyedWrite[] = [];
    expect(table.expire([2, 4, 99], 20, writes)).toBe(1);
    expect(table.get(2)).toBeDefined();
    expect(table.get(4)).toBeUndefined();
    expect(writes).toHaveLength(1);
  });
});
