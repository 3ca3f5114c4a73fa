// Says in words why the broker is under pressure: shares of the memory budget that are nearly used up, a process above the
// budget, and limits that refused somebody lately. For the health pages.
import type { MemoryBudget } from "../model/memory-budget.ts";
import type { HealthCheck } from "../observe/health.ts";
import type { OverloadLog } from "./overload-log.ts";

const MIB = 1024 * 1024;

export function pressureChecks(
  budget: MemoryBudget,
  overloads: OverloadLog,
): readonly HealthCheck[] {
  return [
    { name: "memory", aspects: ["pressure"], check: () => memoryProblem(budget) },
    { name: "overload", aspects: ["pressure"], check: () => overloadProblem(overloads) },
  ];
}

function memoryProblem(budget: MemoryBudget): string | undefined {
  const problems = budget
    .uses()
    .filter(({ purpose }) => budget.isUnderPressure(purpose))
    .map(({ limitBytes, purpose, usedBytes }) => {
      return `${purpose} holds ${mib(usedBytes)} of ${mib(limitBytes)} MiB`;
    });
  if (budget.isOverBudget) {
    problems.push(`the process has ${mib(budget.processBytes)} of ${mib(budget.bytes)} MiB`);
  }
  return problems.length === 0 ? undefined : problems.join(", ");
}

function overloadProblem(overloads: OverloadLog): string | undefined {
  const lately = overloads.lately();
  if (lately.length === 0) return undefined;
  const counts = lately.map(({ count, limit }) => `${limit} ${count}`);
  return `refused within the last 30 s, by limit: ${counts.join(", ")}`;
}

function mib(bytes: number): string {
  return (bytes / MIB).toFixed(bytes < 10 * MIB ? 1 : 0);
}
