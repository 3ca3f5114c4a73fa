// Which faults a run makes, and how each is done to a real process.
import type { Random } from "../../src/base/random.ts";
import { type LocalCluster, pause } from "../support/local-cluster.ts";

/**
 * kill: SIGKILL, restarted after the others took over. pause: SIGSTOP for twice the longest election timeout, then
 * SIGCONT. bounce: SIGKILL, restarted at once, so that the old leader is back before the election.
 */
export type FaultKind = "kill" | "pause" | "bounce";

export const FAULT_KINDS: readonly FaultKind[] = ["kill", "pause", "bounce"];

/** Twice the longest election timeout (1.5 s). */
export const PAUSE_MS = 3000;

/** At least four kills and four pauses in ten, fewer in shorter runs but the same share; the rest by chance. Shuffled. */
export function planFaults(random: Random, rounds: number): FaultKind[] {
  const share = rounds === 2 ? 1 : Math.floor(rounds * 0.4);
  const plan: FaultKind[] = [];
  for (let i = 0; i < share; i += 1) plan.push("kill", "pause");
  while (plan.length < rounds) plan.push(FAULT_KINDS[random.integer(0, 3)] ?? "kill");
  for (let i = plan.length - 1; i > 0; i -= 1) {
    const j = random.integer(0, i + 1);
    [plan[i], plan[j]] = [plan[j] ?? "kill", plan[i] ?? "kill"];
  }
  return plan;
}

export interface StartedFault {
  /** When the signal had been sent: sends begun later are begun after the fault. */
  readonly atMs: number;
  /** Resolves when the process may be expected to serve again. @param tookOver the others lead all that it led */
  readonly heal: (tookOver: Promise<void>) => Promise<void>;
}

/** Does it. The victim is running again, though perhaps not ready, when heal() resolves. */
export function startFault(cluster: LocalCluster, kind: FaultKind, nodeId: number): StartedFault {
  if (kind === "pause") {
    cluster.signal(nodeId, "SIGSTOP");
    const atMs = performance.now();
    const resumed = pause(PAUSE_MS).then(() => cluster.signal(nodeId, "SIGCONT"));
    return { atMs, heal: () => resumed };
  }
  const killed = cluster.kill(nodeId);
  const atMs = performance.now();
  const restart = async (): Promise<void> => {
    await killed;
    cluster.start(nodeId);
  };
  if (kind === "bounce") {
    const restarted = restart();
    return { atMs, heal: () => restarted };
  }
  return {
    atMs,
    heal: async (tookOver) => {
      await tookOver;
      await restart();
    },
  };
}
