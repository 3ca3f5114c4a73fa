// All replicas of a node: one ticker, one turn for everybody who has work, one flush scheduler, one outbox, one door for
// peers. Turns coalesce: many proposals and messages that arrive in one turn of the event loop share one ready round,
// one write per log, one transport message per peer and one flush round.
import type { Clock } from "../base/clock.ts";
import type { Random } from "../base/random.ts";
import {
  type Disk,
  type HardStateJournal,
  type ImageStore,
  type KeyedStore,
  StorageError,
} from "../log/ports.ts";
import type { Frame } from "../model/entry-frame.ts";
import { BrokerError } from "../model/errors.ts";
import { type GroupId, type NodeId, nodeOfReplica, type ReplicaId } from "../model/ids.ts";
import {
  APPEND_BYTES_MAX,
  APPEND_INFLIGHT_BYTES_MAX,
  APPEND_INFLIGHT_MAX,
  TAIL_BYTES_KEPT,
  TAIL_BYTES_MAX,
  UNCOMMITTED_BYTES_MAX,
} from "../model/limits.ts";
import { FlushScheduler } from "./flush-scheduler.ts";
import { GroupOpener, type GroupOptions, type OpenLog } from "./group-opener.ts";
import { JournalFlusher } from "./journal-flusher.ts";
import { Outbox } from "./outbox.ts";
import type {
  EntriesWanted,
  FetchEntries,
  GroupMessage,
  ImageTransfer,
  Logger,
  PeerReceiver,
  PeerTransport,
} from "./ports.ts";
import { ReadLimit } from "./read-limit.ts";
import { RepairLimit } from "./repair-limit.ts";
import { Replica, type ReplicaDeps } from "./replica.ts";
import type { ReplicaMetrics } from "./replica-metrics.ts";
import type { RaftTuning } from "./replica-parts.ts";
import { Scrubber } from "./scrubber.ts";
import { isKeyedFailed, isStorageFailed } from "./storage-failure.ts";
import type { Succession } from "./succession.ts";
import { Ticker } from "./ticker.ts";
import { UnsyncedGroups } from "./unsynced-groups.ts";

/** raft.md §1.7, with the election timeout of 1.0–1.5 s that fail-over within 3 s needs. */
export const REPLICA_TIMING = { tickMs: 50, heartbeatTicks: 3, electionTicks: 20 } as const;

export interface ReplicaSetDeps {
  readonly nodeId: NodeId;
  readonly clock: Clock;
  readonly random: Random;
  readonly disk: Disk;
  readonly keyed: KeyedStore;
  readonly journal: HardStateJournal;
  readonly images: ImageStore;
  readonly transport: PeerTransport;
  readonly logger: Logger;
  readonly metrics: ReplicaMetrics;
  readonly openLog: OpenLog;
  /** How damaged entries are repaired; undefined: they are not. */
  readonly fetchEntries?: FetchEntries;
  /** Called once: the storage or our own code failed and the node acts no more. The broker exits. */
  readonly onFatal: (error: Error) => void;
}

export interface ReplicaSetOptions {
  readonly tickMs?: number;
  readonly heartbeatTicks?: number;
  readonly electionTicks?: number;
  /** Below this many free bytes proposals are refused with DISK_FULL. Default 0: not checked. */
  readonly diskReserveBytes?: number;
  readonly tailBytesMax?: number;
  /** How fast segments are verified in the background. Default 0: not at all. */
  readonly scrubBytesPerSecond?: number;
  /** From one such walk to the next. Default: a day. */
  readonly scrubIntervalMs?: number;
}

const DAY_MS = 24 * 60 * 60 * 1000;

/** Ticks between two looks at the free disk space. */
const DISK_CHECK_TICKS = 20;

export class ReplicaSet implements PeerReceiver {
  readonly #deps: ReplicaSetDeps;
  readonly #tuning: RaftTuning;
  readonly #diskReserveBytes: number;
  readonly #replicas = new Map<GroupId, Replica>();
  /** Groups that are being opened, closed or removed: one such step at a time per group. */
  readonly #changing = new Map<GroupId, Promise<unknown>>();
  readonly #scheduler: FlushScheduler;
  readonly #journalFlusher: JournalFlusher;
  readonly #opener: GroupOpener;
  readonly #outbox: Outbox;
  readonly #ticker: Ticker;
  readonly #unsynced: UnsyncedGroups;
  readonly #scrubber: Scrubber;
  readonly #repairs: RepairLimit;
  readonly #readLimit: ReadLimit = new ReadLimit();
  #dirty = new Set<Replica>();
  #isTurnDue = false;
  #isDiskFull = false;
  #ticks = 0;
  #failed: Error | undefined;
  #isClosed = false;

  constructor(deps: ReplicaSetDeps, options: ReplicaSetOptions = {}) {
    const { clock, metrics } = deps;
    this.#deps = deps;
    this.#diskReserveBytes = options.diskReserveBytes ?? 0;
    this.#tuning = raftTuning(options, deps.random);
    this.#scheduler = new FlushScheduler(clock, metrics, (error) => this.#fail(error));
    this.#journalFlusher = new JournalFlusher(deps.journal, this.#scheduler, clock, metrics);
    this.#opener = new GroupOpener({ ...deps, journalFlusher: this.#journalFlusher });
    this.#unsynced = new UnsyncedGroups(deps.journal);
    this.#outbox = new Outbox(deps.transport);
    this.#ticker = new Ticker(
      clock,
      options.tickMs ?? REPLICA_TIMING.tickMs,
      () => this.#tick(),
      (lateMs) => this.#stalled(lateMs),
    );
    this.#repairs = new RepairLimit(() => deps.disk.freeBytes(), this.#diskReserveBytes);
    this.#scrubber = new Scrubber(
      {
        clock,
        random: deps.random,
        metrics,
        replicas: () => this.all(),
        onFailure: (error) => this.#fail(error),
      },
      {
        bytesPerSecond: options.scrubBytesPerSecond ?? 0,
        intervalMs: options.scrubIntervalMs ?? DAY_MS,
      },
    );
  }

  /** Why the node acts no more; undefined while it works. */
  get failed(): Error | undefined {
    return this.#failed;
  }

  /** Time begins to pass for the groups. */
  start(): void {
    this.#ticker.start();
    this.#scrubber.start();
  }

  get(groupId: GroupId): Replica | undefined {
    return this.#replicas.get(groupId);
  }

  all(): readonly Replica[] {
    return [...this.#replicas.values()];
  }

  /** Bytes of entries in memory, all groups. */
  get tailBytes(): number {
    let bytes = 0;
    for (const replica of this.#replicas.values()) bytes += replica.tailBytes;
    return bytes;
  }

  /** About what is being read from disk for followers and state machines that are behind, all groups. */
  get catchUpBytes(): number {
    return this.#readLimit.bytes;
  }

  /**
   * Opens a group's replica, or creates it when this data directory never had it.
   * @throws BrokerError STALE_REPLICA (removed or replaced) | LOG_CORRUPT (damaged or missing) | STORAGE_FAILED | SHUTTING_DOWN
   */
  openGroup(options: GroupOptions): Promise<Replica> {
    return this.#exclusively(options.groupId, () => this.#open(options));
  }

  /** Flushes and closes; the replica stays on disk. Harmless when it is not open. */
  closeGroup(groupId: GroupId): Promise<void> {
    return this.#exclusively(groupId, () => this.#closeReplica(groupId));
  }

  /** The replica leaves this node for good: journalled as removed first, then its log goes to the trash. */
  removeGroup(groupId: GroupId): Promise<void> {
    return this.#exclusively(groupId, () => this.#remove(groupId));
  }

  /**
   * A group that lost its majority for good goes on with this node's replica alone, under a new id; it is closed
   * afterwards. The metadata decides that (raft.md §1.12); repeating it is harmless.
   * @throws BrokerError STALE_REPLICA | LOG_CORRUPT
   */
  succeedGroup(succession: Succession): Promise<void> {
    return this.#exclusively(succession.groupId, async () => {
      this.#checkOpen();
      await this.#closeReplica(succession.groupId);
      await this.#opener.succeed(succession);
    });
  }

  /** Finishes removals that a crash interrupted. Once, before groups are opened. */
  finishRemovals(): Promise<void> {
    return this.#opener.finishRemovals();
  }

  /** Closes all groups. Handing leaderships over first is the caller's business. Idempotent. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#ticker.stop();
    await this.#scrubber.close();
    await Promise.allSettled(this.#changing.values());
    const results = await Promise.allSettled(this.all().map((replica) => this.#finish(replica)));
    this.#replicas.clear();
    this.#scheduler.stop();
    this.#journalFlusher.fail(new BrokerError("SHUTTING_DOWN", "the node is stopping"));
    for (const result of results) {
      if (result.status === "rejected") this.#fail(result.reason);
    }
  }

  /** After close(), before the journal says that the run ended cleanly: marks what may not be on disk nevertheless. */
  markUnsynced(): void {
    this.#unsynced.mark();
  }

  receive(from: NodeId, messages: readonly GroupMessage[]): void {
    if (this.#isClosed || this.#failed !== undefined) return;
    for (const { groupId, message } of messages) {
      const replica = this.#addressee(from, groupId, message);
      if (replica === undefined) continue;
      this.#guard(replica, () => replica.step(message));
    }
  }

  receiveImage(from: NodeId, transfer: ImageTransfer): void {
    if (this.#isClosed || this.#failed !== undefined) return;
    const replica = this.#addressee(from, transfer.groupId, transfer);
    if (replica !== undefined) this.#guard(replica, () => replica.receiveImage(transfer));
  }

  /** Entries of a group here, for another replica of it whose own ones are damaged. @throws BrokerError */
  async readEntries(from: NodeId, wanted: EntriesWanted): Promise<readonly Frame[]> {
    this.#checkOpen();
    const { bytesMax, first, groupId, last } = wanted;
    if (!this.#replicas.has(groupId)) {
      throw new BrokerError("LEADER_UNKNOWN", "no replica of the group is open here", { groupId });
    }
    const replica = this.#addressee(from, groupId, wanted);
    if (replica === undefined) {
      throw new BrokerError("STALE_REPLICA", "the replica that is asked is not here", { groupId });
    }
    return replica.readForRepair(first, last, bytesMax, wanted.from);
  }

  nodeUnreachable(node: NodeId): void {
    for (const replica of this.#replicas.values()) {
      this.#guard(replica, () => replica.leaderNodeUnreachable(node));
    }
  }

  /** Nobody else is addressed by accident: replica ids are never reused, node ids are part of them. */
  #addressee(
    from: NodeId,
    groupId: GroupId,
    envelope: { readonly from: ReplicaId; readonly to: ReplicaId },
  ): Replica | undefined {
    const replica = this.#replicas.get(groupId);
    const isRight = replica?.replicaId === envelope.to && nodeOfReplica(envelope.from) === from;
    if (isRight) return replica;
    this.#deps.metrics.count("messages_dropped");
    return undefined;
  }

  async #open(options: GroupOptions): Promise<Replica> {
    const { groupId, replicaId, flush, commitNews = "at-once" } = options;
    this.#checkOpen();
    const isOpen = this.#replicas.get(groupId);
    if (isOpen?.replicaId === replicaId) return isOpen;
    if (isOpen !== undefined) throw new BrokerError("STALE_REPLICA", "another replica is open");
    const start = await this.#opener.open(options);
    try {
      this.#checkOpen();
      const { incarnation } = this.#deps.journal;
      const raft = this.#tuning;
      const replicaOptions = { groupId, replicaId, incarnation, flush, commitNews, raft };
      const replica = new Replica(this.#replicaDeps(), replicaOptions, start);
      this.#replicas.set(groupId, replica);
      this.#unsynced.synced(groupId);
      this.#wake(replica);
      return replica;
    } catch (error) {
      start.log.close();
      throw error;
    }
  }

  async #closeReplica(groupId: GroupId): Promise<void> {
    const replica = this.#replicas.get(groupId);
    if (replica === undefined) return;
    this.#replicas.delete(groupId);
    this.#dirty.delete(replica);
    await this.#finish(replica);
  }

  /** Flushes and closes; a replica that failed is not flushed any more. */
  async #finish(replica: Replica): Promise<void> {
    await replica.close();
    if (replica.hasFailed) this.#unsynced.add(replica.groupId);
  }

  async #remove(groupId: GroupId): Promise<void> {
    this.#checkOpen();
    await this.#closeReplica(groupId);
    const record = this.#deps.journal.get(groupId);
    if (record !== undefined) await this.#opener.discard(record);
  }

  #exclusively<T>(groupId: GroupId, run: () => Promise<T>): Promise<T> {
    const before = this.#changing.get(groupId) ?? Promise.resolve();
    const guarded = (): Promise<T> => this.#guardStorage(run);
    const step = before.then(guarded, guarded);
    this.#changing.set(groupId, step);
    const forget = (): void => {
      if (this.#changing.get(groupId) === step) this.#changing.delete(groupId);
    };
    step.then(forget, forget);
    return step;
  }

  /** A sync or the keyed store that failed meanwhile is as final as in any turn: nobody may try it again. */
  async #guardStorage<T>(run: () => Promise<T>): Promise<T> {
    try {
      return await run();
    } catch (error) {
      const { disk } = this.#deps;
      if (isStorageFailed(disk) || isKeyedFailed(disk)) this.#fail(error);
      throw error;
    }
  }

  #wake(replica: Replica): void {
    this.#dirty.add(replica);
    if (this.#isTurnDue) return;
    this.#isTurnDue = true;
    this.#deps.clock.defer(() => this.#turn());
  }

  #turn(): void {
    this.#isTurnDue = false;
    if (this.#failed !== undefined) return;
    const replicas = this.#dirty;
    this.#dirty = new Set();
    for (const replica of replicas) this.#guard(replica, () => replica.turn());
    if (this.#failed !== undefined) return;
    this.#outbox.flush();
    this.#scheduler.start();
  }

  #tick(): void {
    if (this.#failed !== undefined) return;
    this.#ticks += 1;
    if (this.#diskReserveBytes > 0 && this.#ticks % DISK_CHECK_TICKS === 1) {
      this.#isDiskFull = this.#deps.disk.freeBytes() < this.#diskReserveBytes;
    }
    for (const replica of this.#replicas.values())
      this.#guard(replica, () => replica.tick(this.#ticks));
  }

  #stalled(lateMs: number): void {
    this.#deps.metrics.count("loop_stalls");
    this.#deps.logger.warn({ lateMs: Math.round(lateMs) }, "event loop stalled");
  }

  #guard(replica: Replica, run: () => void): void {
    try {
      run();
    } catch (error) {
      replica.fail(error);
    }
  }

  /** An fsync error is final (architecture decision 15): no group acks, votes or leads from here on. */
  #fail(error: unknown): void {
    if (this.#failed !== undefined) return;
    const failure = error instanceof Error ? error : new Error("unknown failure", { cause: error });
    this.#failed = failure;
    if (failure instanceof StorageError) this.#deps.metrics.count(`storage_errors_${failure.kind}`);
    this.#deps.logger.error({ error: failure }, "storage failed, this node stops");
    this.#ticker.stop();
    void this.#scrubber.close();
    this.#scheduler.stop();
    this.#journalFlusher.fail(failure);
    this.#outbox.clear();
    for (const replica of this.#replicas.values()) replica.stop(failure);
    this.#deps.onFatal(failure);
  }

  #checkOpen(): void {
    if (this.#failed !== undefined) {
      throw new BrokerError("STORAGE_FAILED", "this node's storage failed");
    }
    if (this.#isClosed) throw new BrokerError("SHUTTING_DOWN", "the node is stopping");
  }

  #replicaDeps(): ReplicaDeps {
    const { clock, images, keyed, logger, metrics, transport } = this.#deps;
    return {
      clock,
      images,
      keyed,
      logger,
      metrics,
      transport,
      fetchEntries: this.#deps.fetchEntries,
      repairs: this.#repairs,
      readLimit: this.#readLimit,
      journal: this.#journalFlusher,
      scheduler: this.#scheduler,
      wake: (replica) => this.#wake(replica),
      send: (groupId, message) => this.#outbox.add({ groupId, message }),
      onFatal: (error) => this.#fail(error),
      isNodeFailed: () => this.#failed !== undefined,
      isDiskFull: () => this.#isDiskFull,
    };
  }
}

function raftTuning(options: ReplicaSetOptions, random: Random): RaftTuning {
  const tailBytesMax = options.tailBytesMax ?? TAIL_BYTES_MAX;
  return {
    electionTicks: options.electionTicks ?? REPLICA_TIMING.electionTicks,
    heartbeatTicks: options.heartbeatTicks ?? REPLICA_TIMING.heartbeatTicks,
    random: () => random.next(),
    appendBytesMax: APPEND_BYTES_MAX,
    appendInflightMax: APPEND_INFLIGHT_MAX,
    appendInflightBytesMax: APPEND_INFLIGHT_BYTES_MAX,
    uncommittedBytesMax: UNCOMMITTED_BYTES_MAX,
    tailBytesMax,
    tailBytesKept: Math.min(tailBytesMax, TAIL_BYTES_KEPT),
  };
}
