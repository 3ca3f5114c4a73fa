import { describe, expect, it } from "vitest";
import { evaluateHealth, type HealthCheck } from "../../src/observe/health.ts";

const fine = (): undefined => undefined;

describe("health", () => {
  it("aspects: a failed check fails only the questions it answers", () => {
    const checks: HealthCheck[] = [
      { name: "disk", aspects: ["live", "ready"], check: fine },
      { name: "leaders", aspects: ["ready"], check: () => "3 partitions have no leader" },
      { name: "replicas", aspects: ["safe-to-stop"], check: fine },
    ];
    const report = evaluateHealth(checks);
    expect(report.live.ok).toBe(true);
    expect(report.ready).toMatchObject({
      ok: false,
      reasons: ["leaders: 3 partitions have no leader"],
    });
    expect(report["safe-to-stop"].ok).toBe(true);
    expect(report.ready.checks.map((check) => check.name)).toEqual(["disk", "leaders"]);
  });

  it("check: one that throws counts as failed, and runs once for all its aspects", () => {
    let calls = 0;
    const check = (): undefined => {
      calls += 1;
      throw new Error("boom");
    };
    const report = evaluateHealth([{ name: "quorum", aspects: ["ready", "safe-to-stop"], check }]);
    expect(report.ready.reasons).toEqual(["quorum: the check itself failed: boom"]);
    expect(report["safe-to-stop"].ok).toBe(false);
    expect(calls).toBe(1);
  });

  it("no checks: nothing is known to be wrong", () => {
    expect(evaluateHealth([]).live).toEqual({ ok: true, reasons: [], checks: [] });
  });
});
