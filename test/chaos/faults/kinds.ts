// All kinds of faults, and which of them a machine and a number of brokers allow.
import type { Need } from "../mixed/arena.ts";
import { DISK_FAULTS } from "./disk-faults.ts";
import type { FaultKind } from "./fault.ts";
import { MEMBER_FAULTS } from "./member-faults.ts";
import { NETWORK_FAULTS } from "./network-faults.ts";
import { PROCESS_FAULTS } from "./process-faults.ts";

export const FAULT_KINDS: readonly FaultKind[] = [
  ...PROCESS_FAULTS,
  ...NETWORK_FAULTS,
  ...DISK_FAULTS,
  ...MEMBER_FAULTS,
];

/** Kinds that need nothing that is missing. What takes the majority of three replicas away does so on three brokers only. */
export function possibleKinds(missing: readonly Need[], brokers: 3 | 5): FaultKind[] {
  return FAULT_KINDS.filter(({ needs = [], needsFive = false, reach }) => {
    if (needs.some((need) => missing.includes(need))) return false;
    return brokers === 5 ? reach !== "majority" : !needsFive;
  });
}
