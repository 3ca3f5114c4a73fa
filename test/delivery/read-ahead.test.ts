import { describe, expect, it } from "vitest";
import type { LoadedBatch, ReadRequest } from "../../src/delivery/dispatch-types.ts";
import type { Dispatcher } from "../../src/delivery/dispatcher.ts";
import { ReadAhead, type ReadSource } from "../../src/delivery/read-ahead.ts";
import { compileFilter } from "../../src/filter/compile-filter.ts";
import { MEMORY_BUDGET_MIN, MemoryBudget } from "../../src/model/memory-budget.ts";
import { VirtualClock } from "../partition/fixture.ts";
import { definitionOf } from "./dispatch-support.ts";
import { FakePartition } from "./fake-partition.ts";

const RUN: ReadRequest = { kind: "run", from: 0, bytesMax: 1000 };
const RETRIES: ReadRequest = { kind: "offsets", offsets: [0], bytesMax: 1000 };

/** Wants the given reads, one after the other. */
class Fixture {
  readonly clock = new VirtualClock();
  readonly memory = new MemoryBudget(MEMORY_BUDGET_MIN);
  readonly partition = new FakePartition();
  readonly wanted: ReadRequest[] = [];
  readonly read: string[] = [];
  refused = 0;
  news = 0;
  readonly reads: ReadAhead;

  constructor() {
    const dispatcher = {
      nextRead: () => this.wanted.shift(),
      onRead: (batches: readonly LoadedBatch<Buffer>[]) =>
        this.read.push(batches.map(({ baseOffset }) => baseOffset).join()),
      onReadFailed: () => {
        this.refused += 1;
      },
      logMoved: () => undefined,
    };
    const source = {
      partition: this.partition,
      dispatcher: dispatcher as unknown as Dispatcher<Buffer>,
      row: { definition: definitionOf("shared") } as ReadSource["row"],
      filter: compileFilter({ kind: "all" }),
      nowMs: 0,
      markDirty: () => {
        this.news += 1;
      },
    };
    const onFailure = (error: unknown): void => {
      throw error;
    };
    this.reads = new ReadAhead(source, { clock: this.clock, memory: this.memory, onFailure });
    this.partition.append("a");
    this.partition.append("b");
  }

  fillMemory(): void {
    this.memory.take("delivery", this.memory.free("delivery"));
  }
}

describe("reading ahead, with the memory for that used up", () => {
  it("who holds nothing may read; who holds something waits for memory", () => {
    const f = new Fixture();
    f.fillMemory();
    f.wanted.push(RUN, RUN, RUN);
    expect(f.reads.next()).toBe(true);
    expect(f.read).toHaveLength(1);
    expect(f.reads.next()).toBe(false);
    expect([f.read.length, f.refused, f.news]).toEqual([1, 2, 0]);
    f.memory.give("delivery", f.memory.used("delivery"));
    expect(f.news).toBe(1);
  });

  it("what is tried again does not wait behind what comes next in order", async () => {
    const f = new Fixture();
    f.fillMemory();
    f.wanted.push(RUN);
    f.reads.next();
    f.wanted.push(RUN, RETRIES);
    expect(f.reads.next()).toBe(false);
    await f.clock.advance(0);
    expect([f.read.at(-1), f.refused, f.news]).toEqual(["0", 1, 1]);
  });
});
