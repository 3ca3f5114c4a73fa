import { describe, expect, test } from "vitest";
import { PARKED_ACKS_MAX } from "../../src/partition/append-path.ts";
import { PartitionState } from "../../src/partition/partition-state.ts";
import { type PlainMessage, publish } from "../../src/partition/publish-path.ts";
import {
  type Fixture,
  logValues,
  makePartition,
  Outcome,
  producerBatch,
  request,
  settle,
} from "./fixture.ts";

const NOW = 1_700_000_000_000;

function message(messageId: string, value = messageId): PlainMessage {
  return { value: Buffer.from(value), headers: [], timestampMs: 0, messageId };
}

async function send(
  { partition, replica }: Fixture,
  messages: readonly PlainMessage[],
): ReturnType<typeof publish> {
  const answer = publish(partition, { messages }, NOW);
  await settle();
  replica.advance();
  return answer;
}

/** Acknowledgements of one batch that is repeated. */
function parkAcks({ partition }: Fixture, count: number): void {
  const batch = producerBatch(2, 0);
  for (let parked = 0; parked < count; parked += 1) {
    partition.submit(request(batch), new Outcome());
  }
}

describe("publish", () => {
  test("one batch for the request, one receipt per message", async () => {
    const fixture = makePartition();
    const receipts = await send(fixture, [message("a"), message("", "b"), message("", "c")]);
    expect(receipts.map(({ offset, duplicate }) => [offset, duplicate])).toEqual([
      [0, false],
      [1, false],
      [2, false],
    ]);
    expect(receipts[0]).toMatchObject({ leaderEpoch: 2, acks: "all", flush: "sync" });
    expect(logValues(fixture.replica)).toEqual(["a", "b", "c"]);
    expect(fixture.replica.frames).toHaveLength(2);
  });

  test("a retry stores nothing and gets the original receipt", async () => {
    const fixture = makePartition();
    await send(fixture, [message("a"), message("b")]);
    const again = await send(fixture, [message("b"), message("a")]);
    expect(again.map(({ offset, duplicate }) => [offset, duplicate])).toEqual([
      [1, true],
      [0, true],
    ]);
    expect(logValues(fixture.replica)).toEqual(["a", "b"]);
  });

  test("mixed requests: duplicates get their receipts, the rest is appended", async () => {
    const fixture = makePartition();
    await send(fixture, [message("a"), message("b")]);
    const mixed = await send(fixture, [
      message("x"),
      message("a"),
      message("y"),
      message("x"),
      message("", "z"),
    ]);
    expect(mixed.map(({ offset, duplicate }) => [offset, duplicate])).toEqual([
      [2, false],
      [0, true],
      [3, false],
      [2, true],
      [4, false],
    ]);
    expect(logValues(fixture.replica)).toEqual(["a", "b", "x", "y", "z"]);
  });

  test("a retry of an uncommitted request waits for its original", async () => {
    const fixture = makePartition();
    const { partition, replica } = fixture;
    const first = publish(partition, { messages: [message("a")] }, NOW);
    let isAnswered = false;
    const retry = publish(partition, { messages: [message("a")] }, NOW).then((receipts) => {
      isAnswered = true;
      return receipts;
    });
    const weak = await publish(partition, { messages: [message("a")], acks: "none" }, NOW);
    expect(weak[0]).toMatchObject({ offset: 0, duplicate: true, acks: "none" });
    await settle();
    replica.advance({ written: 2, flushed: 2, commit: 2 });
    await settle();
    expect(isAnswered).toBe(false);
    replica.advance({ durable: 2 });
    expect((await first)[0]).toMatchObject({ offset: 0, duplicate: false });
    expect((await retry)[0]).toMatchObject({ offset: 0, leaderEpoch: 2, duplicate: true });
    expect(logValues(replica)).toEqual(["a"]);
  });

  test("while too many acknowledgements wait: a retry of what is not committed is refused, of what is it is answered", async () => {
    const fixture = makePartition();
    await send(fixture, [message("kept")]);
    const waiting = publish(fixture.partition, { messages: [message("a")] }, NOW);
    await settle();
    parkAcks(fixture, PARKED_ACKS_MAX - 1);
    const before = fixture.replica.lastIndex;
    const retry = publish(fixture.partition, { messages: [message("a")] }, NOW);
    await expect(retry).rejects.toMatchObject({ reason: "OVERLOADED" });
    const mixed = publish(fixture.partition, { messages: [message("a"), message("b")] }, NOW);
    await expect(mixed).rejects.toMatchObject({ reason: "OVERLOADED" });
    expect(fixture.replica.lastIndex).toBe(before);
    expect(
      (await publish(fixture.partition, { messages: [message("kept")] }, NOW))[0],
    ).toMatchObject({ offset: 0 });
    fixture.replica.advance();
    expect((await waiting)[0]).toMatchObject({ offset: 1, duplicate: false });
  });

  test("with room for one acknowledgement: a request needs no more, whatever it repeats", async () => {
    const fixture = makePartition();
    const first = publish(fixture.partition, { messages: [message("a")] }, NOW);
    await settle();
    parkAcks(fixture, PARKED_ACKS_MAX - 2);
    const mixed = publish(fixture.partition, { messages: [message("a"), message("b")] }, NOW);
    await settle();
    fixture.replica.advance();
    expect((await first)[0]).toMatchObject({ duplicate: false });
    expect((await mixed).map(({ duplicate }) => duplicate)).toEqual([true, false]);
  });

  test("a lost original can be stored by its retry; a committed one is known to the next leader", async () => {
    const fixture = makePartition();
    await send(fixture, [message("kept")]);
    const lost = publish(fixture.partition, { messages: [message("lost")] }, NOW);
    await settle();
    fixture.replica.stepDown(3);
    await expect(lost).rejects.toMatchObject({ reason: "LEADERSHIP_LOST" });
    const state = new PartitionState();
    state.restore([...fixture.state.pairs()]);
    const next = makePartition({ state, follower: true });
    next.replica.frames = [...fixture.replica.frames];
    Object.assign(next.replica, { applied: 2, commitIndex: 2, durable: 2, written: 2 });
    next.replica.takeOver(5);
    const receipts = await send(next, [message("lost"), message("kept")]);
    expect(
      receipts.map(({ offset, leaderEpoch, duplicate }) => [offset, leaderEpoch, duplicate]),
    ).toEqual([
      [1, 5, false],
      [0, 2, true],
    ]);
    expect(logValues(next.replica)).toEqual(["kept", "lost"]);
  });

  const header = (name: string): PlainMessage => ({
    ...message("h"),
    headers: [{ name, value: Buffer.from("1") }],
  });
  const refusals: readonly (readonly [string, readonly PlainMessage[], string, string?])[] = [
    ["no message", [], "INVALID_REQUEST", "messages"],
    ["too many", Array.from({ length: 1001 }, () => message("")), "INVALID_REQUEST", "messages"],
    ["long id", [message("x".repeat(65))], "INVALID_REQUEST", "messages.messageId"],
    ["bad time", [{ ...message("a"), timestampMs: -1 }], "INVALID_REQUEST", "messages.timestampMs"],
    ["reserved header", [header("flotilla-new")], "INVALID_REQUEST", "messages.headers.name"],
    ["empty header name", [header("")], "INVALID_REQUEST", "headers.name"],
    ["long key", [{ ...message("a"), key: Buffer.alloc(4097) }], "INVALID_REQUEST", "key"],
    ["large message", [message("a", "x".repeat(1024 * 1024 + 1))], "RECORD_TOO_LARGE"],
    [
      "large request",
      Array.from({ length: 9 }, () => message("", "x".repeat(1024 * 1024))),
      "RECORD_TOO_LARGE",
    ],
  ];
  for (const [title, messages, reason, field] of refusals) {
    test(`${reason}: ${title} (nothing is appended)`, async () => {
      const { partition, replica } = makePartition();
      const before = replica.lastIndex;
      const answer = publish(partition, { messages: [...messages] }, NOW);
      await expect(answer).rejects.toMatchObject({
        reason,
        ...(field ? { fields: { field } } : {}),
      });
      expect(replica.lastIndex).toBe(before);
    });
  }

  test("from a broker: headers that producers may not set, and messages beyond the topic's limit, are taken", async () => {
    const { partition, replica } = makePartition();
    const dead = header("flotilla-dead-offset");
    for (const [isInternal, reason] of [
      [false, "INVALID_REQUEST"],
      [true, undefined],
    ] as const) {
      const answer = publish(partition, { messages: [dead], isInternal }, NOW);
      if (reason !== undefined) {
        await expect(answer).rejects.toMatchObject({ reason });
        continue;
      }
      replica.advance();
      expect(await answer).toHaveLength(1);
    }
    const large = message("", "x".repeat(2 * 1024 * 1024));
    const answer = publish(partition, { messages: [large], isInternal: true }, NOW);
    replica.advance();
    expect(await answer).toHaveLength(1);
  });

  test("refused when not leader or too weak", async () => {
    const { partition, replica } = makePartition({ settings: { minAcks: "leader" } });
    await expect(
      publish(partition, { messages: [message("a")], acks: "none" }, NOW),
    ).rejects.toMatchObject({ reason: "ACKS_TOO_WEAK" });
    replica.stepDown();
    await expect(publish(partition, { messages: [message("a")] }, NOW)).rejects.toMatchObject({
      reason: "NOT_LEADER",
    });
  });
});
