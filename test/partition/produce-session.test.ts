import { describe, expect, test } from "vitest";
import { type Random, seededRandom } from "../../src/base/random.ts";
import type { Acks } from "../../src/model/durability.ts";
import { BrokerError } from "../../src/model/errors.ts";
import { LANE_BYTES, MEMORY_BUDGET_MIN, MemoryBudget } from "../../src/model/memory-budget.ts";
import type { LaneAck, LaneRefusal, OpenLane } from "../../src/partition/produce-lane.ts";
import {
  type ProduceAnswer,
  type ProduceMessage,
  ProduceSession,
} from "../../src/partition/produce-session.ts";
import {
  batchOfValues,
  type Fixture,
  logValues,
  makePartition,
  producerBatch,
  TOPIC,
  VirtualClock,
} from "./fixture.ts";

class Stream {
  readonly answers: ProduceAnswer[] = [];
  readonly reading: string[] = [];
  accepts = true;
  readonly session: ProduceSession;
  onAnswer: (answer: ProduceAnswer) => void = () => undefined;

  constructor(
    fixtures: readonly Fixture[],
    clock: VirtualClock,
    bytesMax?: number,
    memory: MemoryBudget = new MemoryBudget(MEMORY_BUDGET_MIN),
  ) {
    const lookup = (topicId: string, partition: number): Fixture["partition"] | undefined =>
      topicId === TOPIC ? fixtures[partition]?.partition : undefined;
    const output = {
      send: (answer: ProduceAnswer): boolean => {
        this.answers.push(answer);
        this.onAnswer(answer);
        return this.accepts;
      },
      pause: () => this.reading.push("pause"),
      resume: () => this.reading.push("resume"),
    };
    this.session = new ProduceSession({ clock, lookup, memory }, output, bytesMax);
  }

  give(message: Partial<ProduceMessage>): void {
    this.session.receive({ open: [], resume: [], batches: [], ...message });
  }

  batches(lane: number, batches: readonly (readonly [number, Buffer])[]): void {
    this.give({ batches: batches.map(([number, batch]) => ({ lane, number, batch })) });
  }

  get acks(): LaneAck[] {
    return this.answers.flatMap(({ acks }) => acks);
  }
  get refusals(): LaneRefusal[] {
    return this.answers.flatMap(({ refusals }) => refusals);
  }
}

function lane(id: number, more: Partial<OpenLane> = {}): OpenLane {
  const open = { lane: id, topicId: TOPIC, partition: 0, layoutEpoch: 1, protocolVersion: 1 };
  return { ...open, acks: "all", ...more };
}

function setUp(options: { bytesMax?: number } = {}): {
  clock: VirtualClock;
  fixture: Fixture;
  stream: Stream;
} {
  const clock = new VirtualClock();
  const fixture = makePartition();
  return { clock, fixture, stream: new Stream([fixture], clock, options.bytesMax) };
}

const value = (text: string): Buffer => batchOfValues([text]);

describe("produce session: answers", () => {
  test("one coalesced ack per lane and turn", async () => {
    const { clock, fixture, stream } = setUp();
    stream.give({
      open: [lane(0), lane(7)],
      batches: [
        { lane: 0, number: 0, batch: value("a") },
        { lane: 7, number: 0, batch: value("x") },
        { lane: 0, number: 1, batch: value("b") },
        { lane: 0, number: 2, batch: value("c") },
      ],
    });
    await clock.turn();
    expect(stream.answers).toEqual([]);
    fixture.replica.advance({ written: 4, flushed: 4, commit: 4, durable: 4 });
    fixture.replica.advance();
    await clock.turn();
    expect(stream.answers).toHaveLength(1);
    expect(stream.acks).toEqual([
      { lane: 0, firstNumber: 0, baseOffsets: [0, 2, 3], leaderEpoch: 2, duplicate: false },
      { lane: 7, firstNumber: 0, baseOffsets: [1], leaderEpoch: 2, duplicate: false },
    ]);
    expect(stream.session.unansweredBytes).toBe(0);
  });

  test("duplicates and originals are never mixed in one ack", async () => {
    const { clock, fixture, stream } = setUp();
    stream.give({ open: [lane(0)] });
    stream.batches(0, [
      [0, producerBatch(2, 0)],
      [1, producerBatch(2, 1)],
      [2, producerBatch(2, 0)],
      [3, producerBatch(2, 1)],
      [4, producerBatch(2, 2)],
    ]);
    fixture.replica.advance();
    await clock.turn();
    expect(
      stream.acks.map(({ firstNumber, baseOffsets, duplicate }) => [
        firstNumber,
        baseOffsets,
        duplicate,
      ]),
    ).toEqual([
      [0, [0, 1], false],
      [2, [0, 1], true],
      [4, [2], false],
    ]);
  });

  test("an ack of a later batch waits for the earlier ones of its lane", async () => {
    const { clock, fixture, stream } = setUp();
    stream.give({ open: [lane(0)] });
    stream.batches(0, [[0, producerBatch(2, 0)]]);
    fixture.replica.advance();
    await clock.turn();
    // Number 2 is a duplicate of a committed batch and could be answered at once.
    stream.batches(0, [
      [1, producerBatch(2, 1)],
      [2, producerBatch(2, 0)],
    ]);
    await clock.turn();
    expect(stream.acks).toHaveLength(1);
    fixture.replica.advance();
    await clock.turn();
    expect(stream.acks.map(({ firstNumber }) => firstNumber)).toEqual([0, 1, 2]);
  });

  test("acks none: nothing but refusals is answered", async () => {
    const { clock, fixture, stream } = setUp();
    stream.give({ open: [lane(0, { acks: "none" })] });
    stream.batches(0, [
      [0, value("a")],
      [1, value("b")],
      [2, value("c").subarray(0, 65)],
      [3, value("d")],
    ]);
    fixture.replica.advance();
    await clock.turn();
    expect(stream.acks).toEqual([]);
    expect(stream.refusals).toMatchObject([{ lane: 0, number: 2, reason: "MALFORMED_BATCH" }]);
    expect(logValues(fixture.replica)).toEqual(["a", "b"]);
    stream.give({ resume: [{ lane: 0, number: 3, layoutEpoch: 0 }] });
    stream.batches(0, [[3, value("d")]]);
    expect(logValues(fixture.replica)).toEqual(["a", "b", "d"]);
  });
});

describe("produce session: refusals", () => {
  test("close the lane until it is resumed; other lanes go on", async () => {
    const { clock, fixture, stream } = setUp();
    stream.give({ open: [lane(0), lane(1)] });
    stream.batches(0, [
      [0, value("a")],
      [1, value("bad").subarray(0, 64)],
      [2, value("c")],
    ]);
    stream.batches(1, [[0, value("x")]]);
    stream.batches(0, [[3, value("d")]]);
    await clock.turn();
    // The refusal waits for the answer of what was sent before it.
    expect(stream.refusals).toEqual([]);
    fixture.replica.advance();
    await clock.turn();
    expect(stream.acks.map((ack) => [ack.lane, ack.firstNumber])).toEqual([
      [0, 0],
      [1, 0],
    ]);
    expect(stream.refusals).toMatchObject([
      { lane: 0, number: 1, reason: "MALFORMED_BATCH", metadata: { field: "batchLength" } },
    ]);
    expect(stream.refusals).toHaveLength(1);
    stream.batches(0, [[4, value("e")]]);
    stream.give({
      resume: [{ lane: 0, number: 1, layoutEpoch: 0 }],
      batches: [
        { lane: 0, number: 1, batch: value("b") },
        { lane: 0, number: 2, batch: value("c") },
      ],
    });
    fixture.replica.advance();
    await clock.turn();
    expect(logValues(fixture.replica)).toEqual(["a", "x", "b", "c"]);
    expect(stream.acks.at(-1)).toMatchObject({ lane: 0, firstNumber: 1, baseOffsets: [2, 3] });
  });

  test("leadership lost: refuses the first unanswered batch, discards the rest", async () => {
    const { clock, fixture, stream } = setUp();
    stream.give({ open: [lane(0)] });
    stream.batches(
      0,
      [0, 1, 2, 3].map((n) => [n, producerBatch(2, n)] as const),
    );
    fixture.replica.advanceQuietly({ written: 5, flushed: 5, commit: 3, durable: 3 });
    fixture.replica.stepDown(4);
    stream.batches(0, [[4, producerBatch(2, 4)]]);
    await clock.turn();
    expect(stream.acks).toMatchObject([{ firstNumber: 0, baseOffsets: [0, 1] }]);
    expect(stream.refusals).toMatchObject([{ lane: 0, number: 2, reason: "LEADERSHIP_LOST" }]);
    expect(stream.session.unansweredBytes).toBe(0);
    fixture.replica.takeOver();
    stream.give({ resume: [{ lane: 0, number: 2, layoutEpoch: 0 }] });
    stream.batches(
      0,
      [2, 3, 4].map((n) => [n, producerBatch(2, n)] as const),
    );
    fixture.replica.advance();
    await clock.turn();
    expect(stream.acks.at(-1)).toMatchObject({ firstNumber: 2, baseOffsets: [2, 3, 4] });
    expect(logValues(fixture.replica)).toEqual(["2:0", "2:1", "2:2", "2:3", "2:4"]);
  });

  test("a late outcome of a discarded batch does not touch the resumed lane", async () => {
    const { clock, fixture, stream } = setUp();
    stream.give({ open: [lane(0, { acks: "leader" })] });
    // The first waits for the disk of the leader; behind it one fails.
    stream.batches(0, [[0, producerBatch(2, 0)]]);
    stream.batches(0, [[1, producerBatch(2, 5)]]);
    await clock.turn();
    stream.give({ resume: [{ lane: 0, number: 1, layoutEpoch: 0 }] });
    stream.batches(0, [[1, producerBatch(2, 1)]]);
    await clock.turn();
    expect(stream.answers).toEqual([]);
    fixture.replica.advance();
    await clock.turn();
    expect(stream.acks).toMatchObject([{ firstNumber: 0, baseOffsets: [0] }]);
    expect(stream.refusals).toMatchObject([
      { number: 1, reason: "SEQUENCE_GAP", metadata: { expected: "1" } },
    ]);
    // Resume came before the refusal went out: it did not count.
    expect(logValues(fixture.replica)).toEqual(["2:0"]);
  });

  test("STALE_LEADER_EPOCH: a lane with acks=leader does not go on under another leadership by itself", async () => {
    const { clock, fixture, stream } = setUp();
    stream.give({ open: [lane(0, { acks: "leader" }), lane(1)] });
    stream.batches(0, [[0, producerBatch(5, 0)]]);
    stream.batches(1, [[0, producerBatch(2, 0)]]);
    fixture.replica.advance();
    fixture.replica.stepDown();
    fixture.replica.takeOver();
    stream.batches(0, [[1, producerBatch(5, 1)]]);
    stream.batches(1, [[1, producerBatch(2, 1)]]);
    fixture.replica.advance();
    await clock.turn();
    expect(stream.refusals).toMatchObject([
      { lane: 0, number: 1, reason: "STALE_LEADER_EPOCH", metadata: { leaderEpoch: "4" } },
    ]);
    stream.give({ resume: [{ lane: 0, number: 1, layoutEpoch: 0 }] });
    stream.batches(0, [[1, producerBatch(5, 1)]]);
    expect(logValues(fixture.replica)).toEqual(["5:0", "2:0", "2:1", "5:1"]);
  });

  test("STALE_LAYOUT names the epoch; resume may bring the new one", async () => {
    const { clock, fixture, stream } = setUp();
    fixture.partition.updateSettings({ ...fixture.partition.settings, layoutEpoch: 2 });
    stream.give({ open: [lane(0)] });
    stream.batches(0, [[0, value("a")]]);
    await clock.turn();
    expect(stream.refusals).toMatchObject([
      { number: 0, reason: "STALE_LAYOUT", metadata: { layoutEpoch: "2" } },
    ]);
    stream.give({ resume: [{ lane: 0, number: 0, layoutEpoch: 2 }] });
    stream.batches(0, [[0, value("a")]]);
    expect(logValues(fixture.replica)).toEqual(["a"]);
  });

  const protocol: readonly (readonly [string, Partial<ProduceMessage>, string, number])[] = [
    [
      "a number left out",
      { batches: [{ lane: 0, number: 1, batch: value("a") }] },
      "INVALID_REQUEST",
      0,
    ],
    [
      "an unknown lane",
      { batches: [{ lane: 3, number: 5, batch: value("a") }] },
      "INVALID_REQUEST",
      5,
    ],
    [
      "resume of an unknown lane",
      { resume: [{ lane: 3, number: 2, layoutEpoch: 0 }] },
      "INVALID_REQUEST",
      2,
    ],
    [
      "resume of an open lane",
      { resume: [{ lane: 0, number: 2, layoutEpoch: 0 }] },
      "INVALID_REQUEST",
      0,
    ],
    ["a lane opened twice", { open: [lane(0)] }, "INVALID_REQUEST", 0],
    ["a lane out of range", { open: [lane(4096)] }, "INVALID_REQUEST", 0],
    [
      "an unknown topic",
      { open: [lane(1, { topicId: "nowhere" })] },
      "UNKNOWN_TOPIC_OR_PARTITION",
      0,
    ],
    [
      "an unknown partition",
      { open: [lane(1, { partition: 9 })] },
      "UNKNOWN_TOPIC_OR_PARTITION",
      0,
    ],
    [
      "another protocol version",
      { open: [lane(1, { protocolVersion: 2 })] },
      "UNSUPPORTED_VERSION",
      0,
    ],
  ];
  for (const [title, message, reason, number] of protocol) {
    test(`${reason}: ${title} (nothing is written, the stream goes on)`, async () => {
      const { clock, fixture, stream } = setUp();
      stream.give({ open: [lane(0), lane(2)] });
      stream.give(message);
      await clock.turn();
      expect(stream.refusals).toMatchObject([{ number, reason }]);
      expect(logValues(fixture.replica)).toEqual([]);
      stream.batches(2, [[0, value("still here")]]);
      expect(logValues(fixture.replica)).toEqual(["still here"]);
    });
  }
});

describe("produce session: bounds", () => {
  test("reading stops while too much is unanswered", async () => {
    const size = value("a").length;
    const { clock, fixture, stream } = setUp({ bytesMax: size * 4 });
    stream.give({ open: [lane(0)] });
    for (let number = 0; number < 4; number += 1) stream.batches(0, [[number, value("a")]]);
    expect(stream.reading).toEqual([]);
    stream.batches(0, [[4, value("a")]]);
    expect(stream.reading).toEqual(["pause"]);
    fixture.replica.advance({ written: 3, flushed: 3, commit: 3, durable: 3 });
    await clock.turn();
    expect(stream.reading).toEqual(["pause"]);
    fixture.replica.advance();
    await clock.turn();
    expect(stream.reading).toEqual(["pause", "resume"]);
  });

  test("reading stops while the client does not take its answers", async () => {
    const { clock, fixture, stream } = setUp();
    stream.accepts = false;
    stream.give({ open: [lane(0)] });
    stream.batches(0, [[0, value("a")]]);
    fixture.replica.advance();
    await clock.turn();
    expect(stream.reading).toEqual(["pause"]);
    stream.batches(0, [[1, value("b")]]);
    fixture.replica.advance();
    await clock.turn();
    expect(stream.answers).toHaveLength(1);
    stream.accepts = true;
    stream.session.drained();
    await clock.turn();
    expect(stream.reading).toEqual(["pause", "resume"]);
    expect(stream.acks.map(({ firstNumber }) => firstNumber)).toEqual([0, 1]);
  });

  test("close: nothing is answered any more", async () => {
    const { clock, fixture, stream } = setUp();
    stream.give({ open: [lane(0)] });
    stream.batches(0, [[0, value("a")]]);
    stream.session.close();
    stream.batches(0, [[1, value("b")]]);
    fixture.replica.advance();
    await clock.turn();
    expect(stream.answers).toEqual([]);
    expect(logValues(fixture.replica)).toEqual(["a"]);
  });
});

/** A producer as the SDK behaves: windowed, in order, resends from the refused batch on, never gives up. */
class ModelProducer {
  readonly producerId: number;
  readonly items: { sequence: number; count: number }[] = [];
  /** Items < this are acknowledged. */
  acked = 0;
  /** Next item to send. */
  next = 0;
  /** Item that has number 0 on the present stream. */
  #origin = 0;
  #isClosed = false;
  #random: Random;
  #acks: Acks;
  stream: Stream | undefined;
  readonly offsets: number[] = [];

  constructor(producerId: number, random: Random, acks: Acks, itemCount: number) {
    this.producerId = producerId;
    this.#random = random;
    this.#acks = acks;
    let sequence = 0;
    for (let i = 0; i < itemCount; i += 1) {
      const count = random.integer(1, 4);
      this.items.push({ sequence, count });
      sequence += count;
    }
  }

  connect(stream: Stream): void {
    this.stream = stream;
    this.#origin = this.acked;
    this.next = this.acked;
    this.#isClosed = false;
    stream.give({ open: [lane(0, { acks: this.#acks })] });
    stream.onAnswer = (answer) => this.#answered(answer);
  }

  /** Sends some more, as far as the window allows. */
  send(): void {
    const count = this.#random.integer(0, 6);
    for (let i = 0; i < count && this.next < this.items.length; i += 1) {
      if (this.#isClosed || this.next - this.acked >= 8) return;
      const item = this.items[this.next] as { sequence: number; count: number };
      const batch = producerBatch(this.producerId, item.sequence, item.count);
      this.stream?.batches(0, [[this.next - this.#origin, batch]]);
      this.next += 1;
    }
  }

  #answered(answer: ProduceAnswer): void {
    for (const { firstNumber, baseOffsets } of answer.acks) {
      if (firstNumber + this.#origin !== this.acked) throw new Error("acks are not in order");
      for (const offset of baseOffsets) this.offsets.push(offset);
      this.acked += baseOffsets.length;
    }
    for (const { number, reason } of answer.refusals) {
      if (number + this.#origin !== this.acked) throw new Error("refused out of order");
      if (reason === "SEQUENCE_GAP" || reason.startsWith("INVALID")) throw new Error(reason);
      // Some batches of the window are still under way to the broker: it must discard them.
      this.#isClosed = true;
    }
  }

  resume(): void {
    if (!this.#isClosed) return;
    this.#isClosed = false;
    this.next = this.acked;
    const number = this.next - this.#origin;
    this.stream?.give({ resume: [{ lane: 0, number, layoutEpoch: 0 }] });
  }

  get isDone(): boolean {
    return this.acked === this.items.length;
  }
}

/** Everything that can go wrong around one lane, until the producer has an answer for all of its batches. */
async function play(
  seed: number,
  producerId: number,
  acks: Acks,
): Promise<[ModelProducer, Fixture]> {
  const random = seededRandom(seed);
  const clock = new VirtualClock();
  const fixture = makePartition();
  const { replica } = fixture;
  const producer = new ModelProducer(producerId, random, acks, 120);
  producer.connect(new Stream([fixture], clock));
  for (let step = 0; step < 6000 && !producer.isDone; step += 1) {
    const dice = random.integer(0, 100);
    if (dice < 45) producer.send();
    else if (dice < 70) {
      const commit = random.integer(replica.commitIndex, replica.lastIndex + 1);
      const marks = { written: replica.lastIndex, flushed: replica.lastIndex };
      replica.advance({ ...marks, commit, durable: commit });
    } else if (dice < 80) await clock.turn();
    else if (dice < 88) producer.resume();
    else if (dice < 92) {
      replica.refusal = new BrokerError("OVERLOADED", "full");
      producer.send();
      replica.refusal = undefined;
    } else if (dice < 97) {
      replica.stepDown(random.integer(replica.commitIndex + 1, replica.lastIndex + 2));
      if (random.integer(0, 2) === 0) producer.send();
      replica.takeOver();
      if (random.integer(0, 2) === 0) producer.send();
    } else {
      producer.stream?.session.close();
      producer.connect(new Stream([fixture], clock));
    }
  }
  expect(producer.isDone, `seed ${seed} acked ${producer.acked}`).toBe(true);
  return [producer, fixture];
}

describe("produce session: losses and resumes", () => {
  test("nothing is lost, duplicated or reordered (random refusals, deposed leaders, cut streams)", async () => {
    for (let seed = 1; seed <= 40; seed += 1) {
      const [producer, { replica }] = await play(seed, 2, "all");
      const expected = producer.items.flatMap(({ sequence, count }) =>
        Array.from({ length: count }, (_, i) => `2:${sequence + i}`),
      );
      expect(logValues(replica, replica.commitIndex), `seed ${seed}`).toEqual(expected);
      const offsets = producer.items.map(({ sequence }) => sequence);
      expect(producer.offsets, `seed ${seed}`).toEqual(offsets);
    }
  });

  test("a weak producer may lose batches, but none is duplicated or reordered (same faults)", async () => {
    for (let seed = 1; seed <= 40; seed += 1) {
      const [, { replica }] = await play(seed, 5, "leader");
      const sequences = logValues(replica).map((text) => Number(text.split(":")[1]));
      const ordered = [...new Set(sequences)].sort((left, right) => left - right);
      expect(sequences, `seed ${seed}`).toEqual(ordered);
    }
  });
});

describe("produce session: floods", () => {
  test("lanes that do not exist: refused each, and too many of them end the stream", async () => {
    const clock = new VirtualClock();
    const stream = new Stream([], clock);
    const batch = Buffer.alloc(1);
    const stray = (count: number): ProduceMessage["batches"][number][] =>
      Array.from({ length: count }, (_, number) => ({ lane: number + 1, number, batch }));
    stream.give({ batches: stray(4096) });
    await clock.turn();
    expect(stream.refusals).toHaveLength(4096);
    expect(() => stream.give({ batches: stray(4097) })).toThrow(/more than 4096 refusals/);
  });

  test("memory: a lane that does not fit is refused, and a closed stream gives its lanes back", async () => {
    const clock = new VirtualClock();
    const memory = new MemoryBudget(MEMORY_BUDGET_MIN);
    const stream = new Stream([], clock, undefined, memory);
    stream.give({ open: [lane(0)] });
    expect(memory.used("streams")).toBe(LANE_BYTES);
    memory.take("streams", memory.free("streams"));
    stream.give({ open: [lane(1)] });
    await clock.turn();
    expect(stream.refusals.find((refusal) => refusal.lane === 1)).toMatchObject({
      reason: "OVERLOADED",
      metadata: { limit: "memory.streams" },
    });
    stream.session.close();
    expect(memory.free("streams")).toBe(LANE_BYTES);
  });
});
