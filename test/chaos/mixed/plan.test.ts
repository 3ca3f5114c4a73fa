import { describe, expect, it } from "vitest";
import { seededRandom } from "../../../src/base/random.ts";
import { FAULT_KINDS, possibleKinds } from "../faults/kinds.ts";
import { Deck, planActs } from "./plan.ts";

describe("plan of mixed faults", () => {
  it("kinds: at least twenty on three brokers, though nothing but processes and proxies is there", () => {
    expect(possibleKinds([], 3).length).toBeGreaterThanOrEqual(35);
    expect(possibleKinds(["images", "strace", "namespaces"], 3).length).toBeGreaterThanOrEqual(20);
    expect(new Set(FAULT_KINDS.map(({ name }) => name)).size).toBe(FAULT_KINDS.length);
  });

  it("kinds: more than half of the cards make a partition lose its leader for certain or by aim", () => {
    const cards = possibleKinds([], 3).map(({ losesLeader, reach, weight = 1 }) => {
      return { weight, costsLeader: losesLeader || reach === "majority" };
    });
    const total = cards.reduce((sum, { weight }) => sum + weight, 0);
    const costly = cards.reduce((sum, card) => sum + (card.costsLeader ? card.weight : 0), 0);
    expect(costly / total).toBeGreaterThan(0.5);
  });

  it("deck: every card comes once before any comes again; the same seed draws the same", () => {
    const kinds = possibleKinds([], 3);
    const cards = kinds.reduce((sum, { weight = 1 }) => sum + weight, 0);
    const draw = (seed: number): string[] => {
      const deck = new Deck(seededRandom(seed), kinds);
      return Array.from({ length: cards }, () => deck.draw().name);
    };
    expect(new Set(draw(1)).size).toBe(kinds.length);
    expect(draw(1)).toEqual(draw(1));
    expect(draw(1)).not.toEqual(draw(2));
  });

  it("acts: none is longer than ten minutes, together they last as long as was asked for", () => {
    const acts = planActs(60, undefined);
    expect(Math.max(...acts.map(({ durationMs }) => durationMs))).toBeLessThanOrEqual(600_000);
    expect(acts.reduce((sum, { durationMs }) => sum + durationMs, 0)).toBeCloseTo(3_600_000);
    expect(new Set(acts.map(({ brokers }) => brokers))).toEqual(new Set([3, 5]));
    expect(planActs(3, undefined).map(({ brokers }) => brokers)).toEqual([3]);
  });
});
