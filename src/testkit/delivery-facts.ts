// What a history says about subscriptions, sorted: messages, deliveries and settlements in columns, everything rarer as
// lists. Part of facts.ts.
import {
  type ConsumerSeen,
  type CursorSeen,
  type DeadLetterSeen,
  type Delivered,
  type DeliveryEvent,
  type HandlerSeen,
  type KeyReleased,
  type LeaseLost,
  SETTLED_ALREADY,
  type SettlementAsked,
  type SubscriptionDeclared,
  type SubscriptionPaused,
  type SubscriptionReset,
} from "./delivery-events.ts";
import { DeliveryTable } from "./delivery-table.ts";
import { MessageTable } from "./message-table.ts";
import { Names, type Places } from "./names.ts";
import type { Numbered } from "./numbered.ts";
import { NONE, type SendTable } from "./send-table.ts";
import { SettlementTable } from "./settlement-table.ts";

/** A dead letter; `message` is its row in the table of messages. */
export interface DeadLetter extends Numbered<DeadLetterSeen> {
  readonly message: number;
  /** Row of its value in the table of sends. */
  readonly row: number;
}

/** Of one subscription in one partition. */
export interface OfLane<E> extends Numbered<E> {
  readonly lane: number;
}

type OfToken = HandlerSeen | SettlementAsked | LeaseLost;

export class DeliveryFacts {
  readonly subscriptions = new Names();
  readonly consumers = new Names();
  readonly messages = new MessageTable();
  readonly deliveries = new DeliveryTable();
  readonly settlements = new SettlementTable();
  /** By subscription: what it was declared to be, in the order of the history. */
  readonly declared: Numbered<SubscriptionDeclared>[][] = [];
  readonly resets: OfLane<SubscriptionReset>[] = [];
  readonly unparks: OfLane<KeyReleased>[] = [];
  readonly cursors: OfLane<CursorSeen>[] = [];
  readonly pauses: Numbered<SubscriptionPaused>[] = [];
  readonly lives: Numbered<ConsumerSeen>[] = [];
  readonly dead: DeadLetter[] = [];
  /** Events about deliveries that nobody got, or settlements that nobody asked for. */
  readonly unmatched: number[] = [];
  readonly #places: Places;
  readonly #sends: SendTable;

  constructor(places: Places, sends: SendTable) {
    this.#places = places;
    this.#sends = sends;
  }

  add(event: DeliveryEvent, number: number): void {
    switch (event.type) {
      case "deliver":
        this.#deliver(event, number);
        break;
      case "handler":
        this.#each(event, number, (delivery) => this.#handle(event, delivery, number));
        break;
      case "settlement":
        this.#ask(event, number);
        break;
      case "settled": {
        const consumer = this.consumers.numberOf(event.consumer);
        if (!this.settlements.answer(consumer, event, number)) this.unmatched.push(number);
        break;
      }
      case "lost":
        this.#each(event, number, (delivery) => {
          this.deliveries.lose(delivery, event.atMs, number, event.cause);
        });
        break;
      default:
        this.#addRare(event, number);
    }
  }

  /** Its last declaration; undefined when it was never declared. */
  definitionOf(subscription: number): SubscriptionDeclared | undefined {
    return this.declared[subscription]?.at(-1)?.event;
  }

  #addRare(event: DeliveryEvent, number: number): void {
    switch (event.type) {
      case "subscription":
        this.#declarationsOf(event.subscription).push({ event, number });
        break;
      case "reset":
        this.resets.push({ event, number, lane: this.#laneOf(event) });
        break;
      case "unpark":
        this.unparks.push({ event, number, lane: this.#laneOf(event) });
        break;
      case "cursor":
        this.cursors.push({ event, number, lane: this.#laneOf(event) });
        break;
      case "pause":
        this.pauses.push({ event, number });
        break;
      case "consumer":
        this.consumers.numberOf(event.consumer);
        this.lives.push({ event, number });
        break;
      case "dead": {
        const message = this.messages.rowOf(this.#laneOf(event), event.offset);
        this.dead.push({ event, number, message, row: this.#sends.rowOf(event.value) });
        break;
      }
      default:
      // Version 1's "settle".
    }
  }

  #declarationsOf(name: string): Numbered<SubscriptionDeclared>[] {
    const subscription = this.subscriptions.numberOf(name);
    for (let at = this.declared.length; at <= subscription; at += 1) this.declared.push([]);
    return this.declared[subscription] ?? [];
  }

  #deliver(event: Delivered, number: number): void {
    const lane = this.#laneOf(event);
    const consumer = this.consumers.numberOf(event.consumer);
    const isResumed = event.isResumed === true;
    for (const record of event.records) {
      const message = this.messages.rowOf(lane, record.offset);
      const previous = this.messages.newest.at(message);
      if (isResumed && event.delivery === SETTLED_ALREADY) {
        const held = this.#heldBy(consumer, previous);
        if (held !== NONE) this.deliveries.isToldSettled.set(held, 1);
        continue;
      }
      const row = this.#sends.rowOf(record.value);
      const delivery = this.deliveries.add({
        ...{ message, previous, consumer, epoch: event.leaderEpoch, number: event.delivery },
        ...{ atMs: event.atMs, event: number, row, key: this.#sends.keyOf(record.key), isResumed },
        handedOut: record.handedOut ?? NONE,
        failed: record.failed ?? NONE,
      });
      this.messages.newest.set(message, delivery);
      this.#sends.saw(row, event.atMs, number);
      if (isResumed) this.#resume(previous, consumer);
    }
  }

  /** What the consumer held went on: a handler that had begun works on, and the older token is over. A settlement without an answer is about the newer one. */
  #resume(previous: number, consumer: number): void {
    const { deliveries } = this;
    const held = this.#heldBy(consumer, previous);
    if (held === NONE) return;
    const now = deliveries.length - 1;
    deliveries.wentOnAs.set(held, now);
    this.#carry(held, now);
    if (!deliveries.wasBegun(held)) return;
    deliveries.begin(now, deliveries.begunMs.at(held), deliveries.begunEvent.at(held));
  }

  /** The last one of that consumer, from a row on backwards. */
  #heldBy(consumer: number, from: number): number {
    const { deliveries } = this;
    let held = from;
    while (held !== NONE && deliveries.consumer.at(held) !== consumer) {
      held = deliveries.previous.at(held);
    }
    return held;
  }

  #carry(held: number, now: number): void {
    const { firstPart } = this.deliveries;
    const { answeredEvent, partDelivery, partNext, partSettlement } = this.settlements;
    let part = firstPart.at(held);
    firstPart.set(held, NONE);
    while (part !== NONE) {
      const next = partNext.at(part);
      const isAnswered = answeredEvent.at(partSettlement.at(part)) !== NONE;
      const owner = isAnswered ? held : now;
      partDelivery.set(part, owner);
      partNext.set(part, firstPart.at(owner));
      firstPart.set(owner, part);
      part = next;
    }
  }

  #handle(event: HandlerSeen, delivery: number, number: number): void {
    if (event.phase === "begin") this.deliveries.begin(delivery, event.atMs, number);
    else if (event.isOk === true) this.deliveries.end(delivery, event.atMs);
  }

  #ask(event: SettlementAsked, number: number): void {
    const consumer = this.consumers.numberOf(event.consumer);
    const row = this.settlements.ask(consumer, event, number);
    if (row === NONE) {
      this.unmatched.push(number);
      return;
    }
    this.#each(event, number, (delivery) => {
      const { firstPart } = this.deliveries;
      firstPart.set(delivery, this.settlements.addPart(row, delivery, firstPart.at(delivery)));
    });
  }

  /** The deliveries that the ranges of an event mean. */
  #each(event: OfToken, number: number, use: (delivery: number) => void): void {
    const lane = this.#laneOf(event);
    const consumer = this.consumers.numberOf(event.consumer);
    let isComplete = true;
    for (let at = 0; at < event.ranges.length; at += 2) {
      const first = event.ranges[at] ?? 0;
      const end = first + (event.ranges[at + 1] ?? 0);
      for (let offset = first; offset < end; offset += 1) {
        const message = this.messages.find(lane, offset);
        const delivery = message === NONE ? NONE : this.#find(message, consumer, event);
        if (delivery === NONE) isComplete = false;
        else use(delivery);
      }
    }
    if (!isComplete) this.unmatched.push(number);
  }

  #find(message: number, consumer: number, event: OfToken): number {
    const { deliveries } = this;
    let delivery = this.messages.newest.at(message);
    while (delivery !== NONE) {
      const isMeant =
        deliveries.number.at(delivery) === event.delivery &&
        deliveries.epoch.at(delivery) === event.leaderEpoch &&
        deliveries.consumer.at(delivery) === consumer;
      if (isMeant) return delivery;
      delivery = deliveries.previous.at(delivery);
    }
    return NONE;
  }

  #laneOf(event: {
    readonly subscription: string;
    readonly topic: string;
    readonly partition: number;
  }): number {
    const subscription = this.subscriptions.numberOf(event.subscription);
    return this.messages.laneOf(subscription, this.#places.numberOf(event.topic, event.partition));
  }
}
