import { describe, expect, it } from "vitest";
import type { DeliveryRunner } from "../../src/delivery/delivery-runner.ts";
import type { RecordReader } from "../../src/delivery/ports.ts";
import { UnsettledAges } from "../../src/delivery/unsettled-ages.ts";
import { APPEND_TIME_MS, type Stage, stageOf, TOPIC_ID } from "./fake-partition.ts";
import { rowOf, SUB } from "./support.ts";

function runnerOf(stage: Stage): DeliveryRunner {
  const runner = stage.host.get(TOPIC_ID, 0)?.runner(SUB);
  if (runner === undefined) throw new Error("not served");
  return runner;
}

/** With one consumer, and the reads of the log counted. */
async function setUp() {
  const stage = await stageOf([rowOf()]);
  const ages = new UnsettledAges(stage.clock.root);
  const runner = runnerOf(stage);
  const counts = { reads: 0 };
  const reader = stage.partition.reader.bind(stage.partition);
  const look = (): Promise<void> => {
    stage.partition.reader = (from) => {
      counts.reads += 1;
      return reader(from);
    };
    const looked = ages.look(stage.host.runners());
    return stage.clock.until(looked);
  };
  const ageAt = (wallMs: number): number => wallMs - APPEND_TIME_MS;
  return { stage, ages, runner, counts, look, ageAt };
}

describe("ages of what is not settled", () => {
  it("nothing is unsettled: 0, and nothing is read", async () => {
    const { ages, counts, look, runner, stage } = await setUp();
    await look();
    expect(ages.ageMs(runner)).toBe(0);
    stage.partition.append("a");
    expect(ages.ageMs(runner)).toBeUndefined();
    expect(counts.reads).toBe(0);
  });

  it("a cursor that stays is read once and grows older; one that moved is as it was read until the next look", async () => {
    const { ageAt, ages, counts, look, runner, stage } = await setUp();
    stage.partition.append("a");
    stage.partition.append("b");
    await look();
    const firstMs = stage.clock.root.wallMs();
    expect(ages.ageMs(runner)).toBe(ageAt(firstMs));
    await stage.clock.run(5000);
    await look();
    expect(counts.reads).toBe(1);
    expect(ages.ageMs(runner)).toBe(ageAt(firstMs + 5000));
    const stream = stage.open();
    await stage.clock.run(10);
    stream.ack(1, stream.deliveries[0]?.deliveryNumber ?? 0, [0, 1]);
    await stage.clock.run(10);
    expect(runner.state.settled.cursor).toBe(1);
    expect(ages.ageMs(runner)).toBe(ageAt(firstMs));
    await look();
    expect(ages.ageMs(runner)).toBe(ageAt(stage.clock.root.wallMs()));
  });

  it("a disk that does not answer holds nobody up; the answer counts when it comes", async () => {
    const { ageAt, ages, runner, stage } = await setUp();
    stage.partition.append("a");
    const { partition } = stage;
    const reader = partition.reader.bind(partition);
    const answers: (() => void)[] = [];
    partition.reader = (from): RecordReader => {
      const real = reader(from);
      return {
        offset: from,
        readTail: () => undefined,
        read: async (bytesMax) => {
          await new Promise<void>((resolve) => answers.push(resolve));
          return real.read(bytesMax);
        },
      };
    };
    const startMs = stage.clock.root.monotonicMs();
    await stage.clock.until(ages.look([runner]));
    await stage.clock.until(ages.look([runner]));
    expect(stage.clock.root.monotonicMs() - startMs).toBe(400);
    expect(ages.ageMs(runner)).toBeUndefined();
    expect(answers).toHaveLength(1);
    answers[0]?.();
    await stage.clock.run(0);
    expect(ages.ageMs(runner)).toBe(ageAt(stage.clock.root.wallMs()));
  });

  it("a partition that is led here no more is passed over", async () => {
    const { ages, runner, stage } = await setUp();
    stage.partition.append("a");
    stage.partition.reader = () => {
      throw stage.partition.notLeader();
    };
    await stage.clock.until(ages.look([runner]));
    stage.partition.lose();
    await stage.clock.until(ages.look([runner]));
    expect(ages.ageMs(runner)).toBeUndefined();
  });
});
