import { describe, expect, it } from "vitest";
import { seededRandom } from "../../src/base/random.ts";
import { ReadPlan } from "../../src/delivery/read-plan.ts";

describe("read plan", () => {
  it("what came back is read before the front, lowest first", () => {
    const plan = new ReadPlan(0);
    plan.remove(0, 100);
    plan.add(70, 80);
    plan.add(10, 20);
    plan.add(15, 30);
    expect([plan.first, plan.firstEnd, plan.next(30)]).toEqual([10, 30, 70]);
    plan.remove(0, 75);
    expect([plan.first, plan.firstEnd, plan.next(80)]).toEqual([75, 80, 100]);
    plan.add(90, 1000);
    expect(plan.front).toBe(100);
    plan.remove(75, 80);
    expect([plan.first, plan.firstEnd]).toEqual([90, 100]);
  });

  it("random calls: nothing that is to be read is missing, however many runs there are", () => {
    const random = seededRandom(Number(process.env["SEED"] ?? 12));
    const plan = new ReadPlan(0);
    const wanted = new Set(Array.from({ length: 3000 }, (_, at) => at));
    for (let step = 0; step < 3000; step += 1) {
      const from = random.integer(0, 2900);
      const to = from + random.integer(1, 20);
      const isAdding = random.next() < 0.5;
      if (isAdding) plan.add(from, to);
      else plan.remove(from, to);
      for (let offset = from; offset < to; offset += 1) {
        if (isAdding) wanted.add(offset);
        else wanted.delete(offset);
      }
      const place = random.integer(0, 3000);
      let next = place;
      while (next < 3000 && !wanted.has(next)) next += 1;
      expect(plan.next(place)).toBeLessThanOrEqual(next);
    }
  });
});
