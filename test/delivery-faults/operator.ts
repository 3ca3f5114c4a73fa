// Looks after messages that failed for good where they hold something up (a parked key, a stopped partition): sees that they
// still do after their leader was killed, then lets go what waits behind them. They themselves go to the dead letters.
import type { Admin, ParkedKeyOfPartition } from "../../src/client/index.ts";
import type { FailurePolicy, SubscriptionMode } from "../../src/model/subscription.ts";
import type { DeliveryRecorder } from "../../src/testkit/index.ts";

const CALL = { timeoutMs: 5000 };

/** "hold": whatever the mode allows that holds up what is behind a dead message. */
export type OnFailure = "hold" | "skip";

export function policyOf(mode: SubscriptionMode, onFailure: OnFailure): FailurePolicy {
  if (mode === "shared" || onFailure === "skip") return "skip";
  return mode === "exclusive" ? "stop" : "park";
}

export interface OperatorOptions {
  readonly admin: Admin;
  readonly subscription: string;
  readonly policy: FailurePolicy;
  readonly recorder: DeliveryRecorder;
}

type Place = Pick<ParkedKeyOfPartition, "topic" | "partition" | "offset">;

export class Operator {
  readonly #options: OperatorOptions;
  readonly #released = new Set<string>();
  /** Whose release was asked for: without an answer it may still happen. */
  readonly #asked = new Set<string>();
  /** So many held something up before a kill of their leader and after it. */
  survived = 0;

  constructor(options: OperatorOptions) {
    this.#options = options;
  }

  /** Dead messages hold something up. */
  get isHolding(): boolean {
    return this.#options.policy !== "skip";
  }

  /** What was let go: all of them have to be in the dead letters in the end. */
  get released(): ReadonlySet<string> {
    return this.#released;
  }

  /** What holds something up now. */
  async parked(): Promise<readonly Place[]> {
    const found: Place[] = [];
    if (!this.isHolding) return found;
    const { admin, subscription } = this.#options;
    for await (const { offset, partition, topic } of admin.subscriptions.parkedKeys(
      subscription,
      CALL,
    )) {
      found.push({ offset, partition, topic });
    }
    return found;
  }

  /** Another leader has these now. @returns what is wrong */
  compare(before: readonly Place[], after: readonly Place[]): string[] {
    const names = new Set(after.map(nameOf));
    const held = before.filter((place) => !this.#asked.has(nameOf(place)));
    const lost = held.filter((place) => !names.has(nameOf(place)));
    this.survived += held.length - lost.length;
    return lost.map((place) => `${nameOf(place)} was parked, and a new leader let it go`);
  }

  /** Lets everything go on that waits behind a dead message. @returns how many did */
  async releaseAll(): Promise<number> {
    const parked = await this.parked();
    for (const place of parked) await this.#release(place);
    return parked.length;
  }

  async #release(place: Place): Promise<void> {
    const { admin, recorder, subscription } = this.#options;
    const beganMs = performance.now();
    this.#asked.add(nameOf(place));
    try {
      await admin.subscriptions.release(subscription, { ...place, skipMessage: true }, CALL);
    } finally {
      // Whether it failed or not, it may have happened.
      const atMs = performance.now();
      recorder.note({
        ...{ type: "unpark", beganMs, atMs, subscription, ...place, skipsMessage: true },
      });
    }
    this.#released.add(nameOf(place));
  }
}

/** As final-state.ts names dead letters by where they came from. */
export function nameOf({ offset, partition }: Pick<Place, "partition" | "offset">): string {
  return `${partition}@${offset}`;
}
