// Makes the members of the groups led here follow the metadata: replicas placed anew join, catch up and take over from
// the ones they replace; then the change is sealed and reported, so that what was let go of may be removed. Runs on a
// timer on every node; a group is changed by its own leader only.
import type { Clock } from "../base/clock.ts";
import { type GroupId, METADATA_GROUP } from "../model/ids.ts";
import type { LogIndex, Term } from "../model/positions.ts";
import {
  heirOf,
  isJoining,
  isSameMembership,
  type MembershipTarget,
  nextMembership,
  type WantedMembers,
  wantedOfMetadata,
  wantedOfPartition,
} from "./membership-plan.ts";
import type { MetadataView } from "./metadata-image.ts";
import type { ControllerClient, LedMembership, Logger, Memberships } from "./ports.ts";
import type { PartitionRow } from "./topic-table.ts";

/** Between rounds, ms. */
export const MEMBERSHIP_INTERVAL_MS = 1000;
/** The same while groups are on their way: a change takes several rounds. */
export const MEMBERSHIP_BUSY_MS = 200;
/** Groups changed in one round; the others wait for the next. */
export const MEMBERSHIP_CHANGES_MAX = 8;
/** Groups led here whose new replicas are fetching the log at once. More wait: live traffic shares disk and network. */
export const CATCH_UPS_MAX = 4;

export interface MembershipReconcilerOptions {
  readonly memberships: Memberships;
  readonly controller: ControllerClient;
  readonly view: MetadataView;
  /** With which the cluster was founded: what a replica of the metadata group falls back to when it knows nothing else. */
  readonly metadataFounders: MembershipTarget;
  readonly clock: Clock;
  readonly log: Logger;
}

/** What one round does with one group. */
type Step = (() => Promise<boolean>) | undefined;

interface Seal {
  /** In another one somebody else may have led in between, and changed the members there and back. */
  readonly term: Term;
  readonly members: MembershipTarget;
  /** Once this is durably committed, a majority can prove the configuration after a loss of power. */
  readonly index: LogIndex;
}

export class MembershipReconciler {
  readonly #options: MembershipReconcilerOptions;
  /** Configurations that were written twice under this node's leadership. */
  readonly #seals = new Map<GroupId, Seal>();
  /** Groups whose leadership nobody took: they are changed while it is here. */
  readonly #unheired = new Set<GroupId>();
  #cancel: (() => void) | undefined;
  #round: Promise<void> | undefined;
  #closed = false;

  constructor(options: MembershipReconcilerOptions) {
    this.#options = options;
  }

  start(): void {
    this.#schedule(MEMBERSHIP_INTERVAL_MS);
  }

  #schedule(delayMs: number): void {
    if (this.#closed) return;
    this.#cancel = this.#options.clock.schedule(delayMs, () => {
      this.#round = this.#runOnce().then((isBusy) => {
        this.#round = undefined;
        this.#schedule(isBusy ? MEMBERSHIP_BUSY_MS : MEMBERSHIP_INTERVAL_MS);
      });
    });
  }

  /** Resolves when no change started here is awaited any more. Idempotent. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#cancel?.();
    await this.#round;
  }

  /**
   * Groups led here whose members are not what they should be, or would not be known to be by those who are left when
   * another disk is lost for good: whoever gives disks up one after the other waits until there are none.
   */
  unproven(): GroupId[] {
    const led = this.#options.memberships.list();
    return led.filter((current) => !this.#areMembersProven(current)).map(({ groupId }) => groupId);
  }

  #areMembersProven(current: LedMembership): boolean {
    const wanted = this.#wanted(current);
    if (wanted === undefined) return true;
    if (current.isChanging || !isSameMembership(current, wanted)) return false;
    const seal = this.#sealOf(current);
    return seal === undefined ? this.#isAsFounded(current) : isSealProven(current, seal);
  }

  /** Never rejects. @returns true when a step succeeded: more may follow from it */
  async #runOnce(): Promise<boolean> {
    // Before the first restored or applied state nothing is known, and nothing may be concluded from that.
    if (this.#options.view.image.version === 0) return false;
    const led = this.#options.memberships.list();
    this.#forget(led);
    const steps: (() => Promise<boolean>)[] = [];
    let slots = CATCH_UPS_MAX - led.filter((group) => group.lagging.length > 0).length;
    for (const current of led) {
      if (steps.length >= MEMBERSHIP_CHANGES_MAX) break;
      const wanted = this.#wanted(current);
      if (wanted === undefined) continue;
      const target = nextMembership(current, wanted);
      const joins = target !== undefined && isJoining(current, target);
      if (joins && slots <= 0) continue;
      if (joins) slots -= 1;
      const step =
        target === undefined ? this.#ending(current, wanted) : this.#way(current, target);
      if (step !== undefined) steps.push(step);
    }
    const results = await Promise.all(steps.map(async (step) => step()));
    return results.includes(true);
  }

  #wanted(current: LedMembership): WantedMembers | undefined {
    const { image } = this.#options.view;
    if (current.groupId === METADATA_GROUP) return wantedOfMetadata(image, current);
    const row = image.partitions.get(current.groupId);
    return row === undefined ? undefined : wantedOfPartition(row);
  }

  /** Somebody joins, or votes are given and taken. */
  #way(current: LedMembership, target: MembershipTarget): Step {
    const { log, memberships } = this.#options;
    const { groupId } = current;
    const heir = this.#unheired.has(groupId) ? undefined : heirOf(current, target);
    if (heir !== undefined) {
      return this.#attempt(groupId, "leadership handed over before a removal", async () => {
        this.#unheired.add(groupId);
        await memberships.transfer(groupId, heir);
      });
    }
    return this.#attempt(groupId, "membership follows the metadata", async () => {
      // The way may lead back to the sealed members: that seal is older than what it would have to prove.
      this.#seals.delete(groupId);
      await memberships.change(groupId, target);
      log.info({ groupId, ...target }, "membership changed");
    });
  }

  /**
   * The group is where it should be. Configurations take effect when they are applied, and a replica that lost what it
   * knew of commits goes back to the last one that its log proves. So the same configuration is written once more: who
   * holds both entries knows that the first one is committed. Only after that may former replicas go.
   */
  #ending(current: LedMembership, wanted: WantedMembers): Step {
    if (current.isChanging || !isSameMembership(current, wanted)) return undefined;
    const { groupId, learners, term, voters } = current;
    const change = this.#options.view.image.partitions.get(groupId)?.change;
    const seal = this.#sealOf(current);
    if (seal !== undefined) {
      const isDue = change !== undefined && isSealProven(current, seal);
      return isDue ? this.#finish(groupId, change.index) : undefined;
    }
    if (this.#isAsFounded(current)) return undefined;
    return this.#attempt(groupId, "configuration sealed", async () => {
      await this.#options.memberships.change(groupId, { voters, learners });
      const sealed = this.#options.memberships.get(groupId);
      if (sealed?.term !== term) return;
      const members = { voters, learners };
      this.#seals.set(groupId, { term, members, index: sealed.commitIndex });
    });
  }

  #finish(groupId: GroupId, changeIndex: LogIndex): Step {
    return this.#attempt(groupId, "change of replicas reported as finished", async () => {
      await this.#options.controller.propose({ type: "finish-move", groupId, changeIndex });
      this.#options.log.info({ groupId, changeIndex }, "change of replicas finished");
    });
  }

  /** Of the configuration in force; undefined when this leader has not written it twice. */
  #sealOf(current: LedMembership): Seal | undefined {
    const seal = this.#seals.get(current.groupId);
    if (seal?.term !== current.term) return undefined;
    return isSameMembership(seal.members, current) ? seal : undefined;
  }

  /** Everybody begins with these members, so there is nothing to prove. */
  #isAsFounded(current: LedMembership): boolean {
    const row = this.#options.view.image.partitions.get(current.groupId);
    return row?.change === undefined && isSameMembership(current, this.#founders(row));
  }

  #founders(row: PartitionRow | undefined): MembershipTarget {
    if (row === undefined) return this.#options.metadataFounders;
    return { voters: row.founders, learners: [] };
  }

  /** What fails is tried again in the next round, from what is true then. */
  #attempt(groupId: GroupId, what: string, run: () => Promise<void>): () => Promise<boolean> {
    return async () => {
      if (this.#closed) return false;
      try {
        await run();
        return true;
      } catch (error) {
        this.#options.log.warn({ groupId, step: what, err: error }, "membership step failed");
        return false;
      }
    };
  }

  /** Of groups led here no more, which another leader may have changed, and seals of other terms or members than the present ones. */
  #forget(led: readonly LedMembership[]): void {
    const ids = new Set(led.map((group) => group.groupId));
    const sealed = led.filter((group) => this.#sealOf(group) !== undefined);
    const sealedIds = new Set(sealed.map((group) => group.groupId));
    for (const groupId of [...this.#seals.keys()]) {
      if (!sealedIds.has(groupId)) this.#seals.delete(groupId);
    }
    for (const groupId of [...this.#unheired]) {
      if (!ids.has(groupId)) this.#unheired.delete(groupId);
    }
  }
}

/** A majority has both entries on its disks. */
function isSealProven(current: LedMembership, seal: Seal): boolean {
  return current.durableCommitIndex >= seal.index;
}
