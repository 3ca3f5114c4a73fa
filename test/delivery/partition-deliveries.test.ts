import { describe, expect, it } from "vitest";
import type { DeliveryRunner } from "../../src/delivery/delivery-runner.ts";
import { explain } from "../../src/delivery/explain.ts";
import type { DeadLetter } from "../../src/delivery/ports.ts";
import { progressOf } from "../../src/delivery/progress.ts";
import { seek } from "../../src/delivery/seek.ts";
import { BrokerError } from "../../src/model/errors.ts";
import { DEAD_HEADER } from "../../src/model/headers.ts";
import type { FakePartition, FakeStream, Stage } from "./fake-partition.ts";
import { APPEND_TIME_MS, stageOf, TOPIC_ID } from "./fake-partition.ts";
import { rowOf, SUB } from "./support.ts";

function runnerOf(stage: Stage): DeliveryRunner {
  const runner = stage.host.get(TOPIC_ID, 0)?.runner(SUB);
  if (runner === undefined) throw new Error("not served");
  return runner;
}

function cursorOf(partition: FakePartition): number | undefined {
  return partition.deliveries.get(SUB)?.cursor;
}

describe("partition deliveries: attaching", () => {
  it("start: where the definition says, but at the earliest message of a younger topic", async () => {
    const starts = [
      [{ kind: "earliest" }, 1, 2],
      [{ kind: "latest" }, 1, 6],
      [{ kind: "time", timeMs: APPEND_TIME_MS }, 1, 2],
      [{ kind: "time", timeMs: APPEND_TIME_MS + 1 }, 1, 6],
      [{ kind: "latest" }, 9, 2],
    ] as const;
    for (const [start, topicIndex, expected] of starts) {
      const stage = await stageOf([]);
      stage.directory.topicIndex = topicIndex;
      stage.partition.append("a", "b", "c", "d", "e", "f");
      stage.partition.logStartOffset = 2;
      stage.directory.set([rowOf({ start })]);
      await stage.clock.run(0);
      expect(cursorOf(stage.partition)).toBe(expected);
      expect(stage.host.get(TOPIC_ID, 0)?.isComplete).toBe(true);
    }
  });

  it("refused: is tried again until it is attached", async () => {
    const stage = await stageOf([]);
    stage.partition.refusals = [
      new BrokerError("OVERLOADED", "full", { limit: "x" }),
      new BrokerError("DISK_FULL", "full"),
    ];
    stage.directory.set([rowOf()]);
    await stage.clock.run(10);
    expect(stage.host.get(TOPIC_ID, 0)?.isComplete).toBe(false);
    await stage.clock.run(1000);
    expect(stage.host.get(TOPIC_ID, 0)?.isComplete).toBe(true);
  });

  it("deleted: is detached, its streams end; an image that is too old detaches nothing", async () => {
    const stage = await stageOf([rowOf({ version: 50 })]);
    const stream = stage.open();
    await stage.clock.run(0);
    stage.partition.lose();
    stage.directory.set([], 49);
    stage.partition.lead();
    await stage.clock.run(0);
    expect(cursorOf(stage.partition)).toBe(0);
    stage.directory.set([], 50);
    await stage.clock.run(0);
    expect(cursorOf(stage.partition)).toBeUndefined();
    expect(stream.error?.reason).toBe("UNKNOWN_SUBSCRIPTION");
  });

  it("altered: the newer version is noted, and its runner follows", async () => {
    const stage = await stageOf([rowOf()]);
    const stream = stage.open();
    await stage.clock.run(0);
    stage.directory.set([rowOf({ version: 9, ackDeadlineMs: 1000 })]);
    await stage.clock.run(0);
    expect(stage.partition.deliveries.get(SUB)?.version).toBe(9);
    stage.partition.append("a");
    await stage.clock.run(1500);
    expect(stream.lost).toMatchObject([{ cause: "deadline" }]);
  });
});

describe("partition deliveries: the topic left and chosen again while that is under way", () => {
  it("the state that is served is the attached one: what is confirmed is in it, numbers go on", async () => {
    const stage = await stageOf([rowOf()]);
    stage.partition.append("a", "b");
    const former = stage.open();
    await stage.clock.run(0);
    const numberBefore = former.deliveries.at(-1)?.deliveryNumber ?? 0;
    stage.partition.isHeld = true;
    stage.directory.set([]);
    await stage.clock.run(0);
    stage.directory.set([rowOf({ version: 200 })]);
    await stage.clock.run(0);
    const stream = stage.open();
    await stage.clock.run(0);
    expect(stream.deliveries).toEqual([]);
    stage.partition.release();
    await stage.clock.run(1);
    expect(runnerOf(stage).state).toBe(stage.partition.deliveries.get(SUB));
    expect(stream.offsets).toEqual([0, 1]);
    const number = stream.deliveries[0]?.deliveryNumber ?? 0;
    expect(number).toBeGreaterThan(numberBefore);
    stream.ack(1, number, [0, 2], stream.deliveries[0]?.channel);
    await stage.clock.run(1);
    expect(stream.settled).toEqual([1]);
    expect(cursorOf(stage.partition)).toBe(2);
  });

  it("an update whose outcome is unknown: delivery numbers go on in the same term", async () => {
    const stage = await stageOf([rowOf()]);
    stage.partition.append("a", "b");
    const stream = stage.open();
    await stage.clock.run(0);
    const number = stream.deliveries[0]?.deliveryNumber ?? 0;
    stage.partition.refusals = [new BrokerError("LEADERSHIP_LOST", "nobody knows")];
    stream.ack(1, number, [0, 1]);
    await stage.clock.run(1);
    const again = stage.open();
    await stage.clock.run(1);
    const numbers = [...stream.deliveries.slice(1), ...again.deliveries];
    expect(numbers.length).toBeGreaterThan(0);
    for (const { deliveryNumber } of numbers) expect(deliveryNumber).toBeGreaterThan(number);
  });
});

describe("partition deliveries: more to be replicated than may be under way", () => {
  it("waits for what is under way and not for time, then is replicated", async () => {
    const ids = ["a", "b", "c", "d", "e"].map((end) => `${SUB.slice(0, -1)}${end}`);
    const stage = await stageOf(ids.map((id) => rowOf({ id, name: id })));
    stage.partition.append("m");
    stage.partition.isHeld = true;
    for (const id of ids) {
      const stream = stage.open({ subscription: id });
      await stage.clock.run(0);
      stream.ack(1, stream.deliveries[0]?.deliveryNumber ?? 0, [0, 1]);
      // Without time passing this ends only when nobody wakes for now again and again.
      await stage.clock.run(0);
    }
    stage.partition.release();
    await stage.clock.run(0);
    for (const id of ids) expect(stage.partition.deliveries.get(id)?.cursor).toBe(1);
  }, 5000);
});

describe("partition deliveries: leadership", () => {
  it("lost and won: streams are told, what was confirmed does not come again, the rest does", async () => {
    const stage = await stageOf([rowOf()]);
    stage.partition.append("a", "b", "c");
    const stream = stage.open();
    await stage.clock.run(0);
    const number = stream.deliveries[0]?.deliveryNumber ?? 0;
    stream.ack(1, number, [1, 1]);
    await stage.clock.run(0);
    expect(stream.settled).toEqual([1]);
    stage.partition.isHeld = true;
    stream.ack(2, number, [2, 1]);
    await stage.clock.run(0);
    stage.partition.lose();
    await stage.clock.run(0);
    expect(stream.ended).toMatchObject([{ channel: 0, reason: "LEADER_UNKNOWN" }]);
    stream.ack(3, number, [0, 1]);
    await stage.clock.run(0);
    expect(stream.refusals).toMatchObject([{ number: 3, reason: "LEADER_UNKNOWN" }]);
    stage.partition.isHeld = false;
    stage.partition.lead();
    await stage.clock.run(0);
    expect(stream.channels.map(({ channel, leaderEpoch }) => [channel, leaderEpoch])).toEqual([
      [0, 1],
      [1, 2],
    ]);
    expect(stream.offsets).toEqual([0, 1, 2, 0, 2]);
    expect(stream.settled).toEqual([1]);
  });

  it("outcome unknown: the update is not said again, the message goes out again", async () => {
    const stage = await stageOf([rowOf()]);
    stage.partition.append("a");
    const stream = stage.open();
    await stage.clock.run(0);
    stage.partition.refusals = [new BrokerError("LEADERSHIP_LOST", "who knows")];
    stage.partition.commands.length = 0;
    stream.nack(1, stream.deliveries[0]?.deliveryNumber ?? 0);
    await stage.clock.run(10_000);
    expect(stage.partition.commands).toEqual([]);
    expect(stream.settled).toEqual([]);
    expect(stream.ended).toMatchObject([{ channel: 0, reason: "LEADERSHIP_LOST" }]);
    expect(stream.offsets).toEqual([0, 0]);
  });

  it("ordered: what a consumer still holds is resumed; one that says nothing goes on after a deadline", async () => {
    const stage = await stageOf([rowOf({ mode: "keyed", onFailure: "park" })]);
    stage.partition.append({ key: "k", value: "a" }, { key: "k", value: "b" });
    const stream = stage.open();
    await stage.clock.run(5000);
    expect(stream.offsets).toEqual([0]);
    stage.partition.lose();
    stage.partition.lead();
    await stage.clock.run(0);
    const place = { topicId: TOPIC_ID, partition: 0, leaderEpoch: 1, deliveryNumber: 1 };
    stream.say({ held: [{ ...place, ranges: [0, 1] }] });
    await stage.clock.run(0);
    const resumed = stream.deliveries.at(-1);
    expect(resumed).toMatchObject({ channel: 1, resumed: [0, 1] });
    stream.ack(1, resumed?.deliveryNumber ?? 0, [], 1);
    await stage.clock.run(0);
    expect(stream.offsets).toEqual([0, 1]);
    stage.partition.lose();
    stage.partition.lead();
    await stage.clock.run(29_000);
    expect(stream.offsets).toEqual([0, 1]);
    await stage.clock.run(2000);
    expect(stream.offsets).toEqual([0, 1, 1]);
  });

  it("ordered: what `open` said is held is asked for again when the partition is led later, each time", async () => {
    const stage = await stageOf([rowOf({ mode: "keyed", onFailure: "park" })]);
    stage.partition.append({ key: "k", value: "a" }, { key: "l", value: "b" });
    stage.partition.lose();
    const place = { topicId: TOPIC_ID, partition: 0, leaderEpoch: 1, deliveryNumber: 1 };
    const stream = stage.open({ held: [{ ...place, ranges: [0, 1] }] });
    await stage.clock.run(1000);
    // Another leader gave it the second message meanwhile, and it is done with the first one.
    for (const offset of [1, 0]) {
      stage.partition.lead();
      await stage.clock.run(1000);
      const before = stream.deliveries.length;
      stream.say({ held: [{ ...place, ranges: [offset, 1] }] });
      await stage.clock.run(0);
      const [resumed, ...others] = stream.deliveries.slice(before);
      expect(resumed).toMatchObject({ resumed: [offset, 1] });
      expect(others.map(({ resumed: pairs }) => pairs)).toEqual([[]]);
      expect(stream.offsets.at(-1)).toBe(1 - offset);
      stage.partition.lose();
    }
    expect(stream.offsets).toEqual([0, 1]);
  });

  it("ordered: a consumer that is waited for is asked, too, when it opens its stream: it may have more than that says", async () => {
    const stage = await stageOf([rowOf({ mode: "keyed", onFailure: "park" })]);
    stage.partition.append({ key: "k", value: "a" }, { key: "l", value: "b" });
    stage.open({ consumerId: "c1" }, { messages: 1, bytes: 1000 });
    stage.open({ consumerId: "c2" }, { messages: 1, bytes: 1000 });
    await stage.clock.run(5000);
    stage.partition.lose();
    stage.partition.lead();
    await stage.clock.run(0);
    const place = { topicId: TOPIC_ID, partition: 0, leaderEpoch: 1, deliveryNumber: 1 };
    // It does not know yet that the former leader is none any more: what it has of it is not said.
    const [first, second] = ["c1", "c2"].map((consumerId) => stage.open({ consumerId }));
    await stage.clock.run(1000);
    expect([first?.offsets, second?.offsets]).toEqual([[], []]);
    first?.say({ held: [{ ...place, ranges: [0, 1] }] });
    await stage.clock.run(0);
    expect(first?.deliveries).toMatchObject([{ resumed: [0, 1] }]);
    second?.say({ held: [{ ...place, ranges: [] }] });
    await stage.clock.run(0);
    expect([first?.offsets, second?.offsets].flat()).toEqual([1]);
    // Nobody is waited for any more: what is said at the opening is enough.
    second?.close();
    const third = stage.open({ consumerId: "c1" });
    await stage.clock.run(1000);
    expect(third.offsets).toEqual([0, 1]);
  });

  it("resumed: what is settled is named, so that a settlement whose confirmation was lost is confirmed", async () => {
    const stage = await stageOf([rowOf()]);
    stage.partition.append("a", "b", "c");
    const stream = stage.open();
    await stage.clock.run(0);
    const number = stream.deliveries[0]?.deliveryNumber ?? 0;
    stream.ack(1, number, [0, 2]);
    stream.close();
    await stage.clock.run(0);
    stage.partition.lose();
    stage.partition.lead();
    await stage.clock.run(0);
    const place = { topicId: TOPIC_ID, partition: 0, leaderEpoch: 1, deliveryNumber: number };
    const held = [
      { ...place, ranges: [0, 1] },
      { ...place, ranges: [1, 2] },
    ];
    const next = stage.open({ held });
    await stage.clock.run(0);
    const resumed = next.deliveries.filter((delivery) => delivery.resumed.length > 0);
    expect(resumed.map((delivery) => delivery.resumed)).toEqual([
      [0, 1],
      [1, 2],
    ]);
    next.ack(1, resumed[0]?.deliveryNumber ?? 0, [0, 1]);
    next.ack(2, resumed[1]?.deliveryNumber ?? 0, [1, 2]);
    await stage.clock.run(0);
    expect([...next.settled].sort()).toEqual([1, 2]);
    expect(next.offsets).toEqual([]);
    expect(cursorOf(stage.partition)).toBe(3);
  });

  it("memory: nothing that was read is kept for consumers that are gone", async () => {
    for (const mode of ["shared", "keyed", "exclusive"] as const) {
      const stage = await stageOf([rowOf({ mode })]);
      for (let at = 0; at < 20; at += 1) stage.partition.append({ key: "k", value: "x" });
      const stream = stage.open({}, { messages: 1, bytes: 1000 });
      await stage.clock.run(10);
      expect(stream.offsets).toEqual([0]);
      stream.close();
      await stage.clock.run(10);
      expect([mode, stage.memory.used("delivery")]).toEqual([mode, 0]);
    }
  });

  it("idle: no timer stands, and news of the partition cost nothing without consumers", async () => {
    const stage = await stageOf([rowOf()]);
    const stream = stage.open();
    await stage.clock.run(10_000);
    stream.close();
    await stage.clock.run(60_000);
    const before = stage.clock.nowMs;
    let events = 0;
    await stage.clock.runUntil(() => {
      events += 1;
      return false;
    }, 3_600_000);
    expect(stage.clock.nowMs - before).toBe(3_600_000);
    expect(events).toBeLessThanOrEqual(3);
  });
});

describe("partition deliveries: dead letters", () => {
  const retry = {
    attemptsMax: 1,
    delaysMs: [10],
    initialMs: 1,
    maxMs: 10,
    multiplierPercent: 100,
    jitterPercent: 0,
  };

  it("a dead message goes to its topic with everything about it, then the source is settled", async () => {
    const stage = await stageOf([rowOf({ retry })]);
    stage.sinkRefusals.push(new BrokerError("LEADER_UNKNOWN", "later"));
    stage.partition.append({ key: "k", value: "v", headers: { h: "1" } });
    const stream = stage.open();
    await stage.clock.run(0);
    stream.nack(1, stream.deliveries[0]?.deliveryNumber ?? 0);
    await stage.clock.run(50);
    expect(stage.letters).toEqual([]);
    expect(cursorOf(stage.partition)).toBe(0);
    await stage.clock.run(1000);
    expect(stage.letters).toHaveLength(1);
    const [letter] = stage.letters;
    expect(letter).toMatchObject({ topic: "dlq/bills", subscriptionId: SUB });
    expect([`${letter?.key}`, `${letter?.value}`]).toEqual(["k", "v"]);
    const headers = new Map(
      letter?.headers.map(({ name, value }) => [name, `${Buffer.from(value)}`]),
    );
    expect(headers.get("h")).toBe("1");
    expect(headers.get(DEAD_HEADER.OFFSET)).toBe("0");
    expect(headers.get(DEAD_HEADER.REASON)).toBe("attempts");
    expect(headers.get(DEAD_HEADER.ERROR)).toBe("boom");
    expect(headers.get(DEAD_HEADER.ATTEMPTS)).toBe("1");
    expect(cursorOf(stage.partition)).toBe(1);
  });

  it("a leader that dies after the move: the next one moves it again, under the same id", async () => {
    const stage = await stageOf([rowOf({ retry })]);
    stage.partition.append("v");
    const stream = stage.open();
    await stage.clock.run(0);
    stream.nack(1, stream.deliveries[0]?.deliveryNumber ?? 0);
    await stage.clock.runUntil(() => {
      if (stage.letters.length === 1) stage.partition.isHeld = true;
      return stage.letters.length === 1;
    }, 1000);
    stage.partition.lose();
    stage.partition.isHeld = false;
    stage.partition.lead();
    await stage.clock.run(1000);
    expect(stage.letters.map(({ origin }) => origin)).toEqual([
      stage.letters[0]?.origin,
      stage.letters[0]?.origin,
    ]);
    expect(cursorOf(stage.partition)).toBe(1);
  });

  it("what can not be decoded is refused for whoever asked for messages, and moved as it is stored", async () => {
    const stage = await stageOf([rowOf()]);
    stage.partition.append("v");
    // The record's length says more than there is.
    stage.partition.batches[0]?.writeUInt8(0x7e, 61);
    stage.partition.append("w");
    const stream = stage.open();
    await stage.clock.run(1000);
    expect(stream.offsets).toEqual([1]);
    expect(stage.letters.map(({ value }) => value)).toEqual([stage.partition.batches[0]]);
    expect(cursorOf(stage.partition)).toBe(1);
  });
});

describe("partition deliveries: dead letters that can not be moved", () => {
  /** Rejects everything that it is given. */
  async function rejected(stage: Stage): Promise<FakeStream> {
    const stream = stage.open();
    await stage.clock.run(0);
    for (const [at, { deliveryNumber }] of stream.deliveries.entries()) {
      const settle = { number: at + 1, channel: 0, deliveryNumber, kind: "reject" } as const;
      const rest = { ranges: [], cumulative: false, retryAtMs: 0, error: "bad" };
      stream.say({ settle: [{ ...settle, ...rest }] });
    }
    await stage.clock.run(0);
    return stream;
  }

  it("wait by themselves: the others are moved meanwhile", async () => {
    const letters: number[] = [];
    const publish = ({ origin }: DeadLetter): Promise<void> => {
      if (origin.offset < 8) return Promise.reject(new BrokerError("RECORD_TOO_LARGE", "no"));
      letters.push(origin.offset);
      return Promise.resolve();
    };
    const logger = { info: () => undefined, warn: () => undefined, error: () => undefined };
    const stage = await stageOf([rowOf()], { sink: { publish }, logger });
    for (let at = 0; at < 20; at += 1) stage.partition.append("v");
    await rejected(stage);
    await stage.clock.run(100);
    expect(letters).toEqual([8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19]);
    expect(stage.partition.deliveries.get(SUB)?.failures.deadCount).toBe(8);
  });

  it("outage: all are moved soon after it, none twice", async () => {
    const stage = await stageOf([rowOf()]);
    for (let at = 0; at < 300; at += 1) stage.partition.append("v");
    for (let at = 0; at < 64; at += 1) {
      stage.sinkRefusals.push(new BrokerError("LEADER_UNKNOWN", "later"));
    }
    await rejected(stage);
    await stage.clock.run(500);
    expect(stage.letters).toHaveLength(300);
    expect(new Set(stage.letters.map(({ origin }) => origin.offset)).size).toBe(300);
    expect(cursorOf(stage.partition)).toBe(300);
  });

  it("without a topic any more: they stay dead and unsettled until there is one again", async () => {
    const stage = await stageOf([rowOf()]);
    stage.sinkRefusals.push(new BrokerError("LEADER_UNKNOWN", "later"));
    stage.partition.append("v");
    await rejected(stage);
    stage.directory.set([rowOf({ version: 6, deadLetterTopic: undefined })]);
    await stage.clock.run(60_000);
    expect([stage.letters.length, cursorOf(stage.partition)]).toEqual([0, 0]);
    expect((await stage.clock.until(explain(runnerOf(stage), 0))).fate.kind).toBe("dead");
    stage.directory.set([rowOf({ version: 7, deadLetterTopic: "dlq/other" })]);
    await stage.clock.run(1000);
    expect(stage.letters.map(({ topic }) => topic)).toEqual(["dlq/other"]);
    expect(cursorOf(stage.partition)).toBe(1);
  });

  it("seek: a move that ends after it settles nothing", async () => {
    const arrived: (() => void)[] = [];
    const publish = (): Promise<void> => new Promise((resolve) => arrived.push(resolve));
    const stage = await stageOf([rowOf()], { sink: { publish } });
    stage.partition.append("v", "w");
    await rejected(stage);
    expect(arrived).toHaveLength(2);
    const [first, second] = arrived;
    const back = { kind: "earliest", offset: 0, timeMs: 0 } as const;
    const seeking = seek(runnerOf(stage), back, false);
    first?.();
    await stage.clock.until(seeking);
    second?.();
    await stage.clock.run(1000);
    expect(cursorOf(stage.partition)).toBe(0);
    const dead = stage.partition.deliveries.get(SUB);
    expect([dead?.failures.deadCount, dead?.settled.settledAbove]).toEqual([0, 0]);
  });

  it("seek: a message that dies anew right after it is moved anew, as another death", async () => {
    const letters: DeadLetter[] = [];
    let arrived = (): void => undefined;
    const publish = (letter: DeadLetter): Promise<void> => {
      letters.push(letter);
      return new Promise((resolve) => {
        arrived = resolve;
      });
    };
    const stage = await stageOf([rowOf()], { sink: { publish } });
    stage.partition.append("v");
    const first = await rejected(stage);
    // Settled as moved, and the seek is applied before that is replicated.
    const propose = stage.partition.propose.bind(stage.partition);
    stage.partition.propose = async (command) => {
      if (command.type === "seek") arrived();
      for (let turn = 0; turn < 10; turn += 1) await Promise.resolve();
      return propose(command);
    };
    const back = { kind: "earliest", offset: 0, timeMs: 0 } as const;
    await stage.clock.until(seek(runnerOf(stage), back, false));
    first.close();
    await rejected(stage);
    expect(letters).toHaveLength(2);
    expect(letters[0]?.death).not.toBe(letters[1]?.death);
    arrived();
    await stage.clock.run(1000);
    expect(cursorOf(stage.partition)).toBe(1);
  });

  it("a batch that can not be decoded: its bytes go once, every letter says so", async () => {
    const stage = await stageOf([rowOf()]);
    stage.partition.append("a", "b", "c");
    const [batch] = stage.partition.batches;
    batch?.writeUInt8(0x7e, 61);
    stage.open();
    await stage.clock.run(1000);
    const cutOf = ({ headers }: DeadLetter): string =>
      `${headers.find(({ name }) => name === DEAD_HEADER.CUT)?.value}`;
    expect(stage.letters.map((letter) => [letter.value, cutOf(letter)])).toEqual([
      [batch, "batch"],
      [undefined, "batch"],
      [undefined, "batch"],
    ]);
    expect(cursorOf(stage.partition)).toBe(3);
  });
});

describe("partition deliveries: questions", () => {
  it("seek: a dry run tells, a real one moves, and what is out is lost", async () => {
    const stage = await stageOf([rowOf()]);
    stage.partition.append("a", "b", "c", "d");
    const stream = stage.open();
    await stage.clock.run(0);
    const number = stream.deliveries[0]?.deliveryNumber ?? 0;
    stream.ack(1, number, [0, 1, 2, 1]);
    await stage.clock.run(0);
    const target = { kind: "offset", offset: 3, timeMs: 0 } as const;
    const dry = await seek(runnerOf(stage), target, true);
    expect(dry).toEqual({ from: 1, to: 3, skippedMessages: 1, repeatedMessages: 0 });
    expect(cursorOf(stage.partition)).toBe(1);
    const back = { kind: "earliest", offset: 0, timeMs: 0 } as const;
    const told = await stage.clock.until(seek(runnerOf(stage), back, false));
    expect(told).toEqual({ from: 1, to: 0, skippedMessages: 0, repeatedMessages: 2 });
    await stage.clock.run(0);
    expect(stream.lost).toMatchObject([{ cause: "seek" }]);
    expect(stream.offsets.slice(4)).toEqual([0, 1, 2, 3]);
    await expect(seek(runnerOf(stage), { offset: 0, timeMs: 0 }, false)).rejects.toMatchObject({
      fields: { field: "kind" },
    });
  });

  it("explain: filtered, leased, settled, ready, delayed, absent", async () => {
    const filter = JSON.stringify({ kind: "sql", expression: "region = 'eu'" });
    const stage = await stageOf([rowOf({ filter })]);
    const eu = { value: "x", headers: { region: "eu" } };
    stage.partition.append({ value: "x", headers: { region: "us" } }, eu, eu, eu, eu);
    const stream = stage.open({}, { messages: 3, bytes: 1000 });
    await stage.clock.run(0);
    const { deliveryNumber = 0 } = stream.deliveries[0] ?? {};
    stream.ack(1, deliveryNumber, [1, 1]);
    stream.nack(2, deliveryNumber, [2, 1]);
    await stage.clock.run(1);
    const kinds: string[] = [];
    for (let offset = 0; offset < 6; offset += 1) {
      const { fate, sentence } = await stage.clock.until(explain(runnerOf(stage), offset));
      kinds.push(fate.kind);
      expect(sentence).toMatch(/\.$/);
    }
    expect(kinds).toEqual(["filtered", "settled", "delayed", "leased", "ready", "absent"]);
  });

  it("without consumers: messages that came since are counted and explained", async () => {
    const stage = await stageOf([rowOf()]);
    stage.partition.append("a", "b");
    const told = await stage.clock.until(progressOf(runnerOf(stage)));
    expect(told).toMatchObject({ unsettledMessages: 2, unsettledBytes: 1000, consumers: 0 });
    expect(told.oldestUnsettledMs).toBe(APPEND_TIME_MS);
    expect((await stage.clock.until(explain(runnerOf(stage), 1))).fate.kind).toBe("ready");
  });

  it("park and release: the key waits, is listed, and goes on with or without its message", async () => {
    const retry = {
      attemptsMax: 1,
      delaysMs: [1],
      initialMs: 1,
      maxMs: 1,
      multiplierPercent: 100,
      jitterPercent: 0,
    };
    const stage = await stageOf([rowOf({ mode: "keyed", onFailure: "park", retry })]);
    stage.partition.append({ key: "k", value: "a" }, { key: "k", value: "b" });
    const stream = stage.open();
    await stage.clock.run(0);
    expect(stream.offsets).toEqual([0]);
    stream.nack(1, stream.deliveries[0]?.deliveryNumber ?? 0);
    await stage.clock.run(10);
    const waiting = await stage.clock.until(explain(runnerOf(stage), 1));
    expect(waiting.fate).toMatchObject({ kind: "parked", behindOffset: 0 });
    expect((await stage.clock.until(progressOf(runnerOf(stage)))).parkedKeys).toBe(1);
    await expect(runnerOf(stage).release(1, false)).rejects.toMatchObject({
      reason: "INVALID_REQUEST",
    });
    await stage.clock.until(runnerOf(stage).release(0, true));
    await stage.clock.run(10);
    expect(stage.letters).toHaveLength(1);
    expect(stream.offsets).toEqual([0, 1]);
  });
});
