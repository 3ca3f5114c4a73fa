// Wires the parts of one replica to each other: who is told what by whom. No behaviour of its own. Built by Replica.
import type { Clock } from "../base/clock.ts";
import type { GroupLog, HardStateRecord, ImageStore, KeyedStore } from "../log/ports.ts";
import type { Frame } from "../model/entry-frame.ts";
import { type GroupId, METADATA_GROUP, type ReplicaId } from "../model/ids.ts";
import type { LogIndex } from "../model/positions.ts";
import type { InitialState, RaftOptions } from "../raft/config.ts";
import type { Message } from "../raft/messages.ts";
import { createRaftCore, type RaftCore } from "../raft/raft.ts";
import { ApplyLoop } from "./apply-loop.ts";
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
import type { FetchEntries, Logger, PeerTransport, StateMachine } from "./ports.ts";
import { leadershipLost, Proposals } from "./proposals.ts";
import type { ReadLimit } from "./read-limit.ts";
import { ReadyLoop } from "./ready-loop.ts";
import { clearMark, reportMark } from "./recovering-mark.ts";
import type { RepairLimit } from "./repair-limit.ts";
import { Repairer } from "./repairer.ts";
import type { ReplicaMetrics } from "./replica-metrics.ts";
import { Snapshotter } from "./snapshotter.ts";
import type { RecoveredState } from "./state-recovery.ts";

/** Node-wide things that a replica needs. */
export interface NodeStores {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: ReplicaMetrics;
  readonly keyed: KeyedStore;
  readonly images: ImageStore;
  readonly journal: JournalFlusher;
  readonly scheduler: FlushScheduler;
  readonly transport: PeerTransport;
  readonly fetchEntries: FetchEntries | undefined;
  readonly repairs: RepairLimit;
  readonly readLimit: ReadLimit;
}

export type RaftTuning = Omit<
  RaftOptions<Frame>,
  | "replicaId"
  | "incarnation"
  | "commitRule"
  | "commitNews"
  | "changes"
  | "encodeControl"
  | "recovering"
>;

export interface ReplicaOptions {
  readonly groupId: GroupId;
  readonly replicaId: ReplicaId;
  readonly incarnation: number;
  readonly flush: "sync" | "async";
  readonly commitNews: RaftOptions<Frame>["commitNews"];
  readonly raft: RaftTuning;
}

/** What recovery found, ready to go on from. The log is synced. */
export interface ReplicaStart {
  readonly log: GroupLog;
  readonly record: HardStateRecord;
  readonly state: RecoveredState;
  readonly stateMachine: StateMachine;
}

/** What the parts ask of the replica around them. */
export interface PartsHost extends Pick<GroupContext, "isLive" | "wake" | "fail" | "spawn"> {
  send(message: Message<Frame>): void;
  onCommit(commitIndex: LogIndex): void;
  requestFlush(): void;
}

export class ReplicaParts {
  readonly core: RaftCore<Frame>;
  readonly context: GroupContext;
  readonly flusher: LogFlusher;
  readonly checkpoint: Checkpoint;
  readonly apply: ApplyLoop;
  readonly proposals: Proposals;
  readonly reads: LinearizableReads;
  readonly leadership: Leadership;
  readonly snapshotter: Snapshotter;
  readonly installer: ImageInstaller;
  readonly loop: ReadyLoop;
  readonly repairer: Repairer;

  constructor(stores: NodeStores, options: ReplicaOptions, start: ReplicaStart, host: PartsHost) {
    const { state, record } = start;
    this.core = createRaftCore(this.#raftOptions(options, record), initialState(start));
    const context = this.#makeContext(stores, options, start, host);
    this.context = context;
    this.flusher = new LogFlusher(context, stores.scheduler, options.flush === "sync");
    this.apply = new ApplyLoop(context, state.applied, {
      onEntryApplied: (frame, reply) => this.proposals.onEntryApplied(frame, reply),
      onMembershipApplied: (membership) => {
        this.leadership.membershipApplied(membership);
        this.loop.membershipApplied(this.apply.appliedIndex);
      },
    });
    const prefix = groupPrefix(options.groupId, options.replicaId);
    this.checkpoint = new Checkpoint(context, prefix, () => this.apply.position);
    this.apply.attach(this.checkpoint);
    this.proposals = new Proposals(context, {
      isReady: () => this.leadership.isReady,
      unappliedBytes: () => this.apply.unappliedBytes,
      appendTimeFloorMs: () => this.apply.position.appendTimeMs,
    });
    this.reads = new LinearizableReads(context);
    this.leadership = new Leadership(context, this.proposals, this.reads);
    const durable = {
      durableIndex: () => Math.min(this.loop.durableCommitIndex, this.flusher.flushedIndex),
      requestFlush: () => host.requestFlush(),
    };
    this.snapshotter = new Snapshotter(context, this.apply, durable, state.imageIndex);
    this.installer = new ImageInstaller(context, {
      prefix,
      apply: this.apply,
      checkpoint: this.checkpoint,
      flusher: this.flusher,
      snapshotter: this.snapshotter,
      forgetDurable: () => this.loop.saveRecord({ durableCommitIndex: 0 }),
      onInstalled: (applied) => this.#installed(applied),
    });
    this.loop = new ReadyLoop(context, this.#readyParts(stores, host), record);
    if (record.recovering) reportMark(context);
    this.repairer = new Repairer(context, {
      fetch: stores.fetchEntries,
      limit: stores.repairs,
      logStart: () => this.apply.position.logStart.index,
      transfer: (to) => this.leadership.transfer(to),
    });
  }

  /** Nobody waits any longer: the replica closes or failed. */
  release(): void {
    this.snapshotter.leadershipLost();
    this.leadership.close(leadershipLost);
  }

  #installed(applied: AppliedRecord): void {
    this.loop.installed(applied.index);
    this.snapshotter.installed(applied.index);
    // What waited for entries below the image can not be told any more.
    this.proposals.failAll(leadershipLost);
  }

  #readyParts(stores: NodeStores, host: PartsHost): ConstructorParameters<typeof ReadyLoop>[1] {
    return {
      flusher: this.flusher,
      journal: stores.journal,
      apply: this.apply,
      proposals: this.proposals,
      reads: this.reads,
      snapshotter: this.snapshotter,
      installer: this.installer,
      onEvent: (event) => {
        this.leadership.handle(event);
        if (event.kind === "became-follower") this.snapshotter.leadershipLost();
        if (event.kind === "caught-up") clearMark(this.context, this.loop);
      },
      onCommit: (commitIndex) => host.onCommit(commitIndex),
    };
  }

  #raftOptions(options: ReplicaOptions, record: HardStateRecord): RaftOptions<Frame> {
    return {
      ...options.raft,
      replicaId: options.replicaId,
      incarnation: options.incarnation,
      commitRule: options.flush === "sync" ? "durable" : "appended",
      commitNews: options.commitNews,
      // Any other group may become an async one.
      changes: options.groupId === METADATA_GROUP ? "shortest" : "joint",
      recovering: record.recovering,
      encodeControl: ({ kind, change }, index, term, previous) => {
        const position = this.proposals.nextPosition(previous?.handle);
        const handle = encodeControlFrame(kind, change, { ...position, index, term });
        return { handle, bytes: handle.bytes.length };
      },
    };
  }

  #makeContext(
    stores: NodeStores,
    options: ReplicaOptions,
    start: ReplicaStart,
    host: PartsHost,
  ): GroupContext {
    const { clock, images, keyed, logger, metrics, readLimit, transport } = stores;
    const { groupId, replicaId } = options;
    const { log, stateMachine } = start;
    const shared = { clock, images, keyed, logger, metrics, readLimit, transport };
    return {
      ...shared,
      log,
      stateMachine,
      groupId,
      replicaId,
      core: this.core,
      isLive: () => host.isLive(),
      isLogReplaced: () => this.installer.isInstalling,
      wake: () => host.wake(),
      send: (message) => host.send(message),
      fail: (error) => host.fail(error),
      spawn: (name, run) => host.spawn(name, run),
      damaged: (error) => this.repairer.suspect(error),
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
    committedIndex: record.durableCommitIndex,
    isLazy: record.lazy,
    unappliedChanges: log.membershipIndexes(state.applied.index + 1),
  };
}
