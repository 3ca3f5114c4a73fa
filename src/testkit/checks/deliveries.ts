// What the checks of subscriptions share: words for a message of a subscription, and the events that prove something.
import type { Facts } from "../facts.ts";
import { type Evidence, type Finding, located, shown } from "./check.ts";

/** "orders/0@17 for billing". */
export function nameOf(facts: Facts, message: number): string {
  const { messages, subscriptions } = facts.delivery;
  const place = facts.places.nameOf(messages.placeOf(message));
  const subscription = subscriptions.textOf(messages.subscriptionOf(message));
  return `${place}@${messages.offset.at(message)} for ${subscription}`;
}

/** "to c1 as 3.17": consumer, leader epoch, delivery number. */
export function tokenOf(facts: Facts, delivery: number): string {
  const { consumers, deliveries } = facts.delivery;
  const consumer = consumers.textOf(deliveries.consumer.at(delivery));
  return `to ${consumer} as ${deliveries.epoch.at(delivery)}.${deliveries.number.at(delivery)}`;
}

/** A finding about one message; the value is that of one of its deliveries. */
export function about(
  facts: Facts,
  message: number,
  row: number,
  text: string,
  events: readonly number[],
): Finding {
  const { messages } = facts.delivery;
  const value = facts.sends.valueOf(row);
  return {
    message: `${shown(value)} at ${nameOf(facts, message)}: ${text}`,
    ...located(facts, messages.placeOf(message), messages.offset.at(message)),
    value,
    events,
  };
}

/**
 * Retention may have taken a message before anybody was done with it: what it drops is settled. The beginning that the last
 * complete pass found is no earlier than any before it.
 */
export function mayBeDropped({ facts, finals }: Evidence, message: number): boolean {
  const { messages } = facts.delivery;
  const place = messages.placeOf(message);
  const { topic } = facts.places.placeOf(place);
  if (facts.topics.get(topic)?.keepsAll !== false) return false;
  const from = finals.coverageOf(place)?.from ?? Number.POSITIVE_INFINITY;
  return messages.offset.at(message) < from;
}
