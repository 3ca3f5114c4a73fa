// What the checks of subscriptions ask about deliveries: which came before which, when a message may have been settled,
// whether a reset explains something. Times are those at the consumers: what was asked later than a time was not in force
// then; what was confirmed earlier was.
import type { ConsumerSeen, SubscriptionDeclared, SubscriptionReset } from "./delivery-events.ts";
import type { OfLane } from "./delivery-facts.ts";
import type { Facts } from "./facts.ts";
import type { Promises } from "./promises.ts";
import type { Rules } from "./rules.ts";
import { NONE } from "./send-table.ts";
import type { Verdict } from "./settlement-table.ts";

/** Between the signal that ends a consumer and its last event. */
const DYING_MS = 100;

export class DeliveryView {
  readonly #facts: Facts;
  readonly #promises: Promises;
  readonly #rules: Rules;
  /** By lane. */
  readonly #resets = new Map<number, OfLane<SubscriptionReset>[]>();
  /** By consumer: times at which its leases may have ended with its connection. */
  readonly #ends = new Map<number, number[]>();
  /** By consumer: times in which nothing reached it, ascending. */
  readonly #silences = new Map<number, Silence[]>();
  /** By subscription: the same as #ends, for all of its consumers; and of those only the kills. */
  readonly #endsOf = new Map<string, number[]>();
  readonly #killsOf = new Map<string, number[]>();
  /** By subscription: every consumer says when it begins with a message. */
  readonly #isReporting = new Map<string, boolean>();
  readonly #dead = new Set<number>();
  /** By subscription, one for each declaration. */
  readonly #filters = new Map<number, readonly Wanted[]>();

  constructor(facts: Facts, promises: Promises, rules: Rules) {
    this.#facts = facts;
    this.#promises = promises;
    this.#rules = rules;
    const { consumers, dead, lives, resets } = facts.delivery;
    for (const reset of resets) listIn(this.#resets, reset.lane).push(reset);
    for (const { message } of dead) this.#dead.add(message);
    for (const { event } of lives) {
      const { atMs, consumer, phase, reportsBegun, subscription } = event;
      if (phase === "killed") listIn(this.#killsOf, subscription).push(atMs);
      this.#hear(consumers.numberOf(consumer), event);
      if (phase !== "started") {
        listIn(this.#ends, consumers.numberOf(consumer)).push(atMs);
        listIn(this.#endsOf, subscription).push(atMs);
      } else if (reportsBegun !== true) this.#isReporting.set(subscription, false);
      else if (!this.#isReporting.has(subscription)) this.#isReporting.set(subscription, true);
    }
  }

  /** All deliveries of a message, in the order in which they were handed out. */
  deliveriesOf(message: number): number[] {
    const { deliveries, messages } = this.#facts.delivery;
    const rows: number[] = [];
    let row = messages.newest.at(message);
    for (; row !== NONE; row = deliveries.previous.at(row)) rows.push(row);
    return rows.reverse().sort((a, b) => {
      if (deliveries.isBefore(a, b)) return -1;
      return deliveries.isBefore(b, a) ? 1 : 0;
    });
  }

  wasDeliveredOnce(message: number): boolean {
    const { deliveries, messages } = this.#facts.delivery;
    const newest = messages.newest.at(message);
    return newest === NONE || deliveries.previous.at(newest) === NONE;
  }

  /**
   * Since when it may have been under way, but for `slackMs`: a delivery is written down when it arrives, and its consumer may
   * have been out of reach before.
   */
  underWayMs(delivery: number): number {
    const { deliveries } = this.#facts.delivery;
    const atMs = deliveries.atMs.at(delivery);
    let sinceMs = atMs;
    for (const { fromMs, toMs } of this.#silences.get(deliveries.consumer.at(delivery)) ?? []) {
      const isLate = fromMs <= atMs && atMs <= toMs + this.slackMs;
      if (isLate) sinceMs = Math.min(sinceMs, fromMs);
    }
    return sinceMs;
  }

  /** Settlements of one delivery. */
  *settlementsOf(delivery: number): Generator<number> {
    const { deliveries, settlements } = this.#facts.delivery;
    let part = deliveries.firstPart.at(delivery);
    for (; part !== NONE; part = settlements.partNext.at(part)) {
      yield settlements.partSettlement.at(part);
    }
  }

  /** First time at which one of these was asked for and was not refused, over some deliveries; infinite: never. */
  askedMs(deliveries: Iterable<number>, verdicts: readonly Verdict[]): number {
    const { settlements } = this.#facts.delivery;
    let first = Number.POSITIVE_INFINITY;
    for (const delivery of deliveries) {
      for (const settlement of this.settlementsOf(delivery)) {
        if (settlements.isRefused(settlement)) continue;
        if (!verdicts.includes(settlements.verdictOf(settlement))) continue;
        first = Math.min(first, settlements.askedMs.at(settlement));
      }
    }
    return first;
  }

  isDead(message: number): boolean {
    return this.#dead.has(message);
  }

  /** The last reset that certainly went back to before the message, until a time. */
  lastRewindOf(message: number, untilMs: number): SubscriptionReset | undefined {
    const offset = this.#facts.delivery.messages.offset.at(message);
    let last: SubscriptionReset | undefined;
    for (const { event } of this.#resetsOf(message)) {
      if (event.outcome !== "done" || event.offset > offset || event.atMs > untilMs) continue;
      if (last === undefined || event.beganMs > last.beganMs) last = event;
    }
    return last;
  }

  /** A reset may have gone back to before the message, between two times. */
  isRewound(message: number, fromMs: number, toMs: number): boolean {
    const offset = this.#facts.delivery.messages.offset.at(message);
    return this.#resetsOf(message).some(
      ({ event }) => event.offset <= offset && overlaps(event, fromMs, toMs),
    );
  }

  /** A reset may have passed over the message, between two times. */
  isPassed(message: number, fromMs: number, toMs: number): boolean {
    const offset = this.#facts.delivery.messages.offset.at(message);
    return this.#resetsOf(message).some(
      ({ event }) => event.offset > offset && overlaps(event, fromMs, toMs),
    );
  }

  isLaneReset(lane: number): boolean {
    return this.#resets.has(lane);
  }

  /** A reset of the lane passed over an offset that no row of the table stands for. */
  isOffsetPassed(lane: number, offset: number): boolean {
    const resets = this.#resets.get(lane) ?? [];
    return resets.some(({ event }) => event.offset > offset);
  }

  /** The message, or its key, may have been let go by hand until then. */
  isUnparked(message: number, skipsMessage?: boolean, untilMs = Number.POSITIVE_INFINITY): boolean {
    const { messages, unparks } = this.#facts.delivery;
    const lane = messages.lane.at(message);
    const offset = messages.offset.at(message);
    return unparks.some(
      ({ event, lane: other }) =>
        other === lane &&
        event.offset === offset &&
        event.beganMs <= untilMs &&
        (skipsMessage === undefined || event.skipsMessage === skipsMessage),
    );
  }

  /**
   * The consumer ended, or lost its connection, at some time between two times. What was written down just before counts,
   * too: a process that is being killed goes on for a moment.
   */
  endedWithin(consumer: number, fromMs: number, toMs: number): boolean {
    const ends = this.#ends.get(consumer) ?? [];
    return ends.some((ms) => ms >= fromMs - DYING_MS && ms <= toMs);
  }

  /**
   * So often, between two times, a message may have failed without that any delivery of it was written down: with a
   * consumer that was killed before it could tell. Others lose what they did not begin.
   */
  failedUnseen(subscription: string, fromMs: number, toMs: number): number {
    const isReporting = this.isReporting(subscription);
    const times = (isReporting ? this.#killsOf : this.#endsOf).get(subscription) ?? [];
    return times.filter((ms) => ms >= fromMs && ms <= toMs).length;
  }

  isReporting(subscription: string): boolean {
    return this.#isReporting.get(subscription) ?? false;
  }

  /** No fault of the run excuses that something which was confirmed about this message is forgotten. */
  isKept(message: number, fromMs: number, toMs: number): boolean {
    const place = this.#facts.delivery.messages.placeOf(message);
    const { topic } = this.#facts.places.placeOf(place);
    return this.#promises.statementHolds(topic, fromMs, toMs);
  }

  /** The message was handed out, and the log may have lost it until then. Of two nodes, one may have before it arrived. */
  mayBeGone(delivery: number, byMs: number): boolean {
    const { delivery: facts, places, sends } = this.#facts;
    const { deliveries, messages } = facts;
    const { topic } = places.placeOf(messages.placeOf(deliveries.message.at(delivery)));
    const handedOutMs = deliveries.atMs.at(delivery);
    const value = deliveries.row.at(delivery);
    const fromMs = sends.isSent(value)
      ? Math.min(sends.sentMs.at(value), handedOutMs)
      : handedOutMs;
    return this.#promises.mayBeGone(topic, fromMs, handedOutMs, byMs);
  }

  /** Whether a subscription wants a value; undefined when its definition changed about that. */
  wants(subscription: number, row: number): boolean | undefined {
    const { sends } = this.#facts;
    const value = sends.valueOf(row);
    const markerRow = sends.marker.at(row);
    const marker = markerRow === NONE ? undefined : sends.markers.textOf(markerRow);
    const topic = sends.topics.textOf(sends.topic.at(row));
    let answer: boolean | undefined;
    for (const [at, filter] of this.#filtersOf(subscription).entries()) {
      const isWanted = filter.topics.has(topic) && passes(filter, value, marker);
      if (at > 0 && isWanted !== answer) return undefined;
      answer = isWanted;
    }
    return answer;
  }

  get slackMs(): number {
    return this.#rules.leaseSlackMs;
  }

  /** Messages whose acknowledgement was confirmed, each settlement counted. */
  confirmedAcks(): number {
    const { settlements } = this.#facts.delivery;
    let count = 0;
    for (let part = 0; part < settlements.parts; part += 1) {
      const settlement = settlements.partSettlement.at(part);
      if (settlements.verdictOf(settlement) !== "ack") continue;
      if (settlements.isConfirmed(settlement)) count += 1;
    }
    return count;
  }

  #hear(consumer: number, { atMs, phase }: ConsumerSeen): void {
    const silences = listIn(this.#silences, consumer);
    const last = silences.at(-1);
    if (phase === "unreachable") silences.push({ fromMs: atMs, toMs: Number.POSITIVE_INFINITY });
    else if (last?.toMs === Number.POSITIVE_INFINITY && phase !== "disconnected") last.toMs = atMs;
  }

  #filtersOf(subscription: number): readonly Wanted[] {
    let filters = this.#filters.get(subscription);
    if (filters === undefined) {
      filters = (this.#facts.delivery.declared[subscription] ?? []).map(({ event }) =>
        wantedBy(event),
      );
      this.#filters.set(subscription, filters);
    }
    return filters;
  }

  #resetsOf(message: number): readonly OfLane<SubscriptionReset>[] {
    return this.#resets.get(this.#facts.delivery.messages.lane.at(message)) ?? [];
  }
}

interface Silence {
  readonly fromMs: number;
  /** Infinite: to the end. */
  toMs: number;
}

/** A declaration's filter, ready to be asked for every message. */
interface Wanted {
  readonly topics: ReadonlySet<string>;
  /** Undefined: any. */
  readonly values: ReadonlySet<string> | undefined;
  readonly markers: ReadonlySet<string> | undefined;
}

function wantedBy({ filter, topics }: SubscriptionDeclared): Wanted {
  const values = filter !== undefined && "values" in filter ? new Set(filter.values) : undefined;
  const markers = filter !== undefined && "markers" in filter ? new Set(filter.markers) : undefined;
  return { topics: new Set(topics), values, markers };
}

function passes({ markers, values }: Wanted, value: string, marker: string | undefined): boolean {
  if (values !== undefined) return values.has(value);
  return markers === undefined || (marker !== undefined && markers.has(marker));
}

/** One of unknown outcome may happen at any time until the end. */
function overlaps(event: SubscriptionReset, fromMs: number, toMs: number): boolean {
  const endMs = event.outcome === "unknown" ? Number.POSITIVE_INFINITY : event.atMs;
  return event.beganMs <= toMs && endMs >= fromMs;
}

function listIn<K, V>(lists: Map<K, V[]>, name: K): V[] {
  let list = lists.get(name);
  if (list === undefined) {
    list = [];
    lists.set(name, list);
  }
  return list;
}
