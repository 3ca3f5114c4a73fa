import { describe, expect, test } from "vitest";
import { seededRandom } from "../../src/base/random.ts";
import { planRebalance, planReplacements } from "../../src/cluster/replacement-plan.ts";
import type { PartitionRow } from "../../src/cluster/topic-table.ts";
import { group, node, topicId } from "./support.ts";

function row(groupId: number, nodes: readonly number[]): PartitionRow {
  const replicas = nodes.map((id) => ({ nodeId: node(id), directoryId: `d${id}`, revision: 1 }));
  const topic = topicId("t");
  return { groupId: group(groupId), topicId: topic, partition: groupId, replicas, founders: [] };
}

function loads(rows: readonly PartitionRow[], ids: readonly number[]) {
  const of = (id: number) => rows.filter((one) => one.replicas.some((r) => r.nodeId === id)).length;
  const leads = (id: number) => rows.filter((one) => one.replicas[0]?.nodeId === id).length;
  return ids.map((id) => ({ nodeId: node(id), replicas: of(id), preferredLeaders: leads(id) }));
}

describe("replacements", () => {
  test("spread: the least loaded node that holds none of the partition", () => {
    const rows = [row(1, [1, 2, 3]), row(2, [2, 1, 3]), row(3, [1, 2, 4])];
    const plan = planReplacements(rows, loads(rows, [2, 3, 4, 5]), node(1), 0);
    expect(plan).toEqual({
      moves: [
        { groupId: 1, from: 1, to: 5 },
        { groupId: 2, from: 1, to: 4 },
        { groupId: 3, from: 1, to: 5 },
      ],
    });
  });

  test("successor: takes everything that it does not hold yet", () => {
    const rows = [row(1, [1, 2, 3]), row(2, [2, 1, 4])];
    const plan = planReplacements(rows, loads(rows, [2, 3, 4]), node(1), node(4));
    expect(plan).toEqual({
      moves: [
        { groupId: 1, from: 1, to: 4 },
        { groupId: 2, from: 1, to: 3 },
      ],
    });
  });

  test("stuck: names the first partition that has nowhere to go", () => {
    const rows = [row(2, [1, 2, 3]), row(1, [1, 2])];
    const plan = planReplacements(rows, loads(rows, [2, 3]), node(1), 0);
    expect(plan).toMatchObject({ stuck: { groupId: 2 } });
  });
});

function plan(rows: readonly PartitionRow[]) {
  return planRebalance(rows, loads(rows, [5, 4, 3, 2, 1]), 1000, () => 0);
}

describe("rebalance", () => {
  test("two nodes were added: replicas even out, each partition moves at most once per plan", () => {
    const random = seededRandom(Number(process.env["SEED"] ?? 5));
    for (let round = 0; round < 50; round += 1) {
      let rows = Array.from({ length: random.integer(1, 40) }, (_, number) =>
        row(number + 1, number % 3 === 0 ? [1, 2, 3] : number % 3 === 1 ? [2, 3, 1] : [3, 1, 2]),
      );
      let plans = 0;
      for (let moves = plan(rows); moves.length > 0; moves = plan(rows)) {
        expect(new Set(moves.map((move) => move.groupId)).size).toBe(moves.length);
        rows = rows.map((one) => {
          const move = moves.find(({ groupId }) => groupId === one.groupId);
          const nodes = one.replicas.map(({ nodeId }) =>
            nodeId === move?.from ? move.to : nodeId,
          );
          expect(new Set(nodes).size).toBe(3);
          return row(one.groupId, nodes);
        });
        plans += 1;
      }
      // More than one move per partition is needed, so more than one plan.
      expect(plans).toBeLessThanOrEqual(3);
      const counts = loads(rows, [1, 2, 3, 4, 5]).map((load) => load.replicas);
      expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(1);
    }
  });

  test("nothing to gain, and partitions on their way: no moves", () => {
    const even = [row(1, [1, 2]), row(2, [2, 3]), row(3, [3, 1])];
    expect(planRebalance(even, loads(even, [1, 2, 3]), 1000, () => 2)).toEqual([]);
    const change = { index: 9, previous: [], leaving: [], cause: 0, isCancelled: false } as const;
    const moving = [row(1, [1]), row(2, [1])].map((one) => ({ ...one, change }));
    expect(planRebalance(moving, loads(moving, [1, 2]), 1000, () => 2)).toEqual([]);
  });

  test("limit: a plan ends there", () => {
    const rows = Array.from({ length: 10 }, (_, number) => row(number + 1, [1]));
    expect(planRebalance(rows, loads(rows, [1, 2]), 3, () => 1)).toHaveLength(3);
  });

  test("missing replicas come first, on the emptiest nodes, and as far as there are nodes", () => {
    const rows = [row(1, [1]), row(2, [1, 2]), row(3, [1, 2, 3])];
    const moves = planRebalance(rows, loads(rows, [1, 2, 3]), 1000, () => 3);
    expect(moves).toEqual([
      { groupId: 1, from: 0, to: 3 },
      { groupId: 2, from: 0, to: 3 },
    ]);
    expect(planRebalance([row(1, [1])], loads([], [1]), 1000, () => 3)).toEqual([]);
  });
});
