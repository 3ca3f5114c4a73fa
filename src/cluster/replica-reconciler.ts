// Makes this node's partition groups match the metadata: opens what is placed here, tells open ones
// about new settings, removes what was deleted. Woken by every new image; what failed is retried.
// The broker starts it once the metadata replica has restored its state, and closes it before the
// replicas.
import type { Clock } from "../base/clock.ts";
import type { GroupId, NodeId, ReplicaId } from "../model/ids.ts";
import type { MetadataImage, MetadataView } from "./metadata-image.ts";
import type { LocalGroups, Logger, PartitionAssignment } from "./ports.ts";
import { planReconciliation, revisionOf } from "./reconcile-plan.ts";

/** Groups opened or removed at once. */
export const RECONCILE_CONCURRENCY = 8;
/** Pause before what failed is tried again, ms. */
export const RECONCILE_RETRY_MS = 1000;

export interface ReplicaReconcilerOptions {
  readonly nodeId: NodeId;
  readonly directoryId: string;
  readonly view: MetadataView;
  readonly groups: LocalGroups;
  readonly clock: Clock;
  readonly log: Logger;
}

export class ReplicaReconciler {
  readonly #options: ReplicaReconcilerOptions;
  readonly #opened = new Map<GroupId, number>();
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
      if (!isComplete) this.#retryLater();
    }
    if (this.#closed) this.#isDirty = false;
  }

  #retryLater(): void {
    if (this.#closed) return;
    this.#cancelRetry?.();
    this.#cancelRetry = this.#options.clock.schedule(RECONCILE_RETRY_MS, () => this.wake());
  }

  async #round(image: MetadataImage): Promise<boolean> {
    const { groups, log } = this.#options;
    const plan = planReconciliation(image, this.#options, groups.list(), this.#opened);
    for (const orphan of plan.orphans) {
      if (this.#orphans.has(orphan.groupId)) continue;
      log.warn({ groupId: orphan.groupId }, "group on disk is not in the metadata; kept");
    }
    this.#orphans = new Set(plan.orphans.map((orphan) => orphan.groupId));
    const jobs = [
      ...plan.remove.map((groupId) => () => this.#remove(groupId)),
      ...plan.succeed.map(
        ({ assignment, from }) =>
          () =>
            this.#succeed(assignment, from, image),
      ),
      ...plan.open.map((assignment) => () => this.#tell(assignment, image, "open")),
      ...plan.update.map((assignment) => () => this.#tell(assignment, image, "update")),
    ];
    return this.#runJobs(jobs);
  }

  async #tell(
    assignment: PartitionAssignment,
    image: MetadataImage,
    verb: "open" | "update",
  ): Promise<void> {
    if (verb === "open") await this.#options.groups.open(assignment);
    else await this.#options.groups.update(assignment);
    this.#opened.set(assignment.groupId, revisionOf(assignment, image));
  }

  async #succeed(
    assignment: PartitionAssignment,
    from: ReplicaId,
    image: MetadataImage,
  ): Promise<void> {
    await this.#options.groups.succeed(assignment, from);
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
