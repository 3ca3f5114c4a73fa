import { describe, expect, it } from "vitest";
import { seededRandom } from "../../src/base/random.ts";
import type { FailurePolicy, SubscriptionMode } from "../../src/model/subscription.ts";
import { DispatchModel } from "./dispatch-model.ts";

const SEEDS = Number(process.env["SEEDS"] ?? 25);
const FIRST_SEED = Number(process.env["SEED"] ?? 1);
const STEPS = 600;

const CASES: readonly (readonly [SubscriptionMode, FailurePolicy])[] = [
  ["shared", "skip"],
  ["keyed", "skip"],
  ["keyed", "park"],
  ["keyed", "stop"],
  ["fifo", "park"],
  ["fifo", "skip"],
  ["exclusive", "skip"],
  ["exclusive", "park"],
  ["exclusive", "stop"],
];

function run(mode: SubscriptionMode, onFailure: FailurePolicy, seed: number): DispatchModel {
  const model = new DispatchModel(mode, { onFailure }, seededRandom(seed));
  try {
    for (let step = 0; step < STEPS; step += 1) model.step();
    model.finish();
  } catch (error) {
    throw new Error(`SEED=${seed}, ${mode}, ${onFailure}`, { cause: error });
  }
  return model;
}

describe("dispatcher: random consumers, faults and leaders", () => {
  it.each(CASES)(
    "%s, %s: nothing goes out twice, overtakes, is counted twice or left over",
    (mode, onFailure) => {
      const sums = {
        deliveries: 0,
        redeliveries: 0,
        stale: 0,
        leaders: 0,
        adopted: 0,
        failures: 0,
        seeks: 0,
        voided: 0,
        passedOver: 0,
      };
      for (let seed = FIRST_SEED; seed < FIRST_SEED + SEEDS; seed += 1) {
        const { counts } = run(mode, onFailure, seed);
        sums.deliveries += counts.deliveries;
        sums.redeliveries += counts.redeliveries;
        sums.stale += counts.stale;
        sums.leaders += counts.leaders;
        sums.adopted += counts.adopted;
        sums.failures += counts.failures;
        sums.seeks += counts.seeks;
        sums.voided += counts.voided;
        sums.passedOver += counts.passedOver;
      }
      // The run proves something only when all of this happens.
      for (const [name, count] of Object.entries(sums))
        expect(count, name).toBeGreaterThan(SEEDS / 5);
    },
    60_000,
  );
});
