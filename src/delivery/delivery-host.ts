// The delivery room of one node: its partitions, its push sessions, and who belongs to whom. Made by the broker, which adds
// partitions as their replicas open and hands it every stream.
import { BrokerError, isBrokerError } from "../model/errors.ts";
import type { PartitionIndex, TopicId } from "../model/ids.ts";
import { PUSH_SESSIONS_MAX } from "../model/limits.ts";
import type { SubscriptionRow } from "../model/subscription.ts";
import type { DeliveryRunner } from "./delivery-runner.ts";
import { PartitionDeliveries, type PartitionDeliveriesDeps } from "./partition-deliveries.ts";
import type { DeliveryPartition } from "./ports.ts";
import {
  type CheckedOpen,
  checkOpen,
  filterMismatch,
  type OpenMessage,
  type SubscribeMessage,
} from "./push-request.ts";
import { type PushOutput, PushSession } from "./push-session.ts";
import { invalid } from "./settle-request.ts";

export interface DeliveryHostDeps extends Omit<PartitionDeliveriesDeps, "onRunner"> {
  readonly sessionsMax?: number;
}

/** A stream whose first message has not come yet, and what came of it. */
export interface PushStream {
  receive(message: SubscribeMessage): void;
  drained(): void;
  close(): void;
}

interface OpenSession {
  readonly session: PushSession;
  readonly open: CheckedOpen;
}

export class DeliveryHost {
  readonly #deps: DeliveryHostDeps;
  readonly #partitions = new Map<TopicId, Map<PartitionIndex, PartitionDeliveries>>();
  /** By subscription, then by consumer id. */
  readonly #sessions = new Map<string, Map<string, OpenSession>>();
  #sessionCount = 0;
  #streamCount = 0;
  #isCheckDue = false;
  #isClosed = false;
  readonly #unlisten: () => void;

  constructor(deps: DeliveryHostDeps) {
    this.#deps = deps;
    this.#unlisten = deps.directory.onChange(() => this.#metadataChanged());
  }

  /** Push sessions. */
  get sessions(): number {
    return this.#sessionCount;
  }

  add(partition: DeliveryPartition): void {
    const deliveries = new PartitionDeliveries(partition, {
      ...this.#deps,
      onRunner: (runner) => this.#introduce(runner),
    });
    let ofTopic = this.#partitions.get(partition.topicId);
    if (ofTopic === undefined) {
      ofTopic = new Map();
      this.#partitions.set(partition.topicId, ofTopic);
    }
    ofTopic.set(partition.partition, deliveries);
  }

  remove(topicId: TopicId, partition: PartitionIndex): void {
    const ofTopic = this.#partitions.get(topicId);
    const deliveries = ofTopic?.get(partition);
    if (ofTopic === undefined || deliveries === undefined) return;
    ofTopic.delete(partition);
    if (ofTopic.size === 0) this.#partitions.delete(topicId);
    deliveries.close(deliveries.partition.notLeader());
  }

  get(topicId: TopicId, partition: PartitionIndex): PartitionDeliveries | undefined {
    return this.#partitions.get(topicId)?.get(partition);
  }

  /** All that are served here. */
  *runners(): Generator<DeliveryRunner> {
    for (const ofTopic of this.#partitions.values()) {
      for (const deliveries of ofTopic.values()) yield* deliveries.runners();
    }
  }

  /** A stream began. */
  stream(output: PushOutput): PushStream {
    let session: PushSession | undefined;
    let isOver = false;
    this.#streamCount += 1;
    const over = (): void => {
      if (!isOver) this.#streamCount -= 1;
      isOver = true;
    };
    const end = (error: BrokerError): void => {
      over();
      this.#deps.metrics.refused(error);
      if (session === undefined) output.end(error);
      else session.end(error);
    };
    return {
      receive: (message) => {
        if (isOver || session?.isClosed === true) return;
        try {
          if (session !== undefined) session.receive(message);
          else {
            session = this.#open(message.open, output);
            session.proceed(message);
          }
        } catch (error) {
          if (!isBrokerError(error)) throw error;
          end(error);
        }
      },
      drained: () => session?.drained(),
      close: () => {
        over();
        session?.close();
      },
    };
  }

  /** Every stream ends. Idempotent. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#unlisten();
    const error = new BrokerError("SHUTTING_DOWN", "the broker is stopping");
    for (const { session } of this.#allSessions()) session.end(error);
    const deliveries = [...this.#partitions.values()].flatMap((ofTopic) => [...ofTopic.values()]);
    this.#partitions.clear();
    for (const one of deliveries) one.close(error);
  }

  /** @throws BrokerError */
  #open(message: OpenMessage | undefined, output: PushOutput): PushSession {
    if (message === undefined) throw invalid("open", "the first message opens the stream");
    if (this.#isClosed) throw new BrokerError("SHUTTING_DOWN", "the broker is stopping");
    const max = this.#deps.sessionsMax ?? PUSH_SESSIONS_MAX;
    if (this.#streamCount > max) {
      const fields = { limit: "pushSessions", max };
      throw new BrokerError("OVERLOADED", "too many consumers on this broker", fields);
    }
    const checked = checkOpen(message);
    const row = this.#requireSubscription(message.subscription);
    const mismatch = filterMismatch(checked, row);
    if (mismatch !== undefined) throw mismatch;
    // The text that is there already, instead of a copy for each stream.
    const { filter } = row.definition;
    const isAnyFilter = checked.expectedFilter === undefined;
    const open = { ...checked, expectedFilter: isAnyFilter ? undefined : filter };
    const session = new PushSession(open, row, output, {
      clock: this.#deps.clock,
      memory: this.#deps.memory,
      onRefused: (error) => this.#deps.metrics.refused(error),
      onClosed: (closed) => this.#closed(closed),
    });
    this.#replace(row, open.consumerId);
    this.#register({ session, open });
    for (const runner of this.runners()) {
      if (runner.state.id === row.subscriptionId) session.addChannel(runner, true);
    }
    return session;
  }

  #requireSubscription(name: string): SubscriptionRow {
    const row = this.#deps.directory.byName(name);
    if (row !== undefined) return row;
    const fields = { subscription: name.slice(0, 200) };
    throw new BrokerError("UNKNOWN_SUBSCRIPTION", "no such subscription", fields);
  }

  /** The stream of a consumer that came back: the one that it had before is of no use to it. */
  #replace({ subscriptionId }: SubscriptionRow, consumerId: string): void {
    const former = this.#sessions.get(subscriptionId)?.get(consumerId);
    if (former === undefined) return;
    const message = "a later stream with the same consumer id took over";
    former.session.end(new BrokerError("CONSUMER_REPLACED", message, { consumerId }));
  }

  #register(opened: OpenSession): void {
    const { subscriptionId } = opened.session.row;
    let ofSubscription = this.#sessions.get(subscriptionId);
    if (ofSubscription === undefined) {
      ofSubscription = new Map();
      this.#sessions.set(subscriptionId, ofSubscription);
    }
    ofSubscription.set(opened.session.consumerId, opened);
    this.#sessionCount += 1;
  }

  #closed(session: PushSession): void {
    const { subscriptionId } = session.row;
    const ofSubscription = this.#sessions.get(subscriptionId);
    if (ofSubscription?.get(session.consumerId)?.session !== session) return;
    ofSubscription.delete(session.consumerId);
    if (ofSubscription.size === 0) this.#sessions.delete(subscriptionId);
    this.#sessionCount -= 1;
  }

  #introduce(runner: DeliveryRunner): void {
    for (const { session } of this.#sessions.get(runner.state.id)?.values() ?? []) {
      session.addChannel(runner, false);
    }
  }

  /** Told inside apply: the work is done later, once for all changes of a turn. */
  #metadataChanged(): void {
    if (this.#isCheckDue) return;
    this.#isCheckDue = true;
    this.#deps.clock.defer(() => {
      this.#isCheckDue = false;
      if (!this.#isClosed) this.#followMetadata();
    });
  }

  #followMetadata(): void {
    for (const ofTopic of this.#partitions.values()) {
      for (const deliveries of ofTopic.values()) deliveries.metadataChanged();
    }
    for (const { open, session } of this.#allSessions()) {
      const { definition, subscriptionId, version } = session.row;
      const row = this.#deps.directory.byName(definition.name);
      if (row === undefined || row.subscriptionId !== subscriptionId) {
        const fields = { subscription: definition.name };
        session.end(
          new BrokerError("UNKNOWN_SUBSCRIPTION", "the subscription was deleted", fields),
        );
        this.#deps.metrics.forget(definition.name);
      } else if (row.version !== version) this.#follow(open, session, row);
    }
  }

  #follow(open: CheckedOpen, session: PushSession, row: SubscriptionRow): void {
    const mismatch = filterMismatch(open, row);
    if (mismatch === undefined) session.update(row);
    else session.end(mismatch);
  }

  #allSessions(): OpenSession[] {
    return [...this.#sessions.values()].flatMap((ofSubscription) => [...ofSubscription.values()]);
  }
}
