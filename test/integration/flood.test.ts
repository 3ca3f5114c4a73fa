// Twenty seconds of every attack of test/flood: brokers live, memory stays bounded, a good client loses nothing. Latency
// under attack is judged by `npm run test:flood` on a quiet machine, not here.
import { expect, test } from "vitest";
import { flood } from "../flood/flood.ts";
import { render } from "../flood/report.ts";

const MIB = 1024 * 1024;

test("flood: memory is bounded, brokers say why they are under pressure, a good client loses nothing", async () => {
  const report = await flood({
    durationMs: 20_000,
    only: [],
    processes: 4,
    budgetMib: 512,
    rate: 500,
    onProgress: () => undefined,
    keep: false,
  });
  const shown = render(report, { rssMib: 768, p99Ms: 1000 });
  expect(report.ended, shown).toEqual([]);
  expect(report.samples).toBeGreaterThan(50);
  for (const peak of report.peaks.values()) expect(peak / MIB, shown).toBeLessThan(768);
  expect(report.good, shown).toMatchObject({ failed: 0, lost: 0, readTwice: 0, neverConsumed: 0 });
  expect(report.resources.leaks, shown).toEqual([]);
  expect(Object.values(report.resources.compared)).toEqual([3, 3, 3]);
  expect(report.good.acknowledged).toBeGreaterThan(1000);
  expect(report.refusals.size, shown).toBeGreaterThan(2);
  expect([...report.pressure.keys()], shown).not.toEqual([]);
}, 240_000);
