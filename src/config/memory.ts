// The memory budget of one broker: what the file says, or a part of what the machine or container has. Called when a
// broker starts.
import { defaultMemoryBudget } from "../model/memory-budget.ts";
import type { ClusterConfig } from "./cluster-config.ts";

/** @param availableBytes memory of the container, or of the machine */
export function memoryBudgetOf(config: ClusterConfig, availableBytes: number): number {
  return config.limits.memoryBudgetBytes ?? defaultMemoryBudget(availableBytes);
}
