import { describe, expect, test } from "vitest";
import { seededRandom } from "../../src/base/random.ts";
import { MEMORY_BUDGET_MIN, MemoryBudget } from "../../src/model/memory-budget.ts";
import { decodeBatch } from "../../src/model/record-batch-decoder.ts";
import { fetchMessages, listOffsets } from "../../src/partition/fetch-messages.ts";
import { FetchSlots } from "../../src/partition/fetch-path.ts";
import {
  type FetchAnswer,
  type FetchMessage,
  FetchSession,
  type OpenCursor,
} from "../../src/partition/fetch-session.ts";
import {
  batchOfValues,
  type Fixture,
  makePartition,
  Outcome,
  request,
  settle,
  TOPIC,
  VirtualClock,
} from "./fixture.ts";

function put({ partition, replica }: Fixture, ...batches: (readonly string[])[]): void {
  for (const values of batches) {
    replica.nowMs += 10;
    partition.submit(request(batchOfValues(values)), new Outcome());
  }
}

function filled(...batches: (readonly string[])[]): Fixture {
  const fixture = makePartition();
  put(fixture, ...batches);
  fixture.replica.advance();
  return fixture;
}

class Stream {
  readonly answers: FetchAnswer[] = [];
  readonly session: FetchSession;
  readonly slots: FetchSlots;
  accepts = true;

  readonly memory = new MemoryBudget(MEMORY_BUDGET_MIN);
  readonly reading: string[] = [];

  constructor(fixtures: readonly Fixture[], clock: VirtualClock, slots = new FetchSlots()) {
    this.slots = slots;
    const lookup = (topicId: string, partition: number): Fixture["partition"] | undefined =>
      topicId === TOPIC ? fixtures[partition]?.partition : undefined;
    this.session = new FetchSession(
      { clock, lookup, slots, memory: this.memory },
      {
        send: (answer) => {
          this.answers.push(answer);
          return this.accepts;
        },
        pause: () => this.reading.push("pause"),
        resume: () => this.reading.push("resume"),
      },
    );
  }

  give(message: Partial<FetchMessage>): void {
    this.session.receive({ open: [], close: [], creditBytes: 0, ...message });
  }

  values(cursor: number, from = 0): string[] {
    const values: string[] = [];
    for (const { data } of this.answers) {
      for (const part of data) {
        if (part.cursor !== cursor) continue;
        for (const record of part.batches.flatMap((batch) => decodeBatch(batch))) {
          if (record.offset >= part.highWatermark) throw new Error("beyond the high watermark");
          if (record.offset >= from) values.push(record.value?.toString() ?? "");
        }
      }
    }
    return values;
  }

  get errors(): FetchAnswer["errors"][number][] {
    return this.answers.flatMap(({ errors }) => errors);
  }
}

function cursor(id: number, offset = 0, more: Partial<OpenCursor> = {}): OpenCursor {
  return {
    cursor: id,
    topicId: TOPIC,
    partition: 0,
    offset,
    lastEpoch: 0,
    layoutEpoch: 1,
    protocolVersion: 1,
    ...more,
  };
}

const MUCH = 1 << 30;

describe("fetch session", () => {
  test("reads up to the high watermark and goes on when it moves", async () => {
    const clock = new VirtualClock();
    const fixture = filled(["a", "b"], ["c"]);
    put(fixture, ["uncommitted"]);
    const stream = new Stream([fixture], clock);
    stream.give({ open: [cursor(3)], creditBytes: MUCH });
    await clock.turn();
    expect(stream.values(3)).toEqual(["a", "b", "c"]);
    expect(stream.answers.at(-1)?.data[0]).toMatchObject({ highWatermark: 3, logStartOffset: 0 });
    fixture.replica.advance({ written: 4 });
    await clock.turn();
    expect(stream.values(3)).toHaveLength(3);
    fixture.replica.advance();
    await clock.turn();
    expect(stream.values(3)).toEqual(["a", "b", "c", "uncommitted"]);
  });

  test("begins inside a batch: the whole batch comes", async () => {
    const clock = new VirtualClock();
    const stream = new Stream([filled(["a", "b", "c"], ["d"])], clock);
    stream.give({ open: [cursor(0, 2)], creditBytes: MUCH });
    await clock.turn();
    expect(stream.values(0, 2)).toEqual(["c", "d"]);
    expect(stream.values(0)).toHaveLength(4);
  });

  test("entries without records are skipped (no-ops, commands)", async () => {
    const clock = new VirtualClock();
    const fixture = filled(["a"]);
    fixture.replica.stepDown();
    fixture.replica.takeOver();
    void fixture.partition.propose({ type: "FeatureLevel", level: 2 });
    fixture.replica.advance();
    const stream = new Stream([fixture], clock);
    stream.give({ open: [cursor(0)], creditBytes: MUCH });
    await clock.turn();
    put(fixture, ["b"]);
    fixture.replica.advance();
    await clock.turn();
    expect(stream.values(0)).toEqual(["a", "b"]);
  });

  test("no credit, no bytes; credit is shared in turn", async () => {
    const clock = new VirtualClock();
    const big = "x".repeat(100_000);
    const fixtures = [0, 1, 2].map(() => filled(...Array.from({ length: 20 }, () => [big])));
    const stream = new Stream(fixtures, clock);
    stream.give({ open: [0, 1, 2].map((id) => cursor(id, 0, { partition: id })) });
    await clock.turn();
    expect(stream.answers).toEqual([]);
    stream.give({ creditBytes: 1_200_000 });
    await clock.turn();
    const counts = [0, 1, 2].map((id) => stream.values(id).length);
    expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(2);
    expect(stream.session.creditBytes).toBeLessThanOrEqual(0);
    const sent = counts.reduce((sum, count) => sum + count, 0);
    expect(sent).toBeGreaterThanOrEqual(12);
    expect(sent).toBeLessThanOrEqual(14);
    stream.give({ creditBytes: MUCH });
    await clock.turn();
    expect([0, 1, 2].map((id) => stream.values(id).length)).toEqual([20, 20, 20]);
    for (const { data } of stream.answers) {
      const bytes = data.flatMap(({ batches }) => batches).reduce((sum, b) => sum + b.length, 0);
      expect(bytes).toBeLessThanOrEqual(1024 * 1024 + 110_000);
    }
  });

  test("a batch larger than the credit is sent once there is any", async () => {
    const clock = new VirtualClock();
    const stream = new Stream([filled(["x".repeat(5000)], ["y"])], clock);
    stream.give({ open: [cursor(0)], creditBytes: 10 });
    await clock.turn();
    expect(stream.values(0)).toHaveLength(1);
    expect(stream.session.creditBytes).toBeLessThan(0);
  });

  test("what left memory is read from disk; nothing is lost, doubled or out of order", async () => {
    const seed = 5;
    const random = seededRandom(seed);
    const clock = new VirtualClock();
    const fixture = makePartition();
    const { replica } = fixture;
    const stream = new Stream([fixture], clock);
    stream.give({ open: [0, 1, 2, 3, 4, 5].map((id) => cursor(id)), creditBytes: MUCH });
    const expected: string[] = [];
    for (let step = 0; step < 300; step += 1) {
      const values = Array.from({ length: random.integer(1, 4) }, (_, i) => `${step}.${i}`);
      expected.push(...values);
      put(fixture, values);
      if (random.integer(0, 4) === 0) {
        const commit = random.integer(replica.commitIndex, replica.lastIndex + 1);
        replica.advance({ written: replica.lastIndex, commit });
      }
      if (random.integer(0, 6) === 0) replica.tailFrom = replica.lastIndex - random.integer(0, 20);
      if (random.integer(0, 3) === 0) await clock.turn();
      if (random.integer(0, 20) === 0) stream.session.drained();
    }
    replica.advance();
    await clock.turn();
    for (let id = 0; id < 6; id += 1) expect(stream.values(id), `seed ${seed}`).toEqual(expected);
    expect(replica.reads).toBeGreaterThan(10);
  });

  test("the transport's buffer is full: nothing more until it drained", async () => {
    const clock = new VirtualClock();
    const fixture = filled(["a"]);
    const stream = new Stream([fixture], clock);
    stream.accepts = false;
    stream.give({ open: [cursor(0)], creditBytes: MUCH });
    await clock.turn();
    put(fixture, ["b"]);
    fixture.replica.advance();
    await clock.turn();
    expect(stream.values(0)).toEqual(["a"]);
    stream.accepts = true;
    stream.session.drained();
    await clock.turn();
    expect(stream.values(0)).toEqual(["a", "b"]);
  });

  const refusals: readonly (readonly [string, Partial<OpenCursor>, string, object])[] = [
    [
      "above the end",
      { offset: 4 },
      "OFFSET_OUT_OF_RANGE",
      { logStartOffset: "1", highWatermark: "3" },
    ],
    [
      "below the start",
      { offset: 0 },
      "OFFSET_OUT_OF_RANGE",
      { logStartOffset: "1", highWatermark: "3" },
    ],
    ["unknown topic", { topicId: "x" }, "UNKNOWN_TOPIC_OR_PARTITION", {}],
    ["stale layout", { layoutEpoch: 4 }, "STALE_LAYOUT", { layoutEpoch: "1" }],
    [
      "other protocol",
      { protocolVersion: 7 },
      "UNSUPPORTED_VERSION",
      { versionMin: "1", versionMax: "1" },
    ],
    ["another history", { offset: 3, lastEpoch: 1 }, "DIVERGED", { endOffset: "0" }],
    [
      "a history that went on elsewhere",
      { offset: 9, lastEpoch: 2 },
      "DIVERGED",
      { endOffset: "3" },
    ],
  ];
  for (const [title, more, reason, metadata] of refusals) {
    test(`${reason}: ${title} ends the cursor, not the stream`, async () => {
      const clock = new VirtualClock();
      const fixture = filled(["a"], ["b"], ["c"]);
      fixture.replica.logStart = 1;
      const stream = new Stream([fixture], clock);
      stream.give({ open: [cursor(0, 1, more), cursor(1, 1)], creditBytes: MUCH });
      await clock.turn();
      expect(stream.errors).toMatchObject([{ cursor: 0, reason, metadata }]);
      expect(stream.values(1)).toEqual(["b", "c"]);
      expect(stream.slots.taken).toBe(1);
    });
  }

  test("DIVERGED tells where the histories part (several terms)", async () => {
    const clock = new VirtualClock();
    const fixture = filled(["a"], ["b"]);
    fixture.replica.stepDown();
    fixture.replica.takeOver(7);
    put(fixture, ["c"], ["d"]);
    fixture.replica.advance();
    const stream = new Stream([fixture], clock);
    const open = [
      cursor(0, 3, { lastEpoch: 2 }),
      cursor(1, 2, { lastEpoch: 2 }),
      cursor(2, 4, { lastEpoch: 7 }),
      cursor(3, 2, { lastEpoch: 7 }),
    ];
    stream.give({ open, creditBytes: MUCH });
    await clock.turn();
    const parted = stream.errors.map(({ cursor: id, reason, metadata }) => [id, reason, metadata]);
    expect(parted.sort(([left], [right]) => Number(left) - Number(right))).toEqual([
      [0, "DIVERGED", { endOffset: "2" }],
      [3, "DIVERGED", { endOffset: "2" }],
    ]);
    expect(stream.values(1)).toEqual(["c", "d"]);
  });

  test("leadership ends: parked and reading cursors end with a hint", async () => {
    const clock = new VirtualClock();
    const fixture = filled(["a"]);
    const stream = new Stream([fixture], clock);
    stream.give({ open: [cursor(0), cursor(1, 1)], creditBytes: MUCH });
    await clock.turn();
    fixture.replica.stepDown();
    await clock.turn();
    expect(stream.errors).toMatchObject([
      { cursor: 1, reason: "NOT_LEADER", metadata: { leaderId: "2" } },
      { cursor: 0, reason: "NOT_LEADER" },
    ]);
    expect(stream.slots.taken).toBe(0);
  });

  test("retention passes a slow reader: its cursor ends with OFFSET_OUT_OF_RANGE", async () => {
    const clock = new VirtualClock();
    const fixture = filled(["a"], ["b"], ["c"]);
    const { replica } = fixture;
    replica.tailFrom = 100;
    const stream = new Stream([fixture], clock);
    stream.give({ open: [cursor(0)], creditBytes: MUCH });
    const turn = clock.turn();
    replica.logStart = 2;
    replica.firstIndex = 4;
    await turn;
    await clock.turn();
    expect(stream.errors).toMatchObject([{ cursor: 0, reason: "OFFSET_OUT_OF_RANGE" }]);
  });

  test("OVERLOADED: no place for another waiting reader on this broker", async () => {
    const clock = new VirtualClock();
    const fixture = filled(["a"]);
    const slots = new FetchSlots(2);
    const stream = new Stream([fixture], clock, slots);
    stream.give({ open: [cursor(0), cursor(1), cursor(2)], creditBytes: MUCH });
    await clock.turn();
    expect(stream.errors).toMatchObject([{ cursor: 2, reason: "OVERLOADED" }]);
    stream.give({ close: [0], open: [cursor(3)] });
    await clock.turn();
    expect(stream.values(3)).toEqual(["a"]);
    stream.session.close();
    expect(slots.taken).toBe(0);
    put(fixture, ["b"]);
    fixture.replica.advance();
    await clock.turn();
    expect(stream.values(3)).toEqual(["a"]);
  });
});

describe("fetch messages", () => {
  const ask = { offset: 0, messagesMax: 0, bytesMax: 0, waitMs: 0 };

  test("plain messages with their place", async () => {
    const fixture = filled(["a", "b"], ["c"]);
    put(fixture, ["uncommitted"]);
    const deps = { clock: new VirtualClock(), slots: new FetchSlots() };
    const answer = await fetchMessages(fixture.partition, { ...ask, offset: 1 }, deps);
    const plain = answer.messages.map(({ offset, value, leaderEpoch, timestampMs }) => [
      offset,
      value?.toString(),
      leaderEpoch,
      timestampMs,
    ]);
    expect(plain).toEqual([
      [1, "b", 2, 5000],
      [2, "c", 2, 5000],
    ]);
    expect(answer).toMatchObject({ nextOffset: 3, highWatermark: 3, logStartOffset: 0 });
    const one = await fetchMessages(fixture.partition, { ...ask, messagesMax: 1 }, deps);
    expect([one.messages.length, one.nextOffset]).toEqual([1, 1]);
    const little = await fetchMessages(fixture.partition, { ...ask, bytesMax: 2 }, deps);
    expect([little.messages.length, little.nextOffset]).toEqual([2, 2]);
  });

  test("long poll: wakes when something is committed, otherwise ends empty in time", async () => {
    const clock = new VirtualClock();
    const fixture = filled(["a"]);
    const slots = new FetchSlots();
    const poll = fetchMessages(
      fixture.partition,
      { ...ask, offset: 1, waitMs: 500 },
      { clock, slots },
    );
    await clock.advance(100);
    expect(slots.taken).toBe(1);
    put(fixture, ["b"]);
    fixture.replica.advance();
    expect((await poll).messages.map(({ value }) => value?.toString())).toEqual(["b"]);
    const empty = fetchMessages(
      fixture.partition,
      { ...ask, offset: 2, waitMs: 500 },
      { clock, slots },
    );
    await clock.advance(500);
    expect(await empty).toMatchObject({ messages: [], nextOffset: 2 });
    expect(slots.taken).toBe(0);
  });

  test("long poll: ends with leadership, and when the caller gives up", async () => {
    const clock = new VirtualClock();
    const fixture = filled(["a"]);
    const slots = new FetchSlots();
    const aborted = new AbortController();
    const waiting = { ...ask, offset: 1, waitMs: 500 };
    const given = fetchMessages(fixture.partition, waiting, { clock, slots }, aborted.signal);
    const poll = fetchMessages(fixture.partition, waiting, { clock, slots });
    await settle();
    aborted.abort();
    expect((await given).messages).toEqual([]);
    fixture.replica.stepDown();
    await expect(poll).rejects.toMatchObject({ reason: "NOT_LEADER" });
    expect(slots.taken).toBe(0);
  });

  for (const [title, more, reason] of [
    ["too many", { messagesMax: 1001 }, "INVALID_REQUEST"],
    ["too long", { waitMs: 30_001 }, "INVALID_REQUEST"],
    ["out of range", { offset: 5 }, "OFFSET_OUT_OF_RANGE"],
  ] as const) {
    test(`${reason}: ${title}`, async () => {
      const deps = { clock: new VirtualClock(), slots: new FetchSlots() };
      const answer = fetchMessages(filled(["a"]).partition, { ...ask, ...more }, deps);
      await expect(answer).rejects.toMatchObject({ reason });
    });
  }
});

describe("list offsets", () => {
  test("bounds, and the first offset not older than a time", async () => {
    const fixture = filled(["a"], ["b"], ["c"]);
    put(fixture, ["uncommitted"]);
    fixture.replica.logStart = 1;
    const { partition } = fixture;
    const bounds = { logStartOffset: 1, highWatermark: 3, leaderEpoch: 2 };
    expect(await listOffsets(partition, 0)).toEqual({ ...bounds, offset: 3 });
    expect(await listOffsets(partition, 1021)).toEqual({ ...bounds, offset: 2 });
    expect(await listOffsets(partition, 1)).toEqual({ ...bounds, offset: 1 });
    expect(await listOffsets(partition, 1031)).toEqual({ ...bounds, offset: 3 });
    expect(await listOffsets(partition, 9999)).toEqual({ ...bounds, offset: 3 });
  });
});

describe("fetch session: floods", () => {
  test("cursors on nothing: refused each, too many of them end the stream", async () => {
    const clock = new VirtualClock();
    const stream = new Stream([], clock);
    const stray = (count: number): OpenCursor[] =>
      Array.from({ length: count }, (_, id) => cursor(id, 0, { topicId: "nothing" }));
    stream.give({ open: stray(4096) });
    await clock.turn();
    expect(stream.errors).toHaveLength(4096);
    expect(() => stream.give({ open: stray(4097) })).toThrow(/more than 4096 cursors/);
  });

  test("a client that takes nothing is not read from: its errors would pile up", async () => {
    const clock = new VirtualClock();
    const stream = new Stream([], clock);
    stream.accepts = false;
    stream.give({ open: [cursor(1)] });
    await clock.turn();
    expect(stream.reading).toEqual(["pause"]);
    stream.accepts = true;
    stream.session.drained();
    expect(stream.reading).toEqual(["pause", "resume"]);
  });

  test("memory for answers: a stream waits while none is free, and goes on by itself", async () => {
    const clock = new VirtualClock();
    const fixture = filled(["a"], ["b"]);
    const stream = new Stream([fixture], clock);
    const all = stream.memory.free("send");
    stream.memory.take("send", all);
    stream.give({ open: [cursor(0)], creditBytes: MUCH });
    await clock.turn();
    expect(stream.values(0)).toEqual([]);
    stream.memory.give("send", all);
    await clock.turn();
    expect(stream.values(0)).toEqual(["a", "b"]);
  });

  test("memory for reading ahead: taken for each read, given back when it was sent or is not wanted", async () => {
    const clock = new VirtualClock();
    const fixture = filled(["a"], ["b"]);
    const stream = new Stream([fixture], clock);
    const all = stream.memory.free("read");
    stream.memory.take("read", all);
    stream.give({ open: [cursor(0)], creditBytes: MUCH });
    await clock.turn();
    expect(stream.values(0)).toEqual([]);
    stream.memory.give("read", all);
    await clock.turn();
    expect(stream.values(0)).toEqual(["a", "b"]);
    stream.give({ open: [cursor(1)] });
    await clock.turn();
    stream.session.close();
    await clock.turn();
    expect(stream.memory.used("read")).toBe(0);
  });
});
