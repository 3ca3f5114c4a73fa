// What a kind of fault is: whom it strikes, what it does, how it shows that it bit, and what may be expected meanwhile.
// The kinds are in the other files of this folder; mixed/rounds.ts makes them happen.
import type { FaultEffect } from "../../../src/testkit/index.ts";
import type { Arena, Need, PlacedView } from "../mixed/arena.ts";

/** What SIGKILL, SIGSTOP and isolation of a leader may cost. */
export const FAIL_OVER_MS_MAX = 3000;
/**
 * A leader that hears nobody is still heard: it must first give up by itself (1.0 to 1.5 s), and only then do the others begin
 * to wait (again 1.0 to 1.5 s). Then comes the election, and the client that finds the new leader: 2 s for both.
 */
export const ONE_WAY_MS_MAX = 5000;

export interface Scene {
  readonly arena: Arena;
  /** Whom it strikes; the first is the one that the kind is named for. */
  readonly victims: readonly number[];
  /** All other brokers. */
  readonly others: readonly number[];
  /** Every partition as it was just before. */
  readonly before: readonly PlacedView[];
}

/** A fault that is under way. */
export interface Injury {
  /** What shows that it bit, in words; undefined when nothing does. Asked just before heal(). */
  readonly proof: () => string | undefined | Promise<string | undefined>;
  /** Ends it. Brokers that it stopped are started again. */
  readonly heal: () => Promise<void>;
  /** Resolves when it has done what it is there for; default: after the kind's holdMs. */
  readonly done?: Promise<void>;
}

export interface FaultKind {
  readonly name: string;
  readonly effect: FaultEffect;
  /**
   * minority: every partition keeps a connected majority, so at least 100 sends must succeed meanwhile. majority: no
   * partition has one, so none may succeed. partial: something between, nothing is demanded.
   */
  readonly reach: "minority" | "majority" | "partial";
  /** The first victim loses the partitions that it leads: their terms must rise, and the time is taken. */
  readonly losesLeader: boolean;
  /** From the fault to the next acknowledged write, p99, ms: more fails the run. README.md explains the numbers. */
  readonly boundMs?: number;
  /** Cards in the deck that the plan draws from; default 1. */
  readonly weight?: number;
  /** Needs five brokers. */
  readonly needsFive?: boolean;
  readonly needs?: readonly Need[];
  /** How long it lasts at least, ms. */
  readonly holdMs: number;
  readonly choose: (arena: Arena) => Promise<readonly number[]>;
  readonly inflict: (scene: Scene) => Promise<Injury>;
}

/** The first victim; the scene of a kind that strikes somebody always has one. */
export function targetOf({ victims }: Pick<Scene, "victims">): number {
  const [target] = victims;
  if (target === undefined) throw new Error("a fault without a victim");
  return target;
}
