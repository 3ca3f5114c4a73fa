import { describe, expect, it } from "vitest";
import { BrokerError } from "../../src/model/errors.ts";
import { REFUSED_SETTLES_MAX } from "../../src/model/limits.ts";
import { stageOf, TOPIC_ID } from "./fake-partition.ts";
import { OTHER_SUB, rowOf, SUB } from "./support.ts";

const SQL = JSON.stringify({ kind: "sql", expression: "region = 'eu'" });

describe("push session: opening", () => {
  const refused: readonly [
    string,
    Parameters<Awaited<ReturnType<typeof stageOf>>["open"]>[0],
    string,
  ][] = [
    ["an unknown subscription", { subscription: "nobody" }, "UNKNOWN_SUBSCRIPTION"],
    ["a version that is not spoken", { protocolVersion: 99 }, "UNSUPPORTED_VERSION"],
    ["no consumer id", { consumerId: "" }, "INVALID_REQUEST"],
    ["a consumer id that is too long", { consumerId: "x".repeat(129) }, "INVALID_REQUEST"],
    ["another filter", { expectedFilter: SQL }, "FILTER_MISMATCH"],
    ["a filter that is none", { expectedFilter: "{" }, "INVALID_REQUEST"],
  ];
  it.each(refused)("refuses %s", async (_what, open, reason) => {
    const stage = await stageOf([rowOf()]);
    expect(stage.open(open).error?.reason).toBe(reason);
    expect(stage.host.sessions).toBe(0);
  });

  it("filter: both texts are told; another way to write the same is no mismatch", async () => {
    const filter = JSON.stringify({ kind: "tags", tags: ["a", "b"] });
    const stage = await stageOf([rowOf({ filter })]);
    expect(stage.open({ expectedFilter: SQL }).error?.fields).toEqual({
      expected: SQL,
      actual: filter,
    });
    const same = stage.open({ expectedFilter: '{"tags":["b","a"],"kind":"tags"}' });
    expect(same.error).toBeUndefined();
  });

  it("first message without open, and open again: end the stream", async () => {
    const stage = await stageOf([rowOf()]);
    const stream = stage.open();
    stream.say({ open: { ...(await import("./fake-partition.ts")).OPEN } });
    expect(stream.error?.fields["field"]).toBe("open");
  });

  it("same consumer id: the later stream ends the earlier one, whose messages go to it", async () => {
    const stage = await stageOf([rowOf()]);
    stage.partition.append("a", "b");
    const first = stage.open();
    await stage.clock.run(0);
    expect(first.offsets).toEqual([0, 1]);
    const second = stage.open();
    await stage.clock.run(0);
    expect(first.error?.reason).toBe("CONSUMER_REPLACED");
    expect(second.offsets).toEqual([0, 1]);
    expect(stage.host.sessions).toBe(1);
  });

  it("claims: what `open` says is held is counted, and given back; there is no more than fits", async () => {
    const stage = await stageOf([rowOf()]);
    const ranges = Array.from({ length: 8000 }, (_, at) => (at % 2 === 0 ? at : 1));
    const held = [{ topicId: TOPIC_ID, partition: 5, leaderEpoch: 1, deliveryNumber: 1, ranges }];
    const streams = [];
    for (let count = 0; streams.at(-1)?.error === undefined && count < 1000; count += 1) {
      streams.push(stage.open({ consumerId: `c${count}`, held }));
    }
    expect(streams.length).toBeGreaterThan(10);
    expect(streams.length).toBeLessThan(200);
    expect(streams.at(-1)?.error).toMatchObject({
      reason: "OVERLOADED",
      fields: { limit: "memory.streams" },
    });
    for (const stream of streams) stream.close();
    expect(stage.memory.used("streams")).toBe(0);
  });

  it("claims: the channel is answered behind what goes on, also when nothing does", async () => {
    const stage = await stageOf([rowOf()]);
    stage.partition.append("a", "b");
    stage.partition.lose();
    stage.partition.lead();
    await stage.clock.run(0);
    const place = { topicId: TOPIC_ID, partition: 0, leaderEpoch: 1, deliveryNumber: 1 };
    const first = stage.open({ consumerId: "c1", held: [{ ...place, ranges: [0, 1] }] });
    await stage.clock.run(0);
    expect(first.answers.flatMap(({ answered }) => answered)).toEqual([0]);
    expect(first.answers[0]?.deliveries[0]?.resumed).toEqual([0, 1]);
    expect(first.answers[0]?.answered).toEqual([0]);
    // The first one has it.
    const second = stage.open({ consumerId: "c2", held: [{ ...place, ranges: [0, 1] }] });
    await stage.clock.run(0);
    expect(second.deliveries).toEqual([]);
    expect(second.answers.flatMap(({ answered }) => answered)).toEqual([0]);
  });

  it("claims: a topic's id of any length is refused", async () => {
    const stage = await stageOf([rowOf()]);
    const place = { partition: 0, leaderEpoch: 1, deliveryNumber: 1, ranges: [0, 1] };
    const stream = stage.open({ held: [{ ...place, topicId: "x".repeat(37) }] });
    expect(stream.error?.fields["field"]).toBe("open.held.topicId");
  });

  it("limit of streams: one more is refused with its name", async () => {
    const stage = await stageOf([rowOf()], { sessionsMax: 2 });
    stage.open({ consumerId: "a" });
    stage.open({ consumerId: "b" });
    const third = stage.open({ consumerId: "c" });
    expect(third.error?.reason).toBe("OVERLOADED");
    expect(third.error?.fields).toEqual({ limit: "pushSessions", max: 2 });
  });
});

describe("push session: delivering and settling", () => {
  it("messages come as far as credit reaches, and are settled when that is applied", async () => {
    const stage = await stageOf([rowOf()]);
    stage.partition.append("a", "b", "c");
    const stream = stage.open({}, { messages: 2, bytes: 1000 });
    await stage.clock.run(0);
    expect(stream.channels).toMatchObject([
      { channel: 0, topic: "orders", partition: 0, leaderEpoch: 1, mode: "shared" },
    ]);
    expect(stream.offsets).toEqual([0, 1]);
    stage.partition.isHeld = true;
    stream.ack(7, stream.deliveries[0]?.deliveryNumber ?? 0);
    await stage.clock.run(5);
    expect(stream.settled).toEqual([]);
    stage.partition.release();
    await stage.clock.run(0);
    expect(stream.settled).toEqual([7]);
    expect(stage.partition.deliveries.get(SUB)?.cursor).toBe(2);
    stream.say({ creditMessages: 1, creditBytes: 1000 });
    await stage.clock.run(0);
    expect(stream.offsets).toEqual([0, 1, 2]);
  });

  it("batches: the stored bytes, with ranges for what is left of them", async () => {
    const stage = await stageOf([rowOf()]);
    stage.partition.append("a", "b", "c", "d");
    const stream = stage.open({ form: "batches" });
    await stage.clock.run(0);
    expect(stream.deliveries[0]?.batch.equals(stage.partition.batches[0] ?? Buffer.alloc(0))).toBe(
      true,
    );
    expect(stream.deliveries[0]?.ranges).toEqual([]);
    stream.ack(1, stream.deliveries[0]?.deliveryNumber ?? 0, [1, 1]);
    await stage.clock.run(0);
    stream.close();
    const other = stage.open({ form: "batches", consumerId: "c2" });
    await stage.clock.run(0);
    expect(other.offsets).toEqual([0, 2, 3]);
  });

  it.each(["batches", "messages"] as const)(
    "credit in bytes: whoever grants what came back goes on for ever, however uneven messages are (%s)",
    async (form) => {
      const stage = await stageOf([rowOf({ filter: SQL })]);
      const large = "x".repeat(1000);
      const stream = stage.open({ form }, { messages: 100, bytes: 3000 });
      let returned = 0;
      for (let round = 0; round < 60; round += 1) {
        const rest = Array.from({ length: 9 }, () => ({ value: large, headers: { region: "us" } }));
        stage.partition.append({ value: "a", headers: { region: "eu" } }, ...rest);
        await stage.clock.run(0);
        for (const { batch, deliveryNumber, messages } of stream.deliveries.slice(returned)) {
          const sizes = messages.map(({ value }) => (value?.length ?? 0) + "regioneu".length);
          const creditBytes = batch.length + sizes.reduce((sum, size) => sum + size, 0);
          stream.say({ creditMessages: 1, creditBytes });
          stream.ack(round, deliveryNumber);
        }
        returned = stream.deliveries.length;
        await stage.clock.run(0);
      }
      expect(stream.offsets).toEqual(Array.from({ length: 60 }, (_, at) => at * 10));
    },
  );

  it("credit in bytes: does not grow by what is handed out in small parts", async () => {
    const stage = await stageOf([rowOf({ mode: "keyed" })]);
    const stream = stage.open({ form: "batches" }, { messages: 100_000, bytes: 3000 });
    for (let round = 0; round < 40; round += 1) {
      stage.partition.append(...Array.from({ length: 20 }, () => ({ key: "k", value: "v" })));
    }
    let sent = 0;
    let granted = 3000;
    for (let round = 0; round < 200; round += 1) {
      await stage.clock.run(0);
      for (const { batch, deliveryNumber } of stream.deliveries.slice(sent)) {
        stream.ack(deliveryNumber, deliveryNumber);
        // All but a tenth of it.
        stream.say({ creditMessages: 0, creditBytes: Math.floor(batch.length * 0.9) });
        granted += Math.floor(batch.length * 0.9);
      }
      sent = stream.deliveries.length;
    }
    const used = stream.deliveries.reduce((sum, { batch }) => sum + batch.length, 0);
    const largest = Math.max(...stream.deliveries.map(({ batch }) => batch.length));
    expect(used).toBeLessThanOrEqual(granted + largest);
    expect(stream.offsets.length).toBeLessThan(400);
  });

  it("filter: only what it wants comes, the rest is settled by it", async () => {
    const stage = await stageOf([rowOf({ filter: SQL })]);
    stage.partition.append(
      { value: "a", headers: { region: "eu" } },
      { value: "b", headers: { region: "us" } },
      { value: "c", headers: { region: "eu" } },
    );
    const stream = stage.open();
    await stage.clock.run(0);
    expect(stream.offsets).toEqual([0, 2]);
    for (const [at, { deliveryNumber }] of stream.deliveries.entries()) {
      stream.ack(at + 1, deliveryNumber);
    }
    await stage.clock.run(0);
    expect(stage.partition.deliveries.get(SUB)?.cursor).toBe(3);
  });

  it("from disk: the same, and the memory is given back", async () => {
    const stage = await stageOf([rowOf({ mode: "keyed", onFailure: "park" })]);
    stage.partition.isCold = true;
    for (let at = 0; at < 20; at += 1) {
      stage.partition.append({ key: `${at % 3}`, value: "x" }, { key: "y", value: "x" });
    }
    const stream = stage.open();
    let acked = 0;
    for (let turn = 0; turn < 100; turn += 1) {
      await stage.clock.run(1);
      for (const { deliveryNumber } of stream.deliveries.slice(acked)) {
        acked += 1;
        stream.ack(acked, deliveryNumber);
      }
    }
    expect([...stream.offsets].sort((a, b) => a - b)).toEqual(
      Array.from({ length: 40 }, (_, at) => at),
    );
    expect(stage.partition.deliveries.get(SUB)?.cursor).toBe(40);
    stream.close();
    stage.host.close();
    expect(stage.memory.used("delivery")).toBe(0);
  });

  it("full transport: settlements are taken and answered, messages wait", async () => {
    const stage = await stageOf([rowOf()]);
    const stream = stage.open();
    await stage.clock.run(0);
    stream.isFull = true;
    stage.partition.append("a");
    await stage.clock.run(0);
    stage.partition.append("b");
    await stage.clock.run(0);
    expect(stream.offsets).toEqual([0]);
    stream.ack(1, stream.deliveries[0]?.deliveryNumber ?? 0);
    await stage.clock.run(0);
    expect(stream.settled).toEqual([1]);
    expect(stream.isPaused).toBe(false);
    stream.drained();
    await stage.clock.run(0);
    expect(stream.offsets).toEqual([0, 1]);
  });

  it("full transport: a client that takes no answers is not read for ever", async () => {
    const stage = await stageOf([rowOf()]);
    const stream = stage.open();
    stage.partition.append("a");
    stream.isFull = true;
    await stage.clock.run(0);
    for (let number = 1; number <= 300; number += 1) {
      stream.ack(number, 99);
      await stage.clock.run(0);
    }
    expect(stream.isPaused).toBe(true);
    expect(stream.refusals.length).toBeLessThan(300);
    stream.drained();
    expect(stream.isPaused).toBe(false);
    expect(stream.refusals.length).toBe(300);
  });

  it("too much waits to be replicated: the stream is not read until some of it is", async () => {
    const stage = await stageOf([rowOf()]);
    for (let at = 0; at < 3; at += 1) {
      stage.partition.append(...Array.from({ length: 70_000 }, () => "x"));
    }
    stage.partition.isHeld = true;
    const stream = stage.open({ form: "batches" }, { messages: 1_000_000, bytes: 100_000_000 });
    let acked = 0;
    for (let turn = 0; turn < 20 && !stream.isPaused; turn += 1) {
      await stage.clock.run(1);
      for (const { deliveryNumber } of stream.deliveries.slice(acked)) {
        acked += 1;
        stream.ack(acked, deliveryNumber);
      }
    }
    expect(stream.isPaused).toBe(true);
    stage.partition.release();
    await stage.clock.run(10);
    expect(stream.isPaused).toBe(false);
    expect(stream.settled).toHaveLength(acked);
  });

  it("nonsense: is refused by its field, and the stream goes on", async () => {
    const stage = await stageOf([rowOf()]);
    stage.partition.append("a");
    const stream = stage.open();
    await stage.clock.run(0);
    stream.ack(1, 1, [3]);
    stream.ack(2, 1, [], 5);
    stream.ack(3, 4711);
    await stage.clock.run(0);
    expect(stream.refusals).toMatchObject([
      { number: 1, reason: "INVALID_REQUEST", metadata: { field: "settle.ranges" } },
      { number: 2, reason: "INVALID_REQUEST", metadata: { field: "settle.channel" } },
      { number: 3, reason: "STALE_DELIVERY" },
    ]);
    stream.ack(4, stream.deliveries[0]?.deliveryNumber ?? 0);
    await stage.clock.run(0);
    expect(stream.settled).toEqual([4]);
  });

  it("nothing but nonsense: the stream is ended by the limit, and one that makes sense in between is not", async () => {
    const stage = await stageOf([rowOf()]);
    stage.partition.append("a");
    const sound = stage.open();
    await stage.clock.run(0);
    const senseless = stage.open({ consumerId: "c2" });
    await stage.clock.run(0);
    for (let number = 1; number <= REFUSED_SETTLES_MAX; number += 1) {
      sound.ack(number, 4711);
      senseless.ack(number, 4711);
    }
    sound.ack(REFUSED_SETTLES_MAX + 1, sound.deliveries[0]?.deliveryNumber ?? 0);
    await stage.clock.run(10);
    expect([sound.error, senseless.error]).toEqual([undefined, undefined]);
    sound.ack(REFUSED_SETTLES_MAX + 2, 4711);
    senseless.ack(REFUSED_SETTLES_MAX + 2, 4711);
    await stage.clock.run(10);
    expect(sound.error).toBe(undefined);
    expect(senseless.error).toMatchObject({
      reason: "OVERLOADED",
      fields: { limit: "refusedSettlements", max: REFUSED_SETTLES_MAX },
    });
    expect(senseless.refusals).toHaveLength(REFUSED_SETTLES_MAX + 1);
  });

  it("exclusive: a failure that takes back more than the limit does not end the stream of who returns it all", async () => {
    const count = 2 * REFUSED_SETTLES_MAX;
    const stage = await stageOf([rowOf({ mode: "exclusive" })]);
    stage.partition.append(...Array.from({ length: count }, (_, at) => `${at}`));
    const stream = stage.open({}, { messages: count, bytes: 100_000_000 });
    await stage.clock.run(0);
    const { deliveryNumber = 0 } = stream.deliveries[0] ?? {};
    stream.nack(1, deliveryNumber, [0, 1]);
    for (let offset = 1; offset < count; offset += 1) {
      const release = { number: offset + 1, channel: 0, deliveryNumber, kind: "release" } as const;
      const rest = { ranges: [offset, 1], cumulative: false, retryAtMs: 0, error: "" };
      stream.say({ settle: [{ ...release, ...rest }] });
    }
    await stage.clock.run(10);
    expect(stream.refusals.length).toBeGreaterThan(REFUSED_SETTLES_MAX);
    expect(stream.error).toBe(undefined);
    // What it was never given is nonsense all the same.
    for (let more = 0; more <= 2 * REFUSED_SETTLES_MAX; more += 1) stream.ack(count + more, 4711);
    expect(stream.error).toMatchObject({ reason: "OVERLOADED" });
  });

  it("a refused entry: the settlement is not forgotten", async () => {
    const stage = await stageOf([rowOf()]);
    stage.partition.append("a");
    const stream = stage.open();
    await stage.clock.run(0);
    stage.partition.refusals = [
      new BrokerError("OVERLOADED", "full", { limit: "x" }),
      new BrokerError("DISK_FULL", "full"),
    ];
    stream.ack(1, stream.deliveries[0]?.deliveryNumber ?? 0);
    await stage.clock.run(10);
    expect(stream.settled).toEqual([]);
    await stage.clock.run(1000);
    expect(stream.settled).toEqual([1]);
  });

  it("one entry per turn carries what all consumers and subscriptions said", async () => {
    const rows = [rowOf({ id: SUB }), rowOf({ id: OTHER_SUB, name: "mails" })];
    const stage = await stageOf(rows);
    stage.partition.append("a", "b");
    const streams = [
      stage.open({}, { messages: 1, bytes: 1000 }),
      stage.open({ consumerId: "c2" }, { messages: 1, bytes: 1000 }),
      stage.open({ subscription: "mails" }),
    ];
    await stage.clock.run(0);
    stage.partition.commands.length = 0;
    for (const stream of streams) stream.ack(1, stream.deliveries[0]?.deliveryNumber ?? 0);
    await stage.clock.run(0);
    expect(stage.partition.commands.map(({ type }) => type)).toEqual(["deliver"]);
    expect(streams.map((stream) => stream.settled)).toEqual([[1], [1], [1]]);
  });

  it("drain: nothing more comes, what is out can be settled", async () => {
    const stage = await stageOf([rowOf()]);
    stage.partition.append("a");
    const stream = stage.open();
    await stage.clock.run(0);
    stream.say({ drain: true });
    stage.partition.append("b");
    await stage.clock.run(0);
    expect(stream.answers.some(({ drained }) => drained)).toBe(true);
    expect(stream.offsets).toEqual([0]);
    stream.ack(1, stream.deliveries[0]?.deliveryNumber ?? 0);
    await stage.clock.run(0);
    expect(stream.settled).toEqual([1]);
  });

  it("deadline: what was not settled in time is lost, and goes out again", async () => {
    const stage = await stageOf([rowOf({ ackDeadlineMs: 5000 })]);
    stage.partition.append("a");
    const stream = stage.open();
    await stage.clock.run(5100);
    expect(stream.lost).toMatchObject([{ channel: 0, cause: "deadline" }]);
    await stage.clock.run(1000);
    expect(stream.offsets).toEqual([0, 0]);
    expect(stream.deliveries[1]?.redeliveries).toMatchObject([{ offset: 0, handedOut: 2 }]);
  });

  it("pause: is told when it begins and when it ends", async () => {
    const stage = await stageOf([rowOf()]);
    const stream = stage.open();
    await stage.clock.run(0);
    const untilMs = Number.MAX_SAFE_INTEGER;
    stage.directory.set([rowOf({ version: 6, pausedUntilMs: untilMs })]);
    await stage.clock.run(0);
    stage.partition.append("a");
    await stage.clock.run(0);
    expect(stream.offsets).toEqual([]);
    stage.directory.set([rowOf({ version: 7 })]);
    await stage.clock.run(0);
    const told = stream.answers.map((answer) => answer.pausedUntilMs);
    expect(told.filter((value) => value !== undefined)).toEqual([untilMs, 0]);
    expect(stream.offsets).toEqual([0]);
  });

  it("another ack deadline: told before what is handed out under it", async () => {
    const stage = await stageOf([rowOf()]);
    const stream = stage.open();
    await stage.clock.run(0);
    stage.directory.set([rowOf({ version: 6, ackDeadlineMs: 1234 })]);
    stage.partition.append("a");
    await stage.clock.run(0);
    const told = stream.answers.map(({ ackDeadlineMs, deliveries }) => [
      ackDeadlineMs,
      deliveries.length,
    ]);
    expect(told.filter(([, count]) => count !== 0)).toEqual([[1234, 1]]);
  });
});
