// One call of a redrive on the leader: what is looked at, what is stored, what is settled.
import { describe, expect, it } from "vitest";
import { scanDeadLetters } from "../../src/delivery/dead-letter-scan.ts";
import type { DeliveryRunner } from "../../src/delivery/delivery-runner.ts";
import type { RedrivenLetter, RedriveSink } from "../../src/delivery/ports.ts";
import { planRedrive, redrive } from "../../src/delivery/redrive.ts";
import { rangesOf } from "../../src/delivery/retry-offers.ts";
import { compileFilter } from "../../src/filter/compile-filter.ts";
import { BrokerError } from "../../src/model/errors.ts";
import type { Filter } from "../../src/model/filter.ts";
import { type Stage, stageOf, TOPIC_ID } from "./fake-partition.ts";
import { rowOf, SUB, type TestRecord } from "./support.ts";

/** A ledger's partition: the fake one's "orders" stands for the topic of dead letters. */
async function ledgerStage() {
  const stage = await stageOf([rowOf({ deadLetterTopic: undefined })]);
  const runner = stage.host.get(TOPIC_ID, 0)?.runner(SUB);
  if (runner === undefined) throw new Error("not attached");
  return { stage, runner };
}

function letter(
  offset: number,
  subscription = "mail",
  more: Record<string, string> = {},
): TestRecord {
  const headers = {
    "flotilla-dead-topic": "orders",
    "flotilla-dead-partition": "0",
    "flotilla-dead-offset": `${offset}`,
    "flotilla-dead-subscription": subscription,
    "flotilla-dead-reason": "attempts",
    ...more,
  };
  return { value: `v${offset}`, headers };
}

class FakeSink implements RedriveSink {
  readonly stored: RedrivenLetter[] = [];
  /** From this letter of a call on nothing is stored. */
  failsFrom = Number.POSITIVE_INFINITY;

  redrive(_topic: string, letters: readonly RedrivenLetter[]): ReturnType<RedriveSink["redrive"]> {
    const receipts = letters.map((one, at) => {
      if (at >= this.failsFrom) return undefined;
      const before = this.stored.findIndex(({ id }) => id === one.id);
      if (before < 0) this.stored.push(one);
      const offset = before < 0 ? this.stored.length - 1 : before;
      return { partition: 0, offset, duplicate: before >= 0 };
    });
    const isShort = receipts.includes(undefined);
    const error = isShort ? new BrokerError("LEADER_UNKNOWN", "later") : undefined;
    return Promise.resolve({ receipts, error });
  }

  get values(): string[] {
    return this.stored.map(({ value }) => `${value}`);
  }
}

const ALL: Filter = { kind: "all" };

function wishOf(stage: Stage, more: { from?: number; limit?: number; filter?: Filter } = {}) {
  const { filter = ALL, from = 0, limit = 100 } = more;
  const to = stage.partition.highWatermark;
  return { subscription: "mail", from, to, limit, filter: compileFilter(filter), nowMs: 0 };
}

function isSettled(runner: DeliveryRunner, count: number): boolean[] {
  return Array.from({ length: count }, (_, offset) => runner.state.settled.isSettled(offset));
}

describe("redrive: one call", () => {
  it("stores what matches under ids of its own, then settles it; the rest stays", async () => {
    const { runner, stage } = await ledgerStage();
    const rejected = { "flotilla-dead-reason": "rejected" };
    stage.partition.append(letter(0), letter(1, "other"), "no letter", letter(3, "mail", rejected));
    stage.partition.append(letter(4));
    const sink = new FakeSink();
    const filter: Filter = { kind: "sql", expression: "dead_reason = 'attempts'" };
    const outcome = await redrive(runner, wishOf(stage, { filter }), sink);
    expect(outcome).toMatchObject({ lookedAt: 3, matching: 2, held: 0, nextOffset: 5 });
    expect(sink.values).toEqual(["v0", "v4"]);
    expect(new Set(sink.stored.map(({ id }) => id)).size).toBe(2);
    expect(isSettled(runner, 5)).toEqual([true, false, false, false, true]);
    const again = await redrive(runner, wishOf(stage), sink);
    expect(again).toMatchObject({ lookedAt: 1, matching: 1 });
    expect(sink.values).toEqual(["v0", "v4", "v3"]);
  });

  it("limit: goes on where it stopped, in the middle of a batch too", async () => {
    const { runner, stage } = await ledgerStage();
    stage.partition.append(letter(0), letter(1), letter(2));
    const sink = new FakeSink();
    const first = await redrive(runner, wishOf(stage, { limit: 2 }), sink);
    expect(first.nextOffset).toBe(2);
    const { nextOffset } = await redrive(runner, wishOf(stage, { from: first.nextOffset }), sink);
    expect(nextOffset).toBe(3);
    expect(sink.values).toEqual(["v0", "v1", "v2"]);
  });

  it("only counted: nothing is stored, nothing settled; without a ledger everything is open", async () => {
    const { runner, stage } = await ledgerStage();
    stage.partition.append(letter(0), letter(1));
    expect(await planRedrive(stage.partition, runner, wishOf(stage))).toMatchObject({
      matching: 2,
    });
    expect(await planRedrive(stage.partition, undefined, wishOf(stage))).toMatchObject({
      matching: 2,
      messages: [],
    });
    expect(stage.partition.commands.filter(({ type }) => type === "deliver")).toEqual([]);
  });

  it("some can not be stored: the others are settled, the next call begins with the first that is left", async () => {
    const { runner, stage } = await ledgerStage();
    stage.partition.append(letter(0), letter(1), letter(2));
    const sink = new FakeSink();
    sink.failsFrom = 2;
    const outcome = await redrive(runner, wishOf(stage), sink);
    expect(outcome.nextOffset).toBe(2);
    expect(isSettled(runner, 3)).toEqual([true, true, false]);
    sink.failsFrom = 0;
    const refused = redrive(runner, wishOf(stage, { from: 2 }), sink);
    await expect(refused).rejects.toMatchObject({ reason: "LEADER_UNKNOWN" });
  });

  it("stored and not settled: the repetition changes nothing and settles", async () => {
    const { runner, stage } = await ledgerStage();
    stage.partition.append(letter(0));
    const sink = new FakeSink();
    stage.partition.refusals.push(new BrokerError("LEADERSHIP_LOST", "unknown"));
    const cut = redrive(runner, wishOf(stage), sink);
    await expect(cut).rejects.toMatchObject({ reason: "LEADERSHIP_LOST" });
    const { messages } = await redrive(runner, wishOf(stage), sink);
    expect(messages).toMatchObject([{ duplicate: true, offset: 0 }]);
    expect(sink.values).toEqual(["v0"]);
    expect(isSettled(runner, 1)).toEqual([true]);
  });

  it("what a consumer of the ledger has is left to it", async () => {
    const { runner, stage } = await ledgerStage();
    stage.partition.append(letter(0));
    const stream = stage.open();
    await stage.clock.run(0);
    expect(stream.offsets).toEqual([0]);
    const sink = new FakeSink();
    const outcome = await redrive(runner, wishOf(stage), sink);
    expect(outcome).toMatchObject({ matching: 1, held: 1, messages: [] });
    stream.ack(1, stream.deliveries[0]?.deliveryNumber ?? 0);
    await stage.clock.run(10);
    expect(await redrive(runner, wishOf(stage), sink)).toMatchObject({ lookedAt: 0 });
  });

  it("settled by a redrive: not handed out to a consumer that comes later", async () => {
    const { runner, stage } = await ledgerStage();
    stage.partition.append(letter(0), letter(1));
    await redrive(runner, wishOf(stage, { limit: 1 }), new FakeSink());
    const stream = stage.open();
    await stage.clock.run(0);
    expect(stream.offsets).toEqual([1]);
  });
});

describe("redrive: scan", () => {
  it("everything, dealt with or not; what retention dropped is passed over", async () => {
    const { runner, stage } = await ledgerStage();
    stage.partition.append(letter(0));
    stage.partition.append(letter(1), letter(2));
    await redrive(runner, wishOf(stage, { limit: 2 }), new FakeSink());
    stage.partition.logStartOffset = 1;
    const wish = { ...wishOf(stage), settled: runner.state.settled, openOnly: false };
    const { found, nextOffset } = await scanDeadLetters(stage.partition, wish);
    expect(found.map(({ record }) => record.offset)).toEqual([1, 2]);
    expect(nextOffset).toBe(3);
  });

  it("one call looks at a bounded part of the log", async () => {
    const { stage } = await ledgerStage();
    for (let count = 0; count < 30; count += 1) {
      stage.partition.append({ value: "x".repeat(200_000) });
    }
    const wish = { ...wishOf(stage), settled: undefined, openOnly: true };
    const { found, nextOffset } = await scanDeadLetters(stage.partition, wish);
    expect(found).toEqual([]);
    expect(nextOffset).toBeGreaterThan(5);
    expect(nextOffset).toBeLessThan(15);
  });

  it("ranges: runs of offsets", () => {
    expect(rangesOf([1, 2, 3, 7, 9, 10])).toEqual([
      [1, 4],
      [7, 8],
      [9, 11],
    ]);
  });
});
