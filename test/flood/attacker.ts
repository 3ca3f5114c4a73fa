// The process that attacks: gets one order after another from the harness, runs it for its time, answers with the tally. It
// yields to everything else on the machine.
import { setMaxListeners } from "node:events";
import { writeFileSync } from "node:fs";
import { setPriority } from "node:os";
import type { Target } from "./attack.ts";
import { ATTACKS } from "./attacks/all.ts";
import { newTally, type Tally } from "./tally.ts";

export interface Order {
  readonly attack: string;
  readonly target: Target;
  readonly durationMs: number;
}

export interface Outcome {
  readonly attack: string;
  readonly tally: Tally;
  /** The attack itself broke. */
  readonly error: string | undefined;
}

/** An attack that does not come to its end is left behind. */
const GRACE_MS = 5000;

async function follow({ attack: name, durationMs, target }: Order): Promise<Outcome> {
  const attack = ATTACKS.find((candidate) => candidate.name === name);
  const tally = newTally();
  if (attack === undefined) return { attack: name, tally, error: "no such attack" };
  const abort = new AbortController();
  setMaxListeners(0, abort.signal);
  const timer = setTimeout(() => abort.abort(), durationMs);
  const late = new Promise<void>((resolve) => {
    setTimeout(resolve, durationMs + GRACE_MS).unref();
  });
  let error: string | undefined;
  try {
    await Promise.race([attack.run(target, tally, abort.signal), late]);
  } catch (cause) {
    error = cause instanceof Error ? (cause.stack ?? cause.message) : String(cause);
  }
  clearTimeout(timer);
  abort.abort();
  return { attack: name, tally: structuredClone(tally), error };
}

/** A priority counts within a session only, where the kernel groups processes by it: the session yields, too. */
function yieldToAll(): void {
  setPriority(19);
  try {
    writeFileSync(`/proc/${process.pid}/autogroup`, "19");
  } catch {
    // Processes are not grouped here.
  }
}

yieldToAll();
process.on("message", (order: Order) => {
  void follow(order).then((outcome) => process.send?.(outcome));
});
process.on("disconnect", () => process.exit(0));
