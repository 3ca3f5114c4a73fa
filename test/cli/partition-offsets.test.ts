import { describe, expect, it } from "vitest";
import {
  type AskedPartition,
  type Offsets,
  QUESTIONS_MAX,
  withOffsets,
} from "../../src/cli/partition-offsets.ts";
import { BrokerError } from "../../src/model/errors.ts";

/** As a broker tells of a partition that another one leads. */
function elsewhere(partition: number, leaderId = 2): AskedPartition {
  return {
    partition,
    leaderId,
    leaderEpoch: 1,
    replicas: [1, 2, 3],
    inSync: [],
    recovering: [],
    leaving: [],
    logStartOffset: 0,
    highWatermark: 0,
    bytes: 0,
  };
}

function many(count: number, leaderOf = (_: number): number => 2): AskedPartition[] {
  return Array.from({ length: count }, (_, partition) => elsewhere(partition, leaderOf(partition)));
}

/** Leaders that answer, and what they were asked. */
class Leaders {
  readonly asked: number[] = [];
  atOnce = 0;
  atOnceMax = 0;
  readonly #isSilent: (partition: number) => boolean;

  constructor(isSilent: (partition: number) => boolean = () => false) {
    this.#isSilent = isSilent;
  }

  readonly ask = async (partition: number): Promise<Offsets> => {
    this.asked.push(partition);
    this.atOnce += 1;
    this.atOnceMax = Math.max(this.atOnceMax, this.atOnce);
    await Promise.resolve();
    this.atOnce -= 1;
    if (this.#isSilent(partition)) throw new BrokerError("DEADLINE", "no answer");
    return { logStartOffset: 10, highWatermark: 100 + partition };
  };
}

describe("offsets of partitions", () => {
  it("led by the asked broker: as it says, nobody else is asked", async () => {
    const leaders = new Leaders();
    const own = { ...elsewhere(0, 1), inSync: [1, 2], highWatermark: 7, bytes: 9 };
    expect(await withOffsets([own], leaders.ask)).toEqual([own]);
    expect(leaders.asked).toEqual([]);
  });

  it("led elsewhere: the leader is asked; how many bytes it has stays unknown", async () => {
    const [one] = await withOffsets([elsewhere(3)], new Leaders().ask);
    expect(one).toMatchObject({ logStartOffset: 10, highWatermark: 103, bytes: undefined });
  });

  it("more than may be asked at once: all are asked, in groups", async () => {
    const leaders = new Leaders();
    const found = await withOffsets(many(2 * QUESTIONS_MAX + 1), leaders.ask);
    expect(leaders.atOnceMax).toBe(QUESTIONS_MAX);
    expect(found.map(({ highWatermark }) => highWatermark)).toEqual(
      found.map(({ partition }) => 100 + partition),
    );
  });

  it("without a leader: nobody is asked, and nothing is known", async () => {
    const leaders = new Leaders();
    const [one] = await withOffsets([elsewhere(0, 0)], leaders.ask);
    expect(one).toMatchObject({ logStartOffset: undefined, highWatermark: undefined });
    expect(leaders.asked).toEqual([]);
  });

  it("no answer: nothing is known of that partition, the others are as ever", async () => {
    const leaders = new Leaders((partition) => partition === 1);
    const found = await withOffsets(many(3), leaders.ask);
    expect(found.map(({ highWatermark }) => highWatermark)).toEqual([100, undefined, 102]);
  });

  it("a leader that answers nothing of one group is not asked in the next ones", async () => {
    const isOfThree = (partition: number): boolean => partition % 2 === 1;
    const leaders = new Leaders(isOfThree);
    const all = many(3 * QUESTIONS_MAX, (partition) => (isOfThree(partition) ? 3 : 2));
    const found = await withOffsets(all, leaders.ask);
    expect(leaders.asked.filter(isOfThree)).toHaveLength(QUESTIONS_MAX / 2);
    for (const { highWatermark, partition } of found) {
      expect(highWatermark).toBe(isOfThree(partition) ? undefined : 100 + partition);
    }
  });
});
