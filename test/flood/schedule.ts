// Which attack runs when: several attacker processes at once, each with one attack after another, every attack the same
// time. A process that dies or hangs is replaced.
import { type ChildProcess, fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { Target } from "./attack.ts";
import type { Order, Outcome } from "./attacker.ts";
import { addTally, newTally, type Tally } from "./tally.ts";

export interface Slot {
  readonly attack: string;
  readonly durationMs: number;
}

/** Per process its attacks in order. Every attack once, as long as time and processes allow. */
export function plan(attacks: readonly string[], processes: number, totalMs: number): Slot[][] {
  const lanes: string[][] = Array.from({ length: processes }, () => []);
  for (const [place, attack] of attacks.entries()) lanes[place % processes]?.push(attack);
  return lanes.map((names) =>
    names.map((attack) => ({ attack, durationMs: Math.floor(totalMs / names.length) })),
  );
}

/** An order that is not answered by then is given up with its process. */
const GRACE_MS = 45_000;

export interface Results {
  readonly tallies: Map<string, Tally>;
  readonly errors: string[];
}

export async function attackAll(
  lanes: readonly (readonly Slot[])[],
  target: Target,
  onSlot: (slot: Slot, lane: number) => void,
): Promise<Results> {
  const results: Results = { tallies: new Map(), errors: [] };
  await Promise.all(
    lanes.map((slots, lane) => {
      return attackInTurn(slots, target, (slot) => onSlot(slot, lane), results);
    }),
  );
  return results;
}

async function attackInTurn(
  slots: readonly Slot[],
  target: Target,
  onSlot: (slot: Slot) => void,
  results: Results,
): Promise<void> {
  let attacker = start();
  for (const slot of slots) {
    onSlot(slot);
    const outcome = await give(attacker, { ...slot, target });
    if (outcome === undefined) {
      results.errors.push(`${slot.attack}: the attacking process ended or hung`);
      attacker.kill("SIGKILL");
      attacker = start();
      continue;
    }
    if (outcome.error !== undefined) results.errors.push(`${slot.attack}: ${outcome.error}`);
    const tally = results.tallies.get(slot.attack) ?? newTally();
    addTally(tally, outcome.tally);
    results.tallies.set(slot.attack, tally);
  }
  attacker.disconnect();
  attacker.kill("SIGKILL");
}

function start(): ChildProcess {
  const main = fileURLToPath(new URL("./attacker.ts", import.meta.url));
  return fork(main, [], {
    execArgv: ["--import", "tsx", "--max-old-space-size=3000"],
    stdio: ["ignore", "ignore", "inherit", "ipc"],
    // A session of its own; it ends itself when this process is gone.
    detached: true,
  });
}

function give(attacker: ChildProcess, order: Order): Promise<Outcome | undefined> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => finish(undefined), order.durationMs + GRACE_MS);
    const finish = (outcome: Outcome | undefined): void => {
      clearTimeout(timer);
      attacker.removeAllListeners("message");
      attacker.removeAllListeners("exit");
      resolve(outcome);
    };
    attacker.once("message", (outcome: Outcome) => finish(outcome));
    attacker.once("exit", () => finish(undefined));
    attacker.send(order);
  });
}
