// One group's replica on this node: puts core, log, state machine and their helpers together and is what feature rooms
// see of them (ReplicaHandle). Turns are given by the replica set; inputs (messages, ticks, proposals) step the core at
// once and ask for a turn.
import type { Clock } from "../base/clock.ts";
import { TaskGroup } from "../base/task-group.ts";
import {
  type GroupLog,
  type HardStateRecord,
  type ImageStore,
  type KeyedStore,
  StorageError,
} from "../log/ports.ts";
import { type Frame, FrameError, verifyFrame } from "../model/entry-frame.ts";
import { BrokerError } from "../model/errors.ts";
import { type GroupId, type NodeId, nodeOfReplica, type ReplicaId } from "../model/ids.ts";
import { UNAPPLIED_BYTES_MAX } from "../model/limits.ts";
import type { LogIndex, Offset, Term } from "../model/positions.ts";
import type { InitialState, RaftOptions } from "../raft/config.ts";
import type { Entry, Membership, Message } from "../raft/messages.ts";
import { createRaftCore, type RaftCore, type RaftStatus } from "../raft/raft.ts";
import { ApplyLoop, committedEnd } from "./apply-loop.ts";
import { Checkpoint } from "./checkpoint.ts";
import type { FlushScheduler } from "./flush-scheduler.ts";
import { encodeControlFrame } from "./frames.ts";
import type { GroupContext } from "./group-context.ts";
import { type AppliedRecord, groupPrefix } from "./group-records.ts";
import { ImageInstaller } from "./image-installer.ts";
import type { JournalFlusher } from "./journal-flusher.ts";
import { Leadership } from "./leadership.ts";
import { LinearizableReads } from "./linearizable-read.ts";
import { LogFlusher } from "./log-flusher.ts";
import { guarded, readCommitted, readTail } from "./log-reader.ts";
import type {
  EntryDraft,
  ImageTransfer,
  Logger,
  PeerTransport,
  Proposal,
  ReplicaHandle,
  ReplicaListener,
  StateMachine,
  Watermarks,
} from "./ports.ts";
import { leadershipLost, Proposals } from "./proposals.ts";
import { ReadyLoop } from "./ready-loop.ts";
import type { ReplicaMetrics } from "./replica-metrics.ts";
import { Snapshotter } from "./snapshotter.ts";
import type { RecoveredState } from "./state-recovery.ts";

/** Ticks between two looks at what may be dropped (about a second). */
const MAINTENANCE_TICKS = 20;

/** Node-wide things that a replica needs. */
export interface ReplicaDeps {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: ReplicaMetrics;
  readonly keyed: KeyedStore;
  readonly images: ImageStore;
  readonly journal: JournalFlusher;
  readonly scheduler: FlushScheduler;
  readonly transport: PeerTransport;
  /** Gives the replica a turn soon. */
  readonly wake: (replica: Replica) => void;
  readonly send: (groupId: GroupId, message: Message<Frame>) => void;
  /** The node's storage or our own code failed: the node must stop. */
  readonly onFatal: (error: Error) => void;
  readonly isNodeFailed: () => boolean;
  /** Free disk space is below the reserve: nothing new is accepted. */
  readonly isDiskFull: () => boolean;
}

export type RaftTuning = Omit<
  RaftOptions<Frame>,
  "replicaId" | "incarnation" | "commitRule" | "encodeControl" | "recovering"
>;

export interface ReplicaOptions {
  readonly groupId: GroupId;
  readonly replicaId: ReplicaId;
  readonly incarnation: number;
  readonly flush: "sync" | "async";
  readonly raft: RaftTuning;
}

/** What recovery found, ready to go on from. The log is synced. */
export interface ReplicaStart {
  readonly log: GroupLog;
  readonly record: HardStateRecord;
  readonly state: RecoveredState;
  readonly stateMachine: StateMachine;
}

export class Replica implements ReplicaHandle {
  readonly groupId: GroupId;
  readonly replicaId: ReplicaId;
  readonly #deps: ReplicaDeps;
  readonly #core: RaftCore<Frame>;
  readonly #log: GroupLog;
  readonly #context: GroupContext;
  readonly #flusher: LogFlusher;
  readonly #checkpoint: Checkpoint;
  readonly #apply: ApplyLoop;
  readonly #proposals: Proposals;
  readonly #reads: LinearizableReads;
  readonly #leadership: Leadership;
  readonly #snapshotter: Snapshotter;
  readonly #installer: ImageInstaller;
  readonly #loop: ReadyLoop;
  readonly #tasks: TaskGroup;
  #committedOffset: Offset = 0;
  #reported: Watermarks;
  #flush: "sync" | "async";
  #failed: Error | undefined;
  #closing: Promise<void> | undefined;
  #ticks = 0;

  constructor(deps: ReplicaDeps, options: ReplicaOptions, start: ReplicaStart) {
    const { groupId, replicaId } = options;
    const { log, state, record } = start;
    this.groupId = groupId;
    this.replicaId = replicaId;
    this.#deps = deps;
    this.#log = log;
    this.#flush = options.flush;
    this.#tasks = new TaskGroup((name, error) => this.#taskFailed(name, error));
    this.#core = createRaftCore(this.#raftOptions(options, record), initialState(start));
    this.#context = this.#makeContext(start);
    const context = this.#context;
    this.#flusher = new LogFlusher(context, deps.scheduler, options.flush === "sync");
    this.#apply = new ApplyLoop(context, state.applied, {
      onEntryApplied: (frame, reply) => this.#proposals.onEntryApplied(frame, reply),
      onMembershipApplied: (membership) => this.#leadership.membershipApplied(membership),
    });
    const prefix = groupPrefix(groupId, replicaId);
    this.#checkpoint = new Checkpoint(context, prefix, () => this.#apply.position);
    this.#apply.attach(this.#checkpoint);
    this.#proposals = new Proposals(context, {
      isReady: () => this.#leadership.isReady,
      unappliedBytes: () => this.#apply.unappliedBytes,
      appendTimeFloorMs: () => this.#apply.position.appendTimeMs,
    });
    this.#reads = new LinearizableReads(context);
    this.#leadership = new Leadership(context, this.#proposals, this.#reads);
    this.#snapshotter = new Snapshotter(context, this.#apply, this.#durable(), state.imageIndex);
    this.#installer = new ImageInstaller(context, {
      prefix,
      apply: this.#apply,
      checkpoint: this.#checkpoint,
      flusher: this.#flusher,
      onInstalled: (applied) => this.#installed(applied),
    });
    this.#loop = new ReadyLoop(context, this.#readyParts(), record);
    this.#reported = this.watermarks;
  }

  get isLeaderReady(): boolean {
    return this.#leadership.isReady;
  }

  get term(): Term {
    return this.#core.term;
  }

  get leaderNode(): NodeId | 0 {
    const { leaderId } = this.#core;
    return leaderId === 0 ? 0 : nodeOfReplica(leaderId);
  }

  get watermarks(): Watermarks {
    return {
      writtenIndex: this.#log.lastIndex,
      flushedIndex: this.#flusher.flushedIndex,
      commitIndex: this.#loop.commitIndex,
      durableCommitIndex: this.#loop.durableCommitIndex,
      appliedIndex: this.#apply.appliedIndex,
    };
  }

  /** Known from the frame at the commit index; while that frame is not in memory, what is applied is the bound. */
  get highWatermark(): Offset {
    return Math.max(this.#committedOffset, this.#apply.position.nextOffset);
  }

  get logStartOffset(): Offset {
    return this.#apply.position.logStart.offset;
  }

  /** The newest applied configuration. */
  get membership(): Membership {
    return this.#apply.position.membership;
  }

  get record(): HardStateRecord {
    return this.#loop.record;
  }

  status(): RaftStatus & { readonly logBytes: number; readonly failed: Error | undefined } {
    return { ...this.#core.status(), logBytes: this.#log.bytes, failed: this.#failed };
  }

  listen(listener: ReplicaListener): () => void {
    return this.#leadership.listen(listener);
  }

  propose(draft: EntryDraft): Proposal {
    this.#checkAccepting(draft);
    return this.#proposals.propose(draft);
  }

  async proposeAndApply(draft: EntryDraft): Promise<unknown> {
    this.#checkAccepting(draft);
    return await this.#proposals.proposeAndApply(draft);
  }

  requestFlush(): void {
    if (!this.#isLive()) return;
    this.#core.requestFlush();
    this.#flusher.request();
    this.#context.wake();
  }

  async readBarrier(): Promise<void> {
    this.#checkServing();
    await this.#reads.begin();
  }

  async transferLeadership(to?: NodeId): Promise<void> {
    this.#checkServing();
    await this.#leadership.transfer(to);
  }

  async changeMembership(target: Membership): Promise<void> {
    this.#checkServing();
    await this.#leadership.changeMembership(target);
  }

  /** Becoming async waits until the journal says that unflushed acknowledgements may exist (architecture §7.11). */
  setFlush(flush: "sync" | "async"): void {
    if (flush === this.#flush || !this.#isLive()) return;
    this.#flush = flush;
    if (flush === "sync" || this.#loop.record.lazy) {
      this.#useFlush(flush);
      return;
    }
    this.#context.spawn("mark-lazy", async () => {
      await this.#loop.saveRecord({ lazy: true });
      if (this.#isLive() && this.#flush === "async") this.#useFlush("async");
    });
  }

  async read(from: LogIndex, bytesMax: number): Promise<readonly Frame[]> {
    this.#checkServing();
    return await readCommitted(this.#context, from, this.#loop.commitIndex, bytesMax);
  }

  readTail(from: LogIndex, bytesMax: number): readonly Frame[] | undefined {
    this.#checkServing();
    return readTail(this.#context, from, this.#loop.commitIndex, bytesMax);
  }

  async indexOfOffset(offset: Offset): Promise<LogIndex | undefined> {
    this.#checkServing();
    return await guarded(this.#context, () => this.#log.indexOfOffset(offset));
  }

  async offsetOfTime(timeMs: number): Promise<Offset | undefined> {
    this.#checkServing();
    return await guarded(this.#context, () => this.#log.offsetOfTime(timeMs));
  }

  termAt(index: LogIndex): Term | undefined {
    return this.#core.termAt(index);
  }

  segments(): ReturnType<GroupLog["segments"]> {
    return this.#log.segments();
  }

  termRuns(): GroupLog["termRuns"] {
    return this.#log.termRuns;
  }

  // The rest is for the replica set.

  tick(): void {
    if (!this.#isLive()) return;
    this.#core.tick();
    this.#ticks += 1;
    if (this.#ticks % MAINTENANCE_TICKS === 0) this.#snapshotter.maintain();
    if (this.#core.hasReady()) this.#context.wake();
  }

  step(message: Message<Frame>): void {
    if (!this.#isLive()) return;
    if (message.kind === "append-request" && !this.#mayAccept(message.entries)) return;
    this.#core.step(message);
    this.#context.wake();
  }

  receiveImage(transfer: ImageTransfer): void {
    if (this.#isLive()) this.#installer.receive(transfer);
  }

  leaderNodeUnreachable(node: NodeId): void {
    const { leaderId } = this.#core;
    if (!this.#isLive() || leaderId === 0 || nodeOfReplica(leaderId) !== node) return;
    this.#core.leaderUnreachable(leaderId);
    this.#context.wake();
  }

  /** One round of work; see ReadyLoop. */
  turn(): void {
    if (!this.#isLive()) return;
    this.#loop.run();
    const watermarks = this.watermarks;
    if (isEqual(watermarks, this.#reported)) return;
    this.#reported = watermarks;
    this.#leadership.advanced();
  }

  /** Damage: this replica stops for good, the node's others go on. */
  stop(error: Error): void {
    if (this.#failed !== undefined) return;
    this.#failed = error;
    this.#deps.scheduler.forget(this.#flusher);
    this.#snapshotter.leadershipLost();
    this.#leadership.close(leadershipLost);
  }

  /** Graceful: flushes the log, writes the checkpoint. Idempotent. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    // The first await comes after this.#closing is set only if we yield once.
    await Promise.resolve();
    this.#snapshotter.leadershipLost();
    this.#leadership.close(leadershipLost);
    this.#deps.scheduler.forget(this.#flusher);
    await this.#tasks.close();
    if (this.#failed === undefined && !this.#deps.isNodeFailed()) {
      await this.#flusher.finish();
      await this.#checkpoint.finish();
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
    const isPending = this.#loop.commitIndex > this.#apply.appliedIndex;
    return isPending && this.#apply.unappliedBytes >= UNAPPLIED_BYTES_MAX;
  }

  #useFlush(flush: "sync" | "async"): void {
    this.#core.setCommitRule(flush === "sync" ? "durable" : "appended");
    this.#flusher.isSyncClass = flush === "sync";
    this.#context.wake();
  }

  #committed(commitIndex: LogIndex): void {
    const end = committedEnd(this.#context, commitIndex);
    if (end !== undefined) this.#committedOffset = Math.max(this.#committedOffset, end);
  }

  #installed(applied: AppliedRecord): void {
    this.#loop.installed(applied.index);
    this.#snapshotter.installed(applied.index);
    // What waited for entries below the image can not be told any more.
    this.#proposals.failAll(leadershipLost);
  }

  #taskFailed(name: string, error: unknown): void {
    this.#deps.logger.error({ groupId: this.groupId, task: name, error }, "replica task failed");
    this.fail(error);
  }

  /** Sorts failures: damaged data is this group's, everything else (disk, our own code) the node's. */
  fail(error: unknown): void {
    const failure = error instanceof Error ? error : new Error("unknown failure", { cause: error });
    const isDamage = failure instanceof StorageError && failure.kind === "corrupt";
    // A required section of a newer version: skipping it would let replicas diverge (architecture §7.12).
    if (isDamage || failure instanceof FrameError) {
      this.#deps.metrics.count("groups_failed");
      this.#deps.logger.error({ groupId: this.groupId, error: failure }, "replica is damaged");
      this.stop(failure);
      return;
    }
    this.#deps.onFatal(failure);
  }

  #durable(): { durableIndex: () => LogIndex; requestFlush: () => void } {
    return {
      durableIndex: () => Math.min(this.#loop.durableCommitIndex, this.#flusher.flushedIndex),
      requestFlush: () => this.requestFlush(),
    };
  }

  #readyParts(): ConstructorParameters<typeof ReadyLoop>[1] {
    return {
      flusher: this.#flusher,
      journal: this.#deps.journal,
      apply: this.#apply,
      proposals: this.#proposals,
      reads: this.#reads,
      snapshotter: this.#snapshotter,
      installer: this.#installer,
      onEvent: (event) => {
        this.#leadership.handle(event);
        if (event.kind === "became-follower") this.#snapshotter.leadershipLost();
      },
      onCommit: (commitIndex) => this.#committed(commitIndex),
    };
  }

  #raftOptions(options: ReplicaOptions, record: HardStateRecord): RaftOptions<Frame> {
    return {
      ...options.raft,
      replicaId: options.replicaId,
      incarnation: options.incarnation,
      commitRule: options.flush === "sync" ? "durable" : "appended",
      recovering: record.recovering,
      encodeControl: ({ kind, change }, index, term, previous) => {
        const position = this.#proposals.nextPosition(previous?.handle);
        const handle = encodeControlFrame(kind, change, { ...position, index, term });
        return { handle, bytes: handle.bytes.length };
      },
    };
  }

  #makeContext(start: ReplicaStart): GroupContext {
    const { clock, images, keyed, logger, metrics, transport } = this.#deps;
    return {
      groupId: this.groupId,
      replicaId: this.replicaId,
      core: this.#core,
      log: this.#log,
      keyed,
      images,
      stateMachine: start.stateMachine,
      transport,
      clock,
      logger,
      metrics,
      isLive: () => this.#isLive(),
      wake: () => this.#deps.wake(this),
      send: (message) => {
        this.#deps.send(this.groupId, message);
        this.#deps.wake(this);
      },
      fail: (error) => this.fail(error),
      spawn: (name, run) => this.#tasks.spawn(name, run),
    };
  }
}

function initialState({ log, record, state }: ReplicaStart): InitialState {
  return {
    term: record.term,
    vote: record.vote,
    membership: state.applied.membership,
    appliedIndex: state.applied.index,
    appliedTerm: state.applied.term,
    firstIndex: log.firstIndex,
    firstPrevTerm: log.firstPrevTerm,
    termRuns: log.termRuns,
    lastIndex: log.lastIndex,
    unappliedChanges: log.membershipIndexes(state.applied.index + 1),
  };
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
