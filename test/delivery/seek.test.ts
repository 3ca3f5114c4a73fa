import { describe, expect, it } from "vitest";
import type { DeliveryRunner } from "../../src/delivery/delivery-runner.ts";
import { seek } from "../../src/delivery/seek.ts";
import { BrokerError } from "../../src/model/errors.ts";
import { type FakeStream, type Stage, stageOf, TOPIC_ID } from "./fake-partition.ts";
import { rowOf, SUB } from "./support.ts";

const BACK = { kind: "earliest", offset: 0, timeMs: 0 } as const;

function runnerOf(stage: Stage): DeliveryRunner {
  const runner = stage.host.get(TOPIC_ID, 0)?.runner(SUB);
  if (runner === undefined) throw new Error("not served");
  return runner;
}

describe("seek", () => {
  it("a release of a parked key that it overtakes ends", async () => {
    const stage = await stageOf([rowOf({ mode: "keyed", onFailure: "park" })]);
    stage.partition.append({ key: "k", value: "a" });
    const stream = stage.open();
    await stage.clock.run(0);
    const { deliveryNumber = 0 } = stream.deliveries[0] ?? {};
    const reject = { number: 1, channel: 0, deliveryNumber, kind: "reject", ranges: [] } as const;
    stream.say({ settle: [{ ...reject, cumulative: false, retryAtMs: 0, error: "no" }] });
    await stage.clock.run(10);
    expect(runnerOf(stage).state.parked.size).toBe(1);
    stage.partition.isHeld = true;
    const sought = seek(runnerOf(stage), BACK, false);
    await stage.clock.run(0);
    const released = runnerOf(stage).release(0, false);
    stage.partition.release();
    await stage.clock.until(sought);
    await stage.clock.until(released, 1000);
  });

  it("applied when the leadership ends: says what it did", async () => {
    const stage = await stageOf([rowOf()]);
    stage.partition.append("a", "b");
    const stream = stage.open();
    await stage.clock.run(0);
    stream.ack(1, stream.deliveries[0]?.deliveryNumber ?? 0, [0, 2]);
    await stage.clock.run(0);
    const propose = stage.partition.propose.bind(stage.partition);
    stage.partition.propose = async (command) => {
      const reply = await propose(command);
      stage.partition.lose();
      return reply;
    };
    const told = await stage.clock.until(seek(runnerOf(stage), BACK, false));
    expect(told).toEqual({ from: 2, to: 0, skippedMessages: 0, repeatedMessages: 2 });
  });

  describe("what a consumer said before it settles nothing behind it", () => {
    async function givenTwo(): Promise<{ stage: Stage; stream: FakeStream; number: number }> {
      const stage = await stageOf([rowOf()]);
      stage.partition.append("a", "b");
      const stream = stage.open();
      await stage.clock.run(0);
      return { stage, stream, number: stream.deliveries[0]?.deliveryNumber ?? 0 };
    }

    async function expectBoth({ clock, partition }: Stage, stream: FakeStream): Promise<void> {
      await clock.run(1000);
      expect(partition.deliveries.get(SUB)?.cursor).toBe(0);
      expect(stream.offsets).toEqual([0, 1, 0, 1]);
      expect(stream.settled).toEqual([1]);
    }

    it("proposed while the seek was under way", async () => {
      const { number, stage, stream } = await givenTwo();
      stage.partition.isHeld = true;
      const sought = seek(runnerOf(stage), BACK, false);
      await stage.clock.run(0);
      stream.ack(1, number);
      await stage.clock.run(0);
      expect(stage.partition.commands.slice(-2).map(({ type }) => type)).toEqual([
        "seek",
        "deliver",
      ]);
      stage.partition.release();
      await stage.clock.until(sought);
      await expectBoth(stage, stream);
    });

    it("proposed again after a refusal", async () => {
      const { number, stage, stream } = await givenTwo();
      stage.partition.refusals.push(new BrokerError("OVERLOADED", "later"));
      stream.ack(1, number);
      await stage.clock.run(0);
      await stage.clock.until(seek(runnerOf(stage), BACK, false));
      await expectBoth(stage, stream);
    });
  });

  it("a leader died before the consumer heard of it: what was given before is not gone on with", async () => {
    const stage = await stageOf([rowOf({ mode: "keyed", onFailure: "park" })]);
    stage.partition.append({ key: "k", value: "a" }, { key: "k", value: "b" });
    const stream = stage.open();
    await stage.clock.run(5000);
    stream.ack(1, stream.deliveries[0]?.deliveryNumber ?? 0);
    await stage.clock.run(0);
    expect(stream.offsets).toEqual([0, 1]);
    const propose = stage.partition.propose.bind(stage.partition);
    stage.partition.propose = async (command) => {
      const reply = await propose(command);
      if (command.type === "seek") stage.partition.lose();
      return reply;
    };
    await stage.clock.until(seek(runnerOf(stage), BACK, false));
    expect(stream.lost).toEqual([]);
    // What a later leader gave is gone on with, although it was given before this one.
    for (const [leaderEpoch, resumed] of [
      [1, []],
      [2, [0, 1]],
    ] as const) {
      stage.partition.lead();
      await stage.clock.run(0);
      const before = stream.deliveries.length;
      const place = { topicId: TOPIC_ID, partition: 0, leaderEpoch, deliveryNumber: 1 };
      stream.say({ held: [{ ...place, ranges: leaderEpoch === 1 ? [1, 1] : [0, 1] }] });
      await stage.clock.run(1000);
      const answers = stream.deliveries.slice(before);
      expect(answers.flatMap((delivery) => delivery.resumed)).toEqual(resumed);
      expect(stream.offsets).toEqual([0, 1, 0]);
      stage.partition.lose();
    }
  });
});
