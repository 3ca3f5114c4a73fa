// One group's replica on this node: what feature rooms see of a raft group (ReplicaHandle), and the replica set's side of
// it. Turns are given by the replica set; inputs (messages, ticks, proposals) step the core at once and ask for a turn.
// The work is done by the parts (replica-parts.ts).
import { AssertionFailure } from "../base/assert.ts";
import { TaskGroup } from "../base/task-group.ts";
import { type GroupLog, type HardStateRecord, type Pace, StorageError } from "../log/ports.ts";
import { type Frame, FrameError, verifyFrame } from "../model/entry-frame.ts";
import { BrokerError } from "../model/errors.ts";
import { type GroupId, type NodeId, nodeOfReplica, type ReplicaId } from "../model/ids.ts";
import { UNAPPLIED_BYTES_MAX } from "../model/limits.ts";
import type { LogIndex, Offset, Term } from "../model/positions.ts";
import type { Entry, Membership, Message } from "../raft/messages.ts";
import type { RaftStatus } from "../raft/raft.ts";
import { committedEnd } from "./apply-loop.ts";
import { guarded, readCommitted, readTail } from "./log-reader.ts";
import type {
  EntryDraft,
  ImageTransfer,
  Proposal,
  ReplicaHandle,
  ReplicaListener,
  Watermarks,
} from "./ports.ts";
import {
  type NodeStores,
  type PartsHost,
  type ReplicaOptions,
  ReplicaParts,
  type ReplicaStart,
} from "./replica-parts.ts";

/** Ticks between two looks at what may be dropped (about a second). */
const MAINTENANCE_TICKS = 20;

/** Node-wide things that a replica needs, and its ways back to the replica set. */
export interface ReplicaDeps extends NodeStores {
  /** Gives the replica a turn soon. */
  readonly wake: (replica: Replica) => void;
  readonly send: (groupId: GroupId, message: Message<Frame>) => void;
  /** The node's storage or our own code failed: the node must stop. */
  readonly onFatal: (error: Error) => void;
  readonly isNodeFailed: () => boolean;
  /** Free disk space is below the reserve: nothing new is accepted. */
  readonly isDiskFull: () => boolean;
}

export class Replica implements ReplicaHandle {
  readonly groupId: GroupId;
  readonly replicaId: ReplicaId;
  readonly #deps: ReplicaDeps;
  readonly #log: GroupLog;
  readonly #parts: ReplicaParts;
  readonly #tasks: TaskGroup;
  /** Offset after the newest committed frame whose commit was seen while it was in memory. */
  #committedOffset: Offset = 0;
  #reported: Watermarks;
  #flush: "sync" | "async";
  #failed: Error | undefined;
  #closing: Promise<void> | undefined;
  #ticks = 0;

  constructor(deps: ReplicaDeps, options: ReplicaOptions, start: ReplicaStart) {
    this.groupId = options.groupId;
    this.replicaId = options.replicaId;
    this.#deps = deps;
    this.#log = start.log;
    this.#flush = options.flush;
    this.#tasks = new TaskGroup((name, error) => this.#taskFailed(name, error));
    this.#parts = new ReplicaParts(deps, options, start, this.#host());
    this.#reported = this.watermarks;
    this.#parts.repairer.refresh();
  }

  get isLeaderReady(): boolean {
    return this.#parts.leadership.isReady;
  }

  get term(): Term {
    return this.#parts.core.term;
  }

  get leaderNode(): NodeId | 0 {
    const { leaderId } = this.#parts.core;
    return leaderId === 0 ? 0 : nodeOfReplica(leaderId);
  }

  get watermarks(): Watermarks {
    return {
      writtenIndex: this.#log.lastIndex,
      flushedIndex: this.#parts.flusher.flushedIndex,
      commitIndex: this.#parts.loop.commitIndex,
      durableCommitIndex: this.#parts.loop.durableCommitIndex,
      appliedIndex: this.#parts.apply.appliedIndex,
    };
  }

  /** Known from the frame at the commit index; while that frame is not in memory, what is applied is the bound. */
  get highWatermark(): Offset {
    return Math.max(this.#committedOffset, this.#parts.apply.position.nextOffset);
  }

  /** Offset after the last record in the log, committed or not. */
  get endOffset(): Offset {
    return this.#log.nextOffset;
  }

  get logStartOffset(): Offset {
    return this.#parts.apply.position.logStart.offset;
  }

  /** The newest applied configuration. */
  get membership(): Membership {
    return this.#parts.apply.position.membership;
  }

  get record(): HardStateRecord {
    return this.#parts.loop.record;
  }

  /** Entries in memory. */
  get tailBytes(): number {
    return this.#parts.core.tailBytes;
  }

  /** It stopped by itself; what it had not flushed may be lost with the page cache. */
  get hasFailed(): boolean {
    return this.#failed !== undefined;
  }

  status(): RaftStatus & { readonly logBytes: number; readonly failed: Error | undefined } {
    return { ...this.#parts.core.status(), logBytes: this.#log.bytes, failed: this.#failed };
  }

  /** Entries that can not be read from this disk; while there are any, this replica leaves leading to others. */
  get damagedEntries(): number {
    return this.#parts.repairer.damagedEntries;
  }

  listen(listener: ReplicaListener): () => void {
    return this.#parts.leadership.listen(listener);
  }

  propose(draft: EntryDraft): Proposal {
    this.#checkAccepting(draft);
    return this.#parts.proposals.propose(draft);
  }

  async proposeAndApply(draft: EntryDraft): Promise<unknown> {
    this.#checkAccepting(draft);
    return this.#parts.proposals.proposeAndApply(draft);
  }

  requestFlush(): void {
    if (!this.#isLive()) return;
    this.#parts.core.requestFlush();
    this.#parts.flusher.request();
    this.#parts.context.wake();
  }

  async readBarrier(): Promise<void> {
    this.#checkServing();
    await this.#parts.reads.begin();
  }

  async transferLeadership(to?: NodeId): Promise<void> {
    this.#checkServing();
    await this.#parts.leadership.transfer(to);
  }

  async changeMembership(target: Membership): Promise<void> {
    this.#checkServing();
    await this.#parts.leadership.changeMembership(target);
  }

  /** Becoming async waits until the journal says that unflushed acknowledgements may exist (architecture §7.11). */
  setFlush(flush: "sync" | "async"): void {
    if (flush === this.#flush || !this.#isLive()) return;
    this.#flush = flush;
    if (flush === "sync" || this.#parts.loop.record.lazy) {
      this.#useFlush(flush);
      return;
    }
    this.#parts.context.spawn("mark-lazy", async () => {
      await this.#parts.loop.saveRecord({ lazy: true });
      if (this.#isLive() && this.#flush === "async") this.#useFlush("async");
    });
  }

  async read(from: LogIndex, bytesMax: number): Promise<readonly Frame[]> {
    this.#checkServing();
    return readCommitted(this.#parts.context, from, this.#parts.loop.commitIndex, bytesMax);
  }

  readTail(from: LogIndex, bytesMax: number): readonly Frame[] | undefined {
    this.#checkServing();
    return readTail(this.#parts.context, from, this.#parts.loop.commitIndex, bytesMax);
  }

  async indexOfOffset(offset: Offset): Promise<LogIndex | undefined> {
    this.#checkServing();
    return guarded(this.#parts.context, () => this.#log.indexOfOffset(offset));
  }

  async offsetOfTime(timeMs: number): Promise<Offset | undefined> {
    this.#checkServing();
    return guarded(this.#parts.context, () => this.#log.offsetOfTime(timeMs));
  }

  termAt(index: LogIndex): Term | undefined {
    return this.#parts.core.termAt(index);
  }

  segments(): ReturnType<GroupLog["segments"]> {
    return this.#log.segments();
  }

  termRuns(): GroupLog["termRuns"] {
    return this.#log.termRuns;
  }

  // The rest is for the replica set.

  tick(nodeTicks: number): void {
    if (!this.#isLive()) return;
    this.#parts.core.tick();
    this.#ticks += 1;
    if (this.#ticks % MAINTENANCE_TICKS === 0) {
      this.#parts.snapshotter.maintain();
      this.#parts.repairer.tick();
    }
    // By the node's ticks, so that the notes of all replicas share one sync of the journal.
    const isNoteDue = nodeTicks % MAINTENANCE_TICKS === 0;
    if (isNoteDue && !this.#parts.installer.isInstalling) this.#parts.loop.noteDurable();
    if (this.#parts.core.hasReady()) this.#parts.context.wake();
  }

  step(message: Message<Frame>): void {
    if (!this.#isLive()) return;
    if (message.kind === "append-request" && !this.#mayAccept(message.entries)) return;
    this.#parts.core.step(message);
    this.#parts.context.wake();
  }

  receiveImage(transfer: ImageTransfer): void {
    if (this.#isLive()) this.#parts.installer.receive(transfer);
  }

  leaderNodeUnreachable(node: NodeId): void {
    const { leaderId } = this.#parts.core;
    if (!this.#isLive() || leaderId === 0 || nodeOfReplica(leaderId) !== node) return;
    this.#parts.core.leaderUnreachable(leaderId);
    this.#parts.context.wake();
  }

  /**
   * Entries for another replica of the group whose own ones are damaged. Committed or not: whoever asks knows the term of
   * each, and the commit index is low after a start.
   * @throws BrokerError OFFSET_OUT_OF_RANGE (not here, or gone) | LOG_CORRUPT | LEADER_UNKNOWN | STORAGE_FAILED
   */
  async readForRepair(
    first: LogIndex,
    last: LogIndex,
    bytesMax: number,
    from: ReplicaId,
  ): Promise<readonly Frame[]> {
    this.#checkServing();
    const { context } = this.#parts;
    const until = Math.min(last, this.#log.lastIndex);
    if (first < this.#log.firstIndex) this.#offerState(from);
    if (first <= until && first >= this.#log.firstIndex) {
      const frames = await guarded(context, () => this.#log.read(first, until, bytesMax));
      if (frames.length > 0) return frames;
    }
    const fields = { groupId: this.groupId, index: first };
    throw new BrokerError("OFFSET_OUT_OF_RANGE", "these entries are not here", fields);
  }

  /** What it asks for is gone: if it has not applied it either, only a leader's state lets it go on (image-installer.ts). */
  #offerState(to: ReplicaId): void {
    const { core, snapshotter } = this.#parts;
    const isFollower = core.status().progress.some(({ replicaId }) => replicaId === to);
    if (isFollower) snapshotter.send(to);
  }

  /** For the scrubber: verifies the segment that holds an entry; returns early when the replica ends. */
  async scrub(index: LogIndex, pace: Pace): Promise<void> {
    if (!this.#isLive() || this.#parts.context.isLogReplaced()) return;
    try {
      await this.#parts.repairer.scrub(index, async (bytes) => {
        await pace(bytes);
        if (!this.#isLive()) throw new BrokerError("SHUTTING_DOWN", "the replica closes");
      });
    } catch (error) {
      // What reads may end with while a log is emptied or closed says nothing about its bytes.
      if (!this.#isLive() || this.#parts.context.isLogReplaced()) return;
      if (!(error instanceof StorageError)) throw error;
      // Whoever needs the entries meets the same error; verifying them is no reason to stop a node.
      this.#deps.logger.warn({ groupId: this.groupId, index, error }, "a segment was not verified");
    }
  }

  /** One round of work; see ReadyLoop. */
  turn(): void {
    if (!this.#isLive()) return;
    this.#parts.loop.run();
    const watermarks = this.watermarks;
    if (isEqual(watermarks, this.#reported)) return;
    this.#reported = watermarks;
    this.#parts.leadership.advanced();
  }

  /** Damage: this replica stops for good, the node's others go on. */
  stop(error: Error): void {
    if (this.#failed !== undefined) return;
    this.#failed = error;
    this.#deps.scheduler.forget(this.#parts.flusher);
    this.#parts.release();
  }

  /** Sorts failures: damaged data is this group's, everything else (disk, our own code) the node's. */
  fail(error: unknown): void {
    const failure = error instanceof Error ? error : new Error("unknown failure", { cause: error });
    const isDamage = failure instanceof StorageError && failure.kind === "corrupt";
    // A required section of a newer version: skipping it would let replicas diverge (architecture §7.12).
    // A group that may lose what it acknowledged (power loss, async flush) can meet a log that contradicts its own. That
    // stops this replica; the node's other groups go on.
    const isLoss = failure instanceof AssertionFailure && this.record.lazy;
    if (isDamage || isLoss || failure instanceof FrameError) {
      this.#deps.metrics.count("groups_failed");
      if (isDamage) this.#deps.metrics.count("storage_errors_corrupt");
      this.#deps.logger.error({ groupId: this.groupId, error: failure }, "replica is damaged");
      this.stop(failure);
      return;
    }
    this.#deps.onFatal(failure);
  }

  /** Graceful: flushes the log, writes the checkpoint. Idempotent. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    // The first await comes after this.#closing is set only if we yield once.
    await Promise.resolve();
    this.#parts.release();
    this.#deps.scheduler.forget(this.#parts.flusher);
    await this.#tasks.close();
    if (this.#failed === undefined && !this.#deps.isNodeFailed()) {
      await this.#parts.flusher.finish();
      await this.#parts.checkpoint.finish();
    }
    this.#log.close();
  }

  #isLive(): boolean {
    const isStopped = this.#closing !== undefined || this.#failed !== undefined;
    return !isStopped && !this.#deps.isNodeFailed();
  }

  #checkServing(): void {
    if (this.#failed !== undefined || this.#deps.isNodeFailed()) {
      throw new BrokerError("STORAGE_FAILED", "this replica's storage failed");
    }
    if (this.#closing !== undefined) throw new BrokerError("SHUTTING_DOWN", "the replica closes");
  }

  /** Entries without records stay welcome on a full disk: they are what frees it (architecture §7.5). */
  #checkAccepting(draft: EntryDraft): void {
    this.#checkServing();
    if (draft.recordCount > 0 && this.#deps.isDiskFull()) {
      throw new BrokerError("DISK_FULL", "free disk space is below the reserve");
    }
  }

  /** Entries are checked once before they are acknowledged (raft.md §1.9); what is dropped here, the leader sends again. */
  #mayAccept(entries: readonly Entry<Frame>[]): boolean {
    if (entries.length === 0) return true;
    if (this.#isApplyBehind()) {
      this.#deps.metrics.count("appends_paused");
      return false;
    }
    const damaged = entries.find((entry) => verifyFrame(entry.handle) !== undefined);
    if (damaged === undefined) return true;
    this.#deps.metrics.count("entries_damaged");
    const fields = { groupId: this.groupId, index: damaged.index };
    this.#deps.logger.warn(fields, "an entry arrived damaged");
    return false;
  }

  /** Counts only while there is something to apply: what is merely uncommitted is bounded on the leader. */
  #isApplyBehind(): boolean {
    const isPending = this.#parts.loop.commitIndex > this.#parts.apply.appliedIndex;
    return isPending && this.#parts.apply.unappliedBytes >= UNAPPLIED_BYTES_MAX;
  }

  #useFlush(flush: "sync" | "async"): void {
    this.#parts.core.setCommitRule(flush === "sync" ? "durable" : "appended");
    this.#parts.flusher.isSyncClass = flush === "sync";
    this.#parts.context.wake();
  }

  #committed(commitIndex: LogIndex): void {
    const end = committedEnd(this.#parts.context, commitIndex);
    if (end !== undefined) this.#committedOffset = Math.max(this.#committedOffset, end);
  }

  #taskFailed(name: string, error: unknown): void {
    this.#deps.logger.error({ groupId: this.groupId, task: name, error }, "replica task failed");
    this.fail(error);
  }

  #host(): PartsHost {
    return {
      isLive: () => this.#isLive(),
      wake: () => this.#deps.wake(this),
      fail: (error) => this.fail(error),
      spawn: (name, run) => this.#tasks.spawn(name, run),
      send: (message) => this.#deps.send(this.groupId, message),
      onCommit: (commitIndex) => this.#committed(commitIndex),
      requestFlush: () => this.requestFlush(),
    };
  }
}

function isEqual(left: Watermarks, right: Watermarks): boolean {
  return (
    left.writtenIndex === right.writtenIndex &&
    left.flushedIndex === right.flushedIndex &&
    left.commitIndex === right.commitIndex &&
    left.durableCommitIndex === right.durableCommitIndex &&
    left.appliedIndex === right.appliedIndex
  );
}
