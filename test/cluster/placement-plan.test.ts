import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { seededRandom } from "../../src/base/random.ts";
import { planPlacement } from "../../src/cluster/placement-plan.ts";
import { node } from "./support.ts";

const cases = fc
  .record({
    nodes: fc.integer({ min: 1, max: 12 }),
    partitions: fc.integer({ min: 1, max: 60 }),
    factor: fc.integer({ min: 1, max: 7 }),
    seed: fc.integer(),
  })
  .map(({ nodes, partitions, factor, seed }) => {
    const random = seededRandom(seed);
    const candidates = Array.from({ length: nodes }, (_, place) => ({
      nodeId: node(place * 3 + 1),
      replicas: random.integer(0, 50),
      preferredLeaders: random.integer(0, 20),
    }));
    return { candidates, partitions, factor: Math.min(factor, nodes) };
  });

function counts(values: readonly number[], nodes: readonly number[]): number[] {
  return nodes.map((nodeId) => values.filter((value) => value === nodeId).length);
}

function spread(values: readonly number[]): number {
  return Math.max(...values) - Math.min(...values);
}

describe("placement", () => {
  test("spread: replicas and preferred leaders differ by at most one per node (any prior load)", () => {
    fc.assert(
      fc.property(cases, ({ candidates, partitions, factor }) => {
        const plan = planPlacement(candidates, partitions, factor);
        const nodes = candidates.map((candidate) => candidate.nodeId);
        expect(plan).toHaveLength(partitions);
        for (const replicas of plan) {
          expect(replicas).toHaveLength(factor);
          expect(new Set(replicas).size).toBe(factor);
        }
        expect(spread(counts(plan.flat(), nodes))).toBeLessThanOrEqual(1);
        expect(
          spread(
            counts(
              plan.map((replicas) => replicas[0] ?? 0),
              nodes,
            ),
          ),
        ).toBeLessThanOrEqual(1);
      }),
    );
  });

  test("spread: when the first of the nodes with most leaders has nobody to hand one to, another has", () => {
    const prior = [
      [43, 3],
      [30, 14],
      [37, 14],
      [37, 16],
      [34, 18],
      [37, 3],
    ] as const;
    const candidates = prior.map(([replicas, preferredLeaders], place) => {
      return { nodeId: node(place + 1), replicas, preferredLeaders };
    });
    const leaders = planPlacement(candidates, 7, 2).map((replicas) => replicas[0] ?? 0);
    const nodes = candidates.map((candidate) => candidate.nodeId);
    expect(spread(counts(leaders, nodes))).toBe(1);
  });

  test("determinism: the order of the candidates does not matter", () => {
    fc.assert(
      fc.property(cases, ({ candidates, partitions, factor }) => {
        const plan = planPlacement(candidates, partitions, factor);
        expect(planPlacement([...candidates].reverse(), partitions, factor)).toEqual(plan);
      }),
    );
  });

  test("totals: many topics of one partition spread over all nodes", () => {
    const loads = [1, 2, 3, 4, 5].map((id) => ({
      nodeId: node(id),
      replicas: 0,
      preferredLeaders: 0,
    }));
    for (let topic = 0; topic < 50; topic += 1) {
      const [replicas] = planPlacement(loads, 1, 3);
      for (const load of loads) {
        if (replicas?.includes(load.nodeId)) load.replicas += 1;
        if (replicas?.[0] === load.nodeId) load.preferredLeaders += 1;
      }
    }
    expect(spread(loads.map((load) => load.replicas))).toBeLessThanOrEqual(1);
    expect(spread(loads.map((load) => load.preferredLeaders))).toBeLessThanOrEqual(1);
  });

  test("successors: what a lost node led falls to different nodes by second place", () => {
    const loads = [1, 2, 3].map((id) => ({ nodeId: node(id), replicas: 0, preferredLeaders: 0 }));
    const plan = planPlacement(loads, 12, 3);
    const seconds = plan.filter(([first]) => first === 1).map(([, second]) => second);
    expect(new Set(seconds).size).toBe(2);
  });

  test("size: the largest topic is placed without delay", () => {
    const loads = Array.from({ length: 50 }, (_, place) => ({
      nodeId: node(place + 1),
      replicas: place % 7,
      preferredLeaders: place % 3,
    }));
    const plan = planPlacement(loads, 4096, 7);
    expect(
      spread(
        counts(
          plan.map(([first]) => first ?? 0),
          loads.map((load) => load.nodeId),
        ),
      ),
    ).toBeLessThanOrEqual(1);
  });
});
