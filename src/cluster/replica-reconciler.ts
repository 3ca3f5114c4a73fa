// Makes this node's partition groups match the metadata: opens what is placed here, tells open ones
// about new settings, removes what was deleted. Woken by every new image; what failed is retried, openings less and less
// often.
// The broker starts it once the metadata replica has restored its state, and closes it before the
// replicas.
import type { Clock } from "../base/clock.ts";
import type { GroupId, NodeId, ReplicaId } from "../model/ids.ts";
import type { MetadataImage, MetadataView } from "./metadata-image.ts";
import { OpenRetries } from "./open-retries.ts";
import type { LocalGroups, Logger, PartitionAssignment } from "./ports.ts";
import { planReconciliation, revisionOf } from "./reconcile-plan.ts";

/** Groups opened or removed at once. */
export const RECONCILE_CONCURRENCY = 8;
/** Pause before what failed is tried again, ms; openings have their own (open-retries.ts). */
export const RECONCILE_RETRY_MS = 1000;

export interface ReplicaReconcilerOptions {
  readonly nodeId: NodeId;
  readonly directoryId: string;
  readonly view: MetadataView;
  readonly groups: LocalGroups;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Of a replica, which goes on from the survivor `from` if there is one. */
interface Opening {
  readonly assignment: PartitionAssignment;
  readonly from?: ReplicaId;
}

export class ReplicaReconciler {
  readonly #options: ReplicaReconcilerOptions;
  readonly #opened = new Map<GroupId, number>();
  readonly #retries = new OpenRetries();
  #orphans: ReadonlySet<GroupId> = new Set();
  #running: Promise<void> | undefined;
  #isDirty = false;
  #closed = false;
  #stopListening: (() => void) | undefined;
  #cancelRetry: (() => void) | undefined;

  constructor(options: ReplicaReconcilerOptions) {
    this.#options = options;
  }

  /** Groups on this disk that nobody wants and nobody deleted. */
  get orphans(): ReadonlySet<GroupId> {
    return this.#orphans;
  }

  /** Runs a first round and then one after each change. */
  start(): void {
    this.#stopListening = this.#options.view.onChange(() => this.wake());
    this.wake();
  }

  /** Asks for a round; several wishes before it begins make one. */
  wake(): void {
    if (this.#closed) return;
    this.#isDirty = true;
    if (this.#running !== undefined) return;
    // Deferred: the wish comes from inside apply.
    this.#running = new Promise<void>((resolve) => {
      this.#options.clock.defer(() => {
        void this.#runUntilClean().then(resolve);
      });
    }).then(() => {
      this.#running = undefined;
      if (this.#isDirty) this.wake();
    });
  }

  /** Resolves when nothing is being opened or removed any more. Idempotent. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#stopListening?.();
    this.#cancelRetry?.();
    await this.#running;
  }

  /** Never rejects. */
  async #runUntilClean(): Promise<void> {
    while (this.#isDirty && !this.#closed) {
      this.#isDirty = false;
      const isComplete = await this.#round(this.#options.view.image);
      this.#retryLater(isComplete);
    }
    if (this.#closed) this.#isDirty = false;
  }

  #retryLater(isComplete: boolean): void {
    if (this.#closed) return;
    const { clock } = this.#options;
    const nowMs = clock.monotonicMs();
    const openingMs = this.#retries.nextMs ?? Number.POSITIVE_INFINITY;
    const nextMs = isComplete ? openingMs : Math.min(openingMs, nowMs + RECONCILE_RETRY_MS);
    this.#cancelRetry?.();
    this.#cancelRetry = undefined;
    if (nextMs === Number.POSITIVE_INFINITY) return;
    this.#cancelRetry = clock.schedule(Math.max(0, nextMs - nowMs), () => this.wake());
  }

  async #round(image: MetadataImage): Promise<boolean> {
    const { clock, groups, log } = this.#options;
    const plan = planReconciliation(image, this.#options, groups.list(), this.#opened);
    for (const orphan of plan.orphans) {
      if (this.#orphans.has(orphan.groupId)) continue;
      log.warn({ groupId: orphan.groupId }, "group on disk is not in the metadata; kept");
    }
    this.#orphans = new Set(plan.orphans.map((orphan) => orphan.groupId));
    const openings: readonly Opening[] = [
      ...plan.succeed,
      ...plan.open.map((assignment) => ({ assignment })),
    ];
    this.#retries.keepOnly(openings.map(({ assignment }) => assignment));
    const nowMs = clock.monotonicMs();
    const due = openings.filter(({ assignment }) => this.#retries.isDue(assignment, nowMs));
    const jobs = [
      ...plan.remove.map((groupId) => () => this.#remove(groupId)),
      ...due.map((opening) => () => this.#open(opening, image)),
      ...plan.update.map((assignment) => () => this.#update(assignment, image)),
    ];
    return this.#runJobs(jobs);
  }

  /** Never rejects: one that fails has its own next turn. */
  async #open({ assignment, from }: Opening, image: MetadataImage): Promise<void> {
    const { clock, groups, log } = this.#options;
    const { groupId } = assignment;
    // A succession shuts the former self, whatever comes of it.
    this.#opened.delete(groupId);
    try {
      if (from === undefined) await groups.open(assignment);
      else await groups.succeed(assignment, from);
      this.#opened.set(groupId, revisionOf(assignment, image));
      this.#retries.opened(groupId);
    } catch (error) {
      this.#retries.failed(assignment, clock.monotonicMs());
      log.error({ groupId, err: error }, "group could not be opened; will retry");
    }
  }

  async #update(assignment: PartitionAssignment, image: MetadataImage): Promise<void> {
    await this.#options.groups.update(assignment);
    this.#opened.set(assignment.groupId, revisionOf(assignment, image));
  }

  async #remove(groupId: GroupId): Promise<void> {
    await this.#options.groups.remove(groupId);
    this.#opened.delete(groupId);
    // A replica that came back under another id may wait for the old one to be gone.
    this.#isDirty = true;
  }

  /**
   * Runs jobs with bounded concurrency. @returns false when one failed or the reconciler was closed
   * meanwhile
   */
  async #runJobs(jobs: readonly (() => Promise<void>)[]): Promise<boolean> {
    let next = 0;
    let failures = 0;
    const worker = async (): Promise<void> => {
      for (let job = jobs[next++]; job !== undefined && !this.#closed; job = jobs[next++]) {
        try {
          await job();
        } catch (error) {
          failures += 1;
          this.#options.log.error({ err: error }, "group could not be reconciled; will retry");
        }
      }
    };
    await Promise.all(Array.from({ length: RECONCILE_CONCURRENCY }, worker));
    return failures === 0;
  }
}
