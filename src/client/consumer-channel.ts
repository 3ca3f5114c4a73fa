// A partition on a stream: what was received from its leader and what is still held of it. In exclusive mode it lets one
// message be worked on at a time, and nothing behind a failed one before the broker has taken note of the failure.
import type { SubscriptionMode } from "../model/subscription.ts";
import type { DeliveryChannel } from "../rpc/generated/flotilla-v1.ts";
import type { DeliveryPlace } from "./delivery-place.ts";
import { type Decision, RELEASE } from "./handler-outcome.ts";
import type { HeldDelivery } from "./held-delivery.ts";

/** What a channel tells its stream. */
export interface ChannelEvents {
  touch(delivery: HeldDelivery): void;
  left(delivery: HeldDelivery, count: number): void;
  /** The channel may have something to do again. */
  freed(channel: ConsumerChannel): void;
}

/** Names a partition whatever its leader. */
export function partitionKey(topicId: string, partition: number): string {
  return `${topicId}/${partition}`;
}

export class ConsumerChannel implements DeliveryPlace<HeldDelivery> {
  readonly id: number;
  readonly topic: string;
  readonly topicId: string;
  readonly partition: number;
  readonly key: string;
  readonly leaderEpoch: number;
  readonly layoutEpoch: number;
  ackDeadlineMs: number;
  readonly mode: SubscriptionMode;
  /** By number; several were resumed under one. */
  readonly deliveries = new Map<number, HeldDelivery[]>();
  /** Received deliveries of which something may wait, in order; for the buffer. */
  readonly queue: HeldDelivery[] = [];
  /** Stands in the buffer's ring. */
  isQueued = false;
  isOver = false;
  /** Messages that are worked on one after the other: how many are, of those that the buffer gave out so. */
  busy = 0;
  readonly #events: ChannelEvents;
  #failed: { readonly delivery: HeldDelivery; readonly offset: number } | undefined;

  constructor(introduction: DeliveryChannel, events: ChannelEvents) {
    this.id = introduction.channel;
    this.topic = introduction.topic;
    this.topicId = introduction.topicId;
    this.partition = introduction.partition;
    this.key = partitionKey(this.topicId, this.partition);
    this.leaderEpoch = introduction.leaderEpoch;
    this.layoutEpoch = introduction.layoutEpoch;
    this.ackDeadlineMs = introduction.ackDeadlineMs;
    this.mode = introduction.mode ?? "shared";
    this.#events = events;
  }

  get isInOrder(): boolean {
    return this.mode === "exclusive";
  }

  *held(): Generator<HeldDelivery> {
    for (const deliveries of this.deliveries.values()) yield* deliveries;
  }

  /** A lease runs as it was given; it is extended under the new deadline. */
  setAckDeadline(ms: number): void {
    this.ackDeadlineMs = ms;
    for (const delivery of this.held()) {
      delivery.ackDeadlineMs = Math.min(delivery.ackDeadlineMs, ms);
    }
  }

  /** @returns false: nothing of it may be worked on, it was given back */
  add(delivery: HeldDelivery): boolean {
    this.#keep(delivery);
    if (this.#failed !== undefined) {
      const { delivery: other, offset } = this.#failed;
      // The broker hands out in order: when the failed message is with it again, everything from there on comes anew.
      const isBack = delivery.batch.firstOffset <= offset;
      if (!isBack && !other.isAnswered(offset)) {
        delivery.decideWaiting(RELEASE);
        return false;
      }
      this.#failed = undefined;
    }
    this.queue.push(delivery);
    return true;
  }

  /** The leader goes on with what another one gave. */
  resume(delivery: HeldDelivery, number: number, ranges: readonly number[], nowMs: number): void {
    delivery.resume(this, number, ranges, nowMs);
    if (delivery.isOver) return;
    this.#keep(delivery);
    if (!this.isInOrder) return;
    this.busy += delivery.running;
    const offset = delivery.firstFailure();
    if (offset !== undefined) this.#failed = { delivery, offset };
  }

  /** @returns what is still worked on, or not confirmed */
  end(nowMs: number): HeldDelivery[] {
    this.isOver = true;
    const held = [...this.held()];
    for (const delivery of held) delivery.orphan(nowMs);
    this.deliveries.clear();
    this.queue.length = 0;
    return held.filter((delivery) => !delivery.isOver);
  }

  // --- DeliveryPlace

  touch(delivery: HeldDelivery): void {
    this.#events.touch(delivery);
  }

  left(delivery: HeldDelivery, count: number): void {
    this.#events.left(delivery, count);
  }

  freed(delivery: HeldDelivery, offset: number, decision?: Decision): void {
    if (this.busy > 0) this.busy -= 1;
    if (decision !== undefined && decision.kind !== "ack") this.heldBack(delivery, offset);
    this.#events.freed(this);
  }

  heldBack(delivery: HeldDelivery, offset: number): void {
    if (!this.isInOrder) return;
    this.#failed = { delivery, offset };
    // They come again behind it. The broker revokes them, too; it must not depend on which is first.
    for (const waiting of this.queue.splice(0)) waiting.decideWaiting(RELEASE);
  }

  over(delivery: HeldDelivery): void {
    const left = this.deliveries.get(delivery.number)?.filter((other) => other !== delivery);
    if (left === undefined) return;
    if (left.length === 0) this.deliveries.delete(delivery.number);
    else this.deliveries.set(delivery.number, left);
  }

  #keep(delivery: HeldDelivery): void {
    const known = this.deliveries.get(delivery.number);
    if (known === undefined) this.deliveries.set(delivery.number, [delivery]);
    else known.push(delivery);
  }
}
