// The subscriptions of one partition on this node: while it leads, a runner for each that is attached. All runners that have
// something to do get their turn together, and what they want replicated goes into one entry. When the leadership ends,
// everything here is dropped: leases, credit and counters are the leader's memory (docs/adr/0015).
import { TaskGroup } from "../base/task-group.ts";
import { BrokerError, isBrokerError } from "../model/errors.ts";
import type { MemoryBudget } from "../model/memory-budget.ts";
import type { Term } from "../model/positions.ts";
import type { SubscriptionRow } from "../model/subscription.ts";
import { Attacher } from "./attacher.ts";
import { DeadLetterMover } from "./dead-letter-mover.ts";
import { DeliveryRunner } from "./delivery-runner.ts";
import { Dispatcher } from "./dispatcher.ts";
import type { DeadLetterSink, DeliveryPartition, Logger, SubscriptionDirectory } from "./ports.ts";
import { ReadAhead } from "./read-ahead.ts";
import type { RunnerDeps } from "./runner-parts.ts";
import type { SubscriptionState } from "./subscription-state.ts";
import { UpdateCarrier } from "./update-carrier.ts";

export interface PartitionDeliveriesDeps extends RunnerDeps {
  readonly directory: SubscriptionDirectory;
  readonly memory: MemoryBudget | undefined;
  readonly sink: DeadLetterSink;
  readonly logger: Logger;
  /** A subscription is served here from now on. */
  readonly onRunner: (runner: DeliveryRunner) => void;
}

/** What there is of one leadership. */
interface Leadership {
  readonly term: Term;
  readonly tasks: TaskGroup;
  readonly carrier: UpdateCarrier;
  readonly attacher: Attacher;
  /** Of the newest delivery of what was served, by subscription: tokens never go back within a term. */
  readonly numbers: Map<string, number>;
  /** Wall time when it began, and the monotonic time then. */
  readonly wallMs: number;
  readonly sinceMs: number;
}

interface Served {
  readonly runner: DeliveryRunner;
  readonly mover: DeadLetterMover;
}

export class PartitionDeliveries {
  readonly partition: DeliveryPartition;
  readonly #deps: PartitionDeliveriesDeps;
  readonly #served = new Map<string, Served>();
  readonly #dirty = new Set<DeliveryRunner>();
  #leadership: Leadership | undefined;
  #selected: readonly SubscriptionRow[] | undefined;
  #isTurnDue = false;
  #isClosed = false;
  readonly #unlisten: () => void;

  constructor(partition: DeliveryPartition, deps: PartitionDeliveriesDeps) {
    this.partition = partition;
    this.#deps = deps;
    this.#unlisten = partition.listen({
      onNews: () => this.#news(),
      onLeaderReady: (term) => this.#lead(term),
      onLeadershipLost: () => this.#drop(partition.notLeader()),
    });
    if (partition.isLeaderReady) this.#lead(partition.term);
  }

  /** Of the subscription; undefined: not attached, or not led here. */
  runner(subscriptionId: string): DeliveryRunner | undefined {
    return this.#served.get(subscriptionId)?.runner;
  }

  *runners(): Generator<DeliveryRunner> {
    for (const { runner } of this.#served.values()) yield runner;
  }

  /** Led here, and a cursor is kept for everything that the metadata selects. */
  get isComplete(): boolean {
    return this.#leadership?.attacher.isComplete === true;
  }

  /** The metadata changed. */
  metadataChanged(): void {
    if (this.#leadership === undefined) return;
    const rows = this.#deps.directory.selecting(this.partition.topicId);
    // A cursor too many may have waited for an image that is new enough to say so.
    if (rows === this.#selected && this.partition.deliveries.size === rows.length) return;
    this.#align();
    this.#leadership.attacher.look();
  }

  /** Everything is dropped; whoever has a stream is told why. Idempotent. */
  close(error: BrokerError): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#unlisten();
    this.#drop(error);
  }

  #lead(term: Term): void {
    if (this.#isClosed || this.#leadership?.term === term) return;
    // Should a leadership have begun without a report that the last one ended: nothing of it may be taken for this one's.
    this.#drop(this.partition.notLeader());
    const { clock, directory } = this.#deps;
    const isLeading = (): boolean => this.#leads(term);
    const tasks = new TaskGroup((name, error) => this.#failed({ task: name, error }));
    const carrier = new UpdateCarrier(this.partition, {
      clock,
      tasks,
      isLeading,
      onApplied: (runner) => this.#served.get(runner.state.id)?.mover.look(),
      onUnknown: (runner) => this.#restart(runner),
    });
    const attacher = new Attacher(this.partition, {
      clock,
      tasks,
      directory,
      isLeading,
      onDetach: (id) => this.#end(id, unknownSubscription()),
      onChanged: () => this.#align(),
    });
    const times = { wallMs: clock.wallMs(), sinceMs: clock.monotonicMs() };
    this.#leadership = { term, tasks, carrier, attacher, numbers: new Map(), ...times };
    this.#align();
    attacher.look();
  }

  #leads(term: Term): boolean {
    const isSame = this.#leadership?.term === term && this.partition.term === term;
    return isSame && !this.#isClosed && this.partition.isLeaderReady;
  }

  /** A runner for everything that is attached and selected, with the newest definition. */
  #align(): void {
    const leadership = this.#leadership;
    if (leadership === undefined || !this.#leads(leadership.term)) return;
    const rows = this.#deps.directory.selecting(this.partition.topicId);
    this.#selected = rows;
    for (const row of rows) {
      const state = this.partition.deliveries.get(row.subscriptionId);
      this.#endOrphan(row.subscriptionId);
      const served = this.#served.get(row.subscriptionId);
      if (state === undefined || leadership.attacher.isDetaching(row.subscriptionId)) continue;
      if (served === undefined) this.#serve(leadership, row, state);
      else if (served.runner.row.version !== row.version) {
        served.runner.configure(row);
        served.mover.look();
      }
    }
  }

  #serve(leadership: Leadership, row: SubscriptionRow, state: SubscriptionState): void {
    const { clock, memory } = this.#deps;
    const { highWatermark, logStartOffset, partition, topicId } = this.partition;
    const nowMs = (): number => leadership.wallMs + (clock.monotonicMs() - leadership.sinceMs);
    const dispatcher = new Dispatcher<Buffer>({
      state,
      definition: row.definition,
      partitionName: `${topicId}/${partition}`,
      logStartOffset,
      highWatermark,
      nowMs: nowMs(),
      lastNumber: leadership.numbers.get(row.subscriptionId) ?? 0,
    });
    const onFailure = (error: unknown): void =>
      this.#failed({ subscription: row.definition.name, error });
    const runner: DeliveryRunner = new DeliveryRunner(
      {
        partition: this.partition,
        row,
        state,
        dispatcher,
        nowMs,
        reads: (self) => new ReadAhead(self, { clock, memory, onFailure }),
        onDirty: () => this.#markDirty(runner),
      },
      this.#deps,
    );
    const mover = new DeadLetterMover(runner, { ...this.#deps, onFailure });
    this.#served.set(row.subscriptionId, { runner, mover });
    mover.look();
    this.#deps.onRunner(runner);
  }

  #news(): void {
    for (const { runner } of this.#served.values()) {
      if (runner.isWatching) this.#markDirty(runner);
    }
  }

  #markDirty(runner: DeliveryRunner): void {
    this.#dirty.add(runner);
    if (this.#isTurnDue) return;
    this.#isTurnDue = true;
    this.#deps.clock.defer(() => this.#turn());
  }

  #turn(): void {
    this.#isTurnDue = false;
    const leadership = this.#leadership;
    const dirty = [...this.#dirty];
    this.#dirty.clear();
    if (leadership === undefined || !this.#leads(leadership.term)) return;
    for (const runner of dirty) {
      if (runner.isClosed) continue;
      runner.turn();
      leadership.carrier.add(runner);
    }
    leadership.carrier.carry();
  }

  #end(subscriptionId: string, error: BrokerError): void {
    const served = this.#served.get(subscriptionId);
    if (served === undefined) return;
    this.#served.delete(subscriptionId);
    this.#leadership?.numbers.set(subscriptionId, served.runner.dispatcher.lastNumber);
    this.#dirty.delete(served.runner);
    served.mover.close();
    served.runner.close(error);
  }

  /** It was attached anew: what its runner knows is of the former attachment. */
  #endOrphan(subscriptionId: string): void {
    const runner = this.#served.get(subscriptionId)?.runner;
    if (runner?.isOrphaned !== true) return;
    this.#end(subscriptionId, new BrokerError("LEADERSHIP_LOST", "it was detached meanwhile"));
  }

  /** As if the leadership had begun anew, for one subscription. */
  #restart(runner: DeliveryRunner): void {
    if (runner.isClosed) return;
    const error = new BrokerError("LEADERSHIP_LOST", "nobody knows what became of an update");
    this.#end(runner.state.id, error);
    this.#align();
  }

  #drop(error: BrokerError): void {
    const leadership = this.#leadership;
    if (leadership === undefined) return;
    this.#leadership = undefined;
    this.#selected = undefined;
    for (const id of [...this.#served.keys()]) this.#end(id, error);
    this.#dirty.clear();
    // Nobody waits for them: what is proposed may be answered only when the replica is closed.
    void leadership.tasks.close();
  }

  #failed(fields: Readonly<Record<string, unknown>>): void {
    const { partition, topicName: topic } = this.partition;
    const where = { topic, partition, ...fields };
    if (isBrokerError(fields["error"])) this.#deps.logger.warn(where, "delivery is being retried");
    else this.#deps.logger.error(where, "delivery failed");
  }
}

function unknownSubscription(): BrokerError {
  return new BrokerError("UNKNOWN_SUBSCRIPTION", "the subscription was deleted or left the topic");
}
