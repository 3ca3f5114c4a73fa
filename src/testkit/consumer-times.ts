// When each consumer of a subscription was there, and for how long it held nothing at all: then it waits for messages. Used
// by the check of consumers that are not served.
import type { ConsumerSeen } from "./delivery-events.ts";
import type { DeliveryView } from "./delivery-view.ts";
import type { Facts } from "./facts.ts";

export interface Span {
  readonly fromMs: number;
  readonly toMs: number;
}

export interface ConsumerTimes {
  readonly consumer: number;
  readonly alive: readonly Span[];
  /** Within that: only those that are long enough. */
  readonly idle: readonly Span[];
}

/** With these it is over. */
const ENDS: readonly ConsumerSeen["phase"][] = ["closing", "closed", "killed"];
const GIVES_UP = ["ack", "nack", "reject", "release"] as const;

/** By subscription (its name): consumers that were declared to be there. */
export function consumerTimes(
  facts: Facts,
  view: DeliveryView,
  idleMsMin: number,
): ReadonlyMap<string, readonly ConsumerTimes[]> {
  const lives = livesOf(facts);
  const held = heldByConsumer(facts, view);
  const result = new Map<string, ConsumerTimes[]>();
  for (const [subscription, ofConsumers] of lives) {
    const list: ConsumerTimes[] = [];
    for (const [consumer, alive] of ofConsumers) {
      const spans = held.get(consumer) ?? [];
      const idle = alive.flatMap((life) => gapsIn(life, spans, idleMsMin));
      list.push({ consumer, alive, idle });
    }
    result.set(subscription, list);
  }
  return result;
}

function livesOf({ delivery, endMs }: Facts): Map<string, Map<number, Span[]>> {
  const lives = new Map<string, Map<number, Span[]>>();
  const begun = new Map<string, number>();
  const end = (subscription: string, consumer: number, atMs: number): void => {
    const name = `${subscription}|${consumer}`;
    const fromMs = begun.get(name);
    if (fromMs === undefined) return;
    begun.delete(name);
    const ofSubscription = lives.get(subscription) ?? new Map<number, Span[]>();
    lives.set(subscription, ofSubscription);
    ofSubscription.set(consumer, [...(ofSubscription.get(consumer) ?? []), { fromMs, toMs: atMs }]);
  };
  const events = delivery.lives.map(({ event }) => event).sort((a, b) => a.atMs - b.atMs);
  const left: [string, number][] = [];
  for (const { atMs, consumer, phase, subscription } of events) {
    const number = delivery.consumers.numberOf(consumer);
    if (phase === "started") {
      end(subscription, number, atMs);
      begun.set(`${subscription}|${number}`, atMs);
      left.push([subscription, number]);
    } else if (ENDS.includes(phase)) end(subscription, number, atMs);
  }
  for (const [subscription, number] of left) end(subscription, number, endMs);
  return lives;
}

/** Times in which each consumer held something, joined, in ascending order. */
function heldByConsumer({ delivery, endMs }: Facts, view: DeliveryView): Map<number, Span[]> {
  const { deliveries } = delivery;
  const rows = new Map<number, number[]>();
  for (let row = 0; row < deliveries.length; row += 1) {
    const consumer = deliveries.consumer.at(row);
    const list = rows.get(consumer);
    if (list === undefined) rows.set(consumer, [row]);
    else list.push(row);
  }
  const held = new Map<number, Span[]>();
  for (const [consumer, list] of rows) {
    list.sort((a, b) => deliveries.atMs.at(a) - deliveries.atMs.at(b));
    const spans: { fromMs: number; toMs: number }[] = [];
    for (const row of list) {
      const fromMs = deliveries.atMs.at(row);
      const givenUpMs = Math.min(view.askedMs([row], GIVES_UP), deliveries.lostMs.at(row));
      const toMs = Math.min(givenUpMs, endMs);
      const last = spans.at(-1);
      if (last === undefined || fromMs > last.toMs) spans.push({ fromMs, toMs });
      else last.toMs = Math.max(last.toMs, toMs);
    }
    held.set(consumer, spans);
  }
  return held;
}

function gapsIn(life: Span, held: readonly Span[], msMin: number): Span[] {
  const gaps: Span[] = [];
  let { fromMs } = life;
  for (const span of held) {
    if (span.fromMs >= life.toMs) break;
    if (span.fromMs - fromMs >= msMin) gaps.push({ fromMs, toMs: span.fromMs });
    fromMs = Math.max(fromMs, span.toMs);
  }
  if (life.toMs - fromMs >= msMin) gaps.push({ fromMs, toMs: life.toMs });
  return gaps;
}
