// One partition on this node: joins the replica with its replicated state and gives services what they need: append,
// publish, read, maintenance. Follows the replica's watermarks and leadership. Made by the broker when a replica opens.
import { TaskGroup } from "../base/task-group.ts";
import type { Acks, Flush } from "../model/durability.ts";
import { SECTION } from "../model/entry-frame.ts";
import { BrokerError, isBrokerError } from "../model/errors.ts";
import { type GroupId, nodeOfReplica, type PartitionIndex, type TopicId } from "../model/ids.ts";
import type { Offset, Term } from "../model/positions.ts";
import type { ReplicaHandle } from "../replica/ports.ts";
import { type AppendContext, AppendPath } from "./append-path.ts";
import {
  type CommandFields,
  type CommandReply,
  encodeCommand,
  type PartitionCommand,
} from "./partition-commands.ts";
import { noPartitionMetrics, type PartitionMetrics } from "./partition-metrics.ts";
import type { PartitionState } from "./partition-state.ts";
import type {
  AppendObserver,
  AppendReceipt,
  AppendRequest,
  PartitionEnvironment,
  PartitionReader,
  PartitionSettings,
} from "./ports.ts";
import type { LogStartPlan } from "./retention-plan.ts";

export interface PartitionOptions {
  readonly topicId: TopicId;
  readonly partition: PartitionIndex;
  readonly replica: ReplicaHandle;
  /** The state machine that the replica was opened with. */
  readonly state: PartitionState;
  readonly settings: PartitionSettings;
  readonly environment?: PartitionEnvironment;
}

export class Partition implements AppendContext {
  readonly topicId: TopicId;
  readonly partition: PartitionIndex;
  readonly replica: ReplicaHandle;
  readonly state: PartitionState;
  readonly environment: PartitionEnvironment;
  readonly appends: AppendPath;
  #settings: PartitionSettings;
  /** Term of the leadership that appends were made under. */
  #leadingTerm: Term | undefined;
  /** The flush mode that the replica was last told. */
  #groupFlush: Flush | undefined;
  #seenHighWatermark: Offset;
  #readers = new Set<PartitionReader>();
  #isClosed = false;
  readonly #tasks = new TaskGroup(() => this.#metrics.count("maintenance_failed"));
  readonly #metrics: PartitionMetrics;
  readonly #unlisten: () => void;

  constructor(options: PartitionOptions) {
    this.topicId = options.topicId;
    this.partition = options.partition;
    this.replica = options.replica;
    this.state = options.state;
    this.environment = options.environment ?? {};
    this.#metrics = this.environment.metrics ?? noPartitionMetrics;
    this.#settings = options.settings;
    this.appends = new AppendPath(this);
    this.#seenHighWatermark = this.replica.highWatermark;
    this.#unlisten = this.replica.listen({
      onAdvance: () => this.#advanced(),
      onLeaderReady: (term) => this.#leaderReady(term),
      onLeadershipLost: () => this.#leadershipLost(),
    });
    this.#followFlush();
    if (this.replica.isLeaderReady) this.#leaderReady(this.replica.term);
  }

  get groupId(): GroupId {
    return this.replica.groupId;
  }

  get settings(): PartitionSettings {
    return this.#settings;
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** True when this replica serves reads and writes. */
  get isLeaderReady(): boolean {
    return !this.#isClosed && this.replica.isLeaderReady;
  }

  get leaderEpoch(): Term {
    return this.replica.term;
  }

  get highWatermark(): Offset {
    return this.replica.highWatermark;
  }

  get logStartOffset(): Offset {
    return this.replica.logStartOffset;
  }

  requireLeader(): void {
    if (!this.isLeaderReady) throw this.notLeader();
  }

  /** Why this replica does not serve, with the hints that are known. */
  notLeader(): BrokerError {
    if (this.#isClosed) return new BrokerError("SHUTTING_DOWN", "the partition is being closed");
    const { leaderNode, replicaId, term } = this.replica;
    if (leaderNode === 0 || leaderNode === nodeOfReplica(replicaId)) {
      return new BrokerError("LEADER_UNKNOWN", "no leader of the partition is ready right now");
    }
    const endpoint = this.environment.endpointOf?.(leaderNode);
    return new BrokerError("NOT_LEADER", `node ${leaderNode} leads the partition`, {
      leaderId: leaderNode,
      leaderEpoch: term,
      ...(endpoint === undefined ? {} : { leaderEndpoint: endpoint }),
    });
  }

  /** @throws BrokerError unless the layout that a reader or writer knows is the present one */
  checkLayout(layoutEpoch: number): void {
    const current = this.#settings.layoutEpoch;
    if (layoutEpoch === current) return;
    throw new BrokerError("STALE_LAYOUT", "the topic's slot layout is another one", {
      layoutEpoch: current,
    });
  }

  /** The topic was altered. A new flush mode takes effect when its entry in the group's log is applied. */
  updateSettings(settings: PartitionSettings): void {
    this.#settings = settings;
    this.alignFlush();
  }

  get metrics(): PartitionMetrics {
    return this.#metrics;
  }

  /** See AppendPath.submit: the way of the produce streams, without a promise per batch. */
  submit(request: AppendRequest, observer: AppendObserver): void {
    this.appends.submit(request, observer);
  }

  /** @throws BrokerError as AppendPath.submit, and LEADERSHIP_LOST when the outcome is unknown */
  append(request: AppendRequest): Promise<AppendReceipt> {
    return new Promise((resolve, reject) => {
      this.submit(request, { onReceipt: resolve, onFailure: reject });
    });
  }

  /** For senders that wait for nothing: a refusal was counted and is otherwise forgotten. */
  appendOneWay(request: Omit<AppendRequest, "acks">): void {
    const acks: Acks = "none";
    try {
      this.submit({ ...request, acks }, IGNORE);
    } catch (error) {
      if (!isBrokerError(error)) throw error;
    }
  }

  /** `reader` is woken once, when there are new records, leadership ends or the partition closes. Returns how to leave. */
  park(reader: PartitionReader): () => void {
    this.#readers.add(reader);
    return () => this.#readers.delete(reader);
  }

  /**
   * Appends a command and waits until it is applied here.
   * @param signal gives up the wait (the command may take effect nevertheless): CANCELLED
   * @throws BrokerError NOT_LEADER | LEADER_UNKNOWN | OVERLOADED | STORAGE_FAILED | SHUTTING_DOWN | LEADERSHIP_LOST
   */
  async propose(command: PartitionCommand, signal?: AbortSignal): Promise<void> {
    await this.#propose(encodeCommand(command), signal);
  }

  /**
   * Appends a command of a part of the state and waits until it is applied here. Like every entry without records it is
   * taken when there is no room for messages: what frees room must not be refused for the lack of it.
   * @param signal gives up the wait (the command may take effect nevertheless): CANCELLED
   * @returns the part's reply
   * @throws BrokerError as propose, and FrameError for a command that no part would know when it is applied (it is not appended)
   */
  async proposeCommand(command: CommandFields, signal?: AbortSignal): Promise<unknown> {
    this.state.checkPartCommand(command);
    return this.#propose(encodeCommand(command), signal);
  }

  /** Moves the log start (never back), unless it rests on settlements that were taken back. Retention calls it. */
  async advanceLogStart(
    { index, offset, acked }: LogStartPlan,
    signal?: AbortSignal,
  ): Promise<void> {
    const command = { type: "AdvanceLogStart", index, offset, acked } as const;
    const reply = await this.#propose(encodeCommand(command), signal);
    if ((reply as CommandReply).outcome === "done") this.#metrics.count("log_starts_advanced");
  }

  /** The leader sees to it that the group's flush mode is the topic's. Called again by maintenance if it was refused. */
  alignFlush(): void {
    const { flush } = this.#settings;
    if (!this.isLeaderReady || this.state.flush === flush) return;
    this.#tasks.spawn("set-flush", (signal) => this.propose({ type: "SetFlush", flush }, signal));
  }

  /** Ends it for all who wait. The replica is closed by its owner. Idempotent. */
  async close(): Promise<void> {
    if (!this.#isClosed) {
      this.#isClosed = true;
      this.#unlisten();
      this.#leadershipLost();
    }
    await this.#tasks.close();
  }

  #propose(command: Buffer, signal: AbortSignal | undefined): Promise<unknown> {
    this.requireLeader();
    const applied = this.replica.proposeAndApply({
      kind: "data",
      recordCount: 0,
      layoutEpoch: this.#settings.layoutEpoch,
      sections: [{ type: SECTION.COMMAND, ignorable: false, bytes: command }],
    });
    return signal === undefined ? applied : untilAborted(applied, signal);
  }

  #advanced(): void {
    this.#followFlush();
    const isSameLeadership = this.isLeaderReady && this.replica.term === this.#leadingTerm;
    this.appends.advance(isSameLeadership);
    const { highWatermark } = this.replica;
    if (highWatermark === this.#seenHighWatermark) return;
    this.#seenHighWatermark = highWatermark;
    this.#wakeReaders();
  }

  #leaderReady(term: Term): void {
    // Should a leadership have begun without a report that the last one ended: nothing of it may be taken for this one's.
    if (this.#leadingTerm !== undefined && this.#leadingTerm !== term) this.#leadershipLost();
    this.#leadingTerm = term;
    this.#followFlush();
    this.alignFlush();
  }

  #leadershipLost(): void {
    this.#leadingTerm = undefined;
    this.appends.leadershipLost();
    this.#wakeReaders();
  }

  /** A committed entry (or restored state) says how the group flushes; replicas learn it here, leaders or not. */
  #followFlush(): void {
    const { flush } = this.state;
    if (flush === this.#groupFlush) return;
    this.#groupFlush = flush;
    this.replica.setFlush(flush);
    // Senders that wait for the disk asked nobody to flush while the group did it by itself.
    if (flush === "async" && this.appends.parkedAcks > 0) this.replica.requestFlush();
  }

  #wakeReaders(): void {
    if (this.#readers.size === 0) return;
    const readers = this.#readers;
    this.#readers = new Set();
    for (const reader of readers) reader.wake();
  }
}

const IGNORE: AppendObserver = { onReceipt: () => undefined, onFailure: () => undefined };

function untilAborted(applied: Promise<unknown>, signal: AbortSignal): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => reject(new BrokerError("CANCELLED", "the wait was given up"));
    signal.addEventListener("abort", onAbort, { once: true });
    applied.then(resolve, reject).finally(() => signal.removeEventListener("abort", onAbort));
  });
}
