// Makes the members of the groups led here follow the metadata: replicas placed anew join, catch up
// and take over from the ones they replace. Runs on a timer on every node; a group is changed by
// its own leader only.
import type { Clock } from "../base/clock.ts";
import { METADATA_GROUP } from "../model/ids.ts";
import { nextMembership, wantedOfMetadata, wantedOfPartition } from "./membership-plan.ts";
import type { MetadataView } from "./metadata-image.ts";
import type { LedMembership, Logger, Memberships } from "./ports.ts";

/** Between rounds, ms. */
export const MEMBERSHIP_INTERVAL_MS = 1000;
/** Groups changed in one round; the others wait for the next. */
export const MEMBERSHIP_CHANGES_MAX = 8;

export interface MembershipReconcilerOptions {
  readonly memberships: Memberships;
  readonly view: MetadataView;
  readonly clock: Clock;
  readonly log: Logger;
}

export class MembershipReconciler {
  readonly #options: MembershipReconcilerOptions;
  #cancel: (() => void) | undefined;
  #round: Promise<void> | undefined;
  #closed = false;

  constructor(options: MembershipReconcilerOptions) {
    this.#options = options;
  }

  start(): void {
    if (this.#closed) return;
    this.#cancel = this.#options.clock.schedule(MEMBERSHIP_INTERVAL_MS, () => {
      this.#round = this.#runOnce().then(() => {
        this.#round = undefined;
        this.start();
      });
    });
  }

  /** Resolves when no change started here is awaited any more. Idempotent. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#cancel?.();
    await this.#round;
  }

  /** Never rejects. */
  async #runOnce(): Promise<void> {
    const { log, memberships } = this.#options;
    let changes = 0;
    for (const current of memberships.list()) {
      if (this.#closed || changes >= MEMBERSHIP_CHANGES_MAX) return;
      const target = this.#target(current);
      if (target === undefined) continue;
      changes += 1;
      try {
        await memberships.change(current.groupId, target);
        log.info({ groupId: current.groupId, ...target }, "membership follows the metadata");
      } catch (error) {
        log.warn({ groupId: current.groupId, err: error }, "membership could not be changed");
      }
    }
  }

  #target(current: LedMembership): ReturnType<typeof nextMembership> {
    const { image } = this.#options.view;
    // Before the first restored or applied state nothing is known, and nothing may be concluded
    // from that.
    if (image.version === 0) return undefined;
    if (current.groupId === METADATA_GROUP) {
      return nextMembership(current, wantedOfMetadata(image, current));
    }
    const row = image.partitions.get(current.groupId);
    return row === undefined ? undefined : nextMembership(current, wantedOfPartition(row));
  }
}
