import { describe, expect, it } from "vitest";
import {
  ConsumerRecorder,
  checkHistory,
  type DeliveryEvent,
  DeliveryRecorder,
  type HistoryEvent,
} from "../../src/testkit/index.ts";

const TOKEN = {
  ...{ subscription: "s", consumer: "c", topic: "t", partition: 2 },
  ...{ leaderEpoch: 3, delivery: 17 },
};

function clock(): () => number {
  let ms = 0;
  return () => {
    ms += 1;
    return ms;
  };
}

describe("delivery recorder", () => {
  it("gives back what was written, in its order", () => {
    const recorder = new DeliveryRecorder(clock());
    const records = [
      { offset: 5, value: "v", key: "k", handedOut: 2, failed: 1 },
      { offset: 6, value: "w", key: undefined, handedOut: undefined, failed: undefined },
    ];
    recorder.deliver(TOKEN, records);
    recorder.begin(TOKEN, [5, 2]);
    recorder.end(TOKEN, [5, 1], true);
    recorder.end(TOKEN, [6, 1], false);
    const number = recorder.ask(TOKEN, "ack", [5, 1, 9, 3]);
    recorder.answer("c", number, "confirmed");
    recorder.lose(TOKEN, [6, 1], "deadline");
    recorder.resume({ ...TOKEN, delivery: 18 }, records.slice(0, 1), 99);
    const pause: DeliveryEvent = {
      ...{ type: "pause", beganMs: 1, atMs: 2, subscription: "s", isPaused: true },
    };
    recorder.note(pause);
    expect([...recorder.events()]).toEqual([
      { type: "deliver", atMs: 1, ...TOKEN, records },
      { type: "handler", atMs: 2, phase: "begin", ...TOKEN, ranges: [5, 2] },
      { type: "handler", atMs: 3, phase: "end", ...TOKEN, ranges: [5, 1], isOk: true },
      { type: "handler", atMs: 4, phase: "end", ...TOKEN, ranges: [6, 1], isOk: false },
      { type: "settlement", atMs: 5, number: 1, ...TOKEN, verdict: "ack", ranges: [5, 1, 9, 3] },
      { type: "settled", atMs: 6, consumer: "c", number: 1, outcome: "confirmed" },
      { type: "lost", atMs: 7, ...TOKEN, ranges: [6, 1], cause: "deadline" },
      {
        ...{ type: "deliver", atMs: 99, ...TOKEN, delivery: 18, isResumed: true },
        records: records.slice(0, 1),
      },
      pause,
    ]);
    expect(recorder).toMatchObject({ delivered: 2, confirmed: 1, refused: 0 });
  });

  it("consumer: a message that goes on under a new token is written down as such", () => {
    const now = clock();
    const recorder = new DeliveryRecorder(now);
    const consumer = new ConsumerRecorder(recorder, now, "s", "c");
    const token = { leaderEpoch: 1, deliveryNumber: 4 };
    const message = { topic: "t", partition: 0, offset: 0, attempt: 1, handedOut: 1, token };
    const handled = consumer.begin(message, "v", undefined);
    token.leaderEpoch = 2;
    token.deliveryNumber = 1;
    consumer.end(handled, true);
    consumer.answer(consumer.ask(handled, "ack"), "confirmed");
    const events = [...recorder.events()];
    expect(events.map(({ type }) => type)).toEqual([
      ...["deliver", "handler", "deliver", "handler", "settlement", "settled"],
    ]);
    const sent: HistoryEvent = {
      ...{ type: "send", atMs: 0, producer: "p", topic: "t", key: undefined, value: "v" },
      durability: "all/sync",
    };
    const report = checkHistory([sent, ...events]);
    expect(report.anomalies).toEqual([]);
    expect(report).toMatchObject({ delivered: 2, settled: 1 });
  });

  it("consumer: what arrived is not written down again when a handler has it, also under a newer token", () => {
    const recorder = new DeliveryRecorder(clock());
    const consumer = new ConsumerRecorder(recorder, () => 1, "s", "c");
    const place = { topic: "t", partition: 0, attempt: 1, handedOut: 1 };
    const token = { leaderEpoch: 1, deliveryNumber: 4 };
    const texts = { value: "v", key: undefined };
    const named = (offset: number) => ({ ...place, ...texts, offset, token });
    consumer.arrive([0, 1, 2, 3].map(named));
    consumer.take(named(0));
    consumer.begin(named(0), "v", undefined);
    consumer.begin(named(1), "v", undefined);
    consumer.drop(named(2), "session");
    // A handler has it: it says so itself when it loses it.
    consumer.drop(named(0), "session");
    // An older lease does not end a newer one.
    consumer.drop({ ...named(3), token: { leaderEpoch: 1, deliveryNumber: 3 } }, "session");
    consumer.begin({ ...named(3), token: { leaderEpoch: 2, deliveryNumber: 1 } }, "v", undefined);
    const told = [...recorder.events()].map((event) => {
      if (event.type === "deliver") {
        const how = event.isResumed === true ? "resume" : "deliver";
        return [how, ...event.records.map(({ offset }) => offset)];
      }
      return "ranges" in event ? [event.type, event.ranges[0]] : [event.type];
    });
    expect(told).toEqual([
      ["deliver", 0, 1, 2, 3],
      ["handler", 0],
      ["handler", 1],
      ["lost", 2],
      ["resume", 3],
      ["handler", 3],
    ]);
  });

  it("consumer: what a deposed leader gives late is another delivery", () => {
    const recorder = new DeliveryRecorder(clock());
    const consumer = new ConsumerRecorder(recorder, () => 1, "s", "c");
    const place = { topic: "t", partition: 0, offset: 0, attempt: 1, handedOut: 1 };
    const newer = { ...place, token: { leaderEpoch: 2, deliveryNumber: 1 } };
    const older = { ...place, token: { leaderEpoch: 1, deliveryNumber: 9 } };
    const texts = { value: "v", key: undefined };
    consumer.arrive([{ ...newer, ...texts }]);
    consumer.arrive([{ ...older, ...texts }]);
    consumer.drop(older, "session");
    consumer.begin(newer, "v", undefined);
    const told = [...recorder.events()].map((event) =>
      "leaderEpoch" in event ? `${event.type} ${event.leaderEpoch}` : event.type,
    );
    expect(told).toEqual(["deliver 2", "deliver 1", "lost 1", "handler 2"]);
  });

  it("consumer: a newer token is written down at once when somebody tells, and else before the answer", () => {
    for (const isTold of [true, false]) {
      const recorder = new DeliveryRecorder(clock());
      const consumer = new ConsumerRecorder(recorder, () => 1, "s", "c");
      const token = { leaderEpoch: 1, deliveryNumber: 4 };
      const place = { topic: "t", partition: 0, attempt: 1, handedOut: 1, token };
      const handled = consumer.begin({ ...place, offset: 0 }, "v", undefined);
      const other = consumer.begin({ ...place, offset: 1 }, "w", undefined);
      const number = consumer.ask(handled, "ack");
      token.leaderEpoch = 2;
      if (isTold) consumer.resumed();
      consumer.answer(number, "confirmed");
      // Settled already: that is the token of nothing.
      token.deliveryNumber = Number.MAX_SAFE_INTEGER;
      if (isTold) consumer.resumed();
      consumer.end(other, true);
      const resumed = [...recorder.events()].slice(5).map((event) => {
        if (event.type !== "deliver") return event.type;
        const isSettled = event.delivery === Number.MAX_SAFE_INTEGER;
        return `${event.records[0]?.offset}${isSettled ? " is settled" : ""}`;
      });
      const first = isTold ? ["0", "1"] : ["0"];
      expect(resumed).toEqual([...first, "settled", "1 is settled", "handler"]);
    }
  });

  it("consumer: a loss is of the token under which the message went on, and nothing goes on after it", () => {
    const now = clock();
    const recorder = new DeliveryRecorder(now);
    const consumer = new ConsumerRecorder(recorder, now, "s", "c");
    const token = { leaderEpoch: 1, deliveryNumber: 4 };
    const message = { topic: "t", partition: 0, offset: 0, attempt: 1, handedOut: 1, token };
    const handled = consumer.begin(message, "v", undefined);
    token.leaderEpoch = 2;
    consumer.lose(handled, "seek");
    // Others of the same delivery go on once more.
    token.leaderEpoch = 3;
    consumer.end(handled, true);
    const told = [...recorder.events()].map((event) => [
      event.type,
      "leaderEpoch" in event ? event.leaderEpoch : undefined,
    ]);
    expect(told).toEqual([
      ["deliver", 1],
      ["handler", 1],
      ["deliver", 2],
      ["lost", 2],
      ["handler", 2],
    ]);
  });
});
