// Makes a failing plan small: faults are taken out by halves, then by quarters … then one by one, then what surrounds them
// (readers, subscriptions, senders, time), as long as the run still fails in the same way. Used by run.ts.
import type { SeedPlan } from "./plan/seed-plan.ts";
import type { SimulationOptions, SimulationResult } from "./simulate.ts";

export type RunPlan = (options: SimulationOptions) => Promise<SimulationResult>;

export interface ShrinkOptions {
  readonly seed: number;
  readonly plan: SeedPlan;
  readonly run: RunPlan;
  /** Runs at most. */
  readonly runsMax: number;
  readonly onProgress: (text: string) => void;
}

export interface Shrunk {
  readonly plan: SeedPlan;
  readonly violation: string;
  readonly runs: number;
}

/** Time that a run goes on after its last fault, when the rest is cut off. */
const AFTER_LAST_MS = 2000;

/** @returns undefined when the plan does not fail */
export async function shrink(options: ShrinkOptions): Promise<Shrunk | undefined> {
  const shrinker = new Shrinker(options);
  return shrinker.shrink();
}

/** What a violation is about: without time, numbers and names. */
export function signatureOf(violation: string): string {
  const text = violation.replace(/^[\d.]+ s: /, "").split("\n")[0] ?? "";
  return text.replace(/[\d.]+/g, "#").slice(0, 60);
}

class Shrinker {
  readonly #options: ShrinkOptions;
  #plan: SeedPlan;
  #violation = "";
  #signature = "";
  #runs = 0;

  constructor(options: ShrinkOptions) {
    this.#options = options;
    this.#plan = options.plan;
  }

  async shrink(): Promise<Shrunk | undefined> {
    const first = await this.#violationOf(this.#plan);
    if (first === undefined) return undefined;
    this.#violation = first;
    this.#signature = signatureOf(first);
    this.#options.onProgress(`fails with: ${first.slice(0, 200)}`);
    await this.#fewer("faults");
    await this.#attempt({ ...this.#plan, durationMs: this.#endMs() });
    await this.#attempt({ ...this.#plan, readers: NO_READERS });
    await this.#attempt({ ...this.#plan, subscriptions: [] });
    await this.#fewerSubscriptions();
    await this.#fewer("users");
    await this.#fewer("faults");
    return { plan: this.#plan, violation: this.#violation, runs: this.#runs };
  }

  /** Takes out larger parts first; what is left cannot do without any single one. */
  async #fewer(list: "faults" | "users"): Promise<void> {
    const least = list === "users" ? 1 : 0;
    let size = Math.ceil(this.#plan[list].length / 2);
    while (size >= 1) {
      let hasShrunk = false;
      for (let from = 0; from < this.#plan[list].length; ) {
        const items = this.#plan[list];
        const rest = [...items.slice(0, from), ...items.slice(from + size)];
        const isTaken =
          rest.length >= least && (await this.#attempt({ ...this.#plan, [list]: rest }));
        if (isTaken) hasShrunk = true;
        else from += size;
      }
      if (size > 1) size = Math.ceil(size / 2);
      else if (!hasShrunk) return;
    }
  }

  async #fewerSubscriptions(): Promise<void> {
    for (const one of this.#plan.subscriptions ?? []) {
      const rest = (this.#plan.subscriptions ?? []).filter((other) => other !== one);
      await this.#attempt({ ...this.#plan, subscriptions: rest });
    }
  }

  #endMs(): number {
    const ends = this.#plan.faults.map(({ atMs, lastsMs }) => atMs + lastsMs);
    return Math.min(this.#plan.durationMs, Math.max(0, ...ends) + AFTER_LAST_MS);
  }

  async #attempt(plan: SeedPlan): Promise<boolean> {
    const violation = await this.#violationOf(plan);
    if (violation === undefined || signatureOf(violation) !== this.#signature) return false;
    this.#plan = plan;
    this.#violation = violation;
    const { faults, users } = plan;
    this.#options.onProgress(`run ${this.#runs}: ${faults.length} faults, ${users.length} senders`);
    return true;
  }

  async #violationOf(plan: SeedPlan): Promise<string | undefined> {
    const { run, runsMax, seed } = this.#options;
    if (this.#runs >= runsMax) return undefined;
    this.#runs += 1;
    const { violations } = await run({ seed, plan });
    const same = violations.find((violation) => signatureOf(violation) === this.#signature);
    return same ?? violations[0];
  }
}

const NO_READERS: SeedPlan["readers"] = {
  plain: [],
  sdk: [],
  asksForOutcomes: false,
  hasPassingTopics: false,
};
