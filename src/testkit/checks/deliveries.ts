// What the checks of subscriptions share: words for a message of a subscription, and the events that prove something.
import type { Facts } from "../facts.ts";
import { type Finding, located, shown } from "./check.ts";

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
