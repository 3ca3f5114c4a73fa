// Judges a history: sorts its events into tables, works out what the faults of the run excuse, and lets every check look.
// Pure: the same history gets the same verdict, now or when it is read from a file.
import { type AnomalyKind, CATALOGUE } from "./catalogue.ts";
import type { Evidence, Finding } from "./checks/check.ts";
import { CHECKS } from "./checks/registry.ts";
import { DeliveryView } from "./delivery-view.ts";
import type { DurabilityClass, HistoryEvent } from "./events.ts";
import { type Facts, gatherFacts } from "./facts.ts";
import { FinalReads } from "./final-reads.ts";
import { Promises } from "./promises.ts";
import { ReceiptsByTime } from "./receipts-by-time.ts";
import { DEFAULT_RULES, type Rules } from "./rules.ts";
import { NONE } from "./send-table.ts";

export type { AnomalyKind } from "./catalogue.ts";

export interface Anomaly {
  readonly kind: AnomalyKind;
  /** Number in the catalogue, "A1"; "–" for what is not in it. */
  readonly id: string;
  /** The value that is concerned; empty when there is none. */
  readonly value: string;
  /** For people. */
  readonly detail: string;
  /** Numbers of the events that prove it, from 0. In a saved history line 1 is event 0. */
  readonly events: readonly number[];
  readonly topic?: string | undefined;
  readonly partition?: number | undefined;
  readonly offset?: number | undefined;
}

export interface CheckOptions {
  /**
   * In histories without `scan` events: readers whose names begin with this are presumed to have read every partition from
   * its log start to its end.
   */
  readonly finalReader?: string | undefined;
  /** Instead of what classes and faults say: acknowledged sends of these classes must survive, all others need not. */
  readonly mustSurvive?: ReadonlySet<DurabilityClass> | undefined;
  /** Stronger than those in the header of the history. */
  readonly rules?: Partial<Rules> | undefined;
}

export interface CheckReport {
  /** Of each kind the first `describedMax`. */
  readonly anomalies: readonly Anomaly[];
  /** All, by kind; kinds without any are left out. */
  readonly counts: Readonly<Partial<Record<AnomalyKind, number>>>;
  /** How many facts were looked at for each kind: where it is 0, the history proves nothing about that kind. */
  readonly examined: Readonly<Partial<Record<AnomalyKind, number>>>;
  readonly events: number;
  readonly sent: number;
  readonly acknowledged: number;
  /** Not applied. */
  readonly failed: number;
  readonly unknown: number;
  /** Records, by all readers. */
  readonly read: number;
  /** Messages handed to consumers, each time counted. */
  readonly delivered: number;
  /** Acknowledgements of consumers that were confirmed, by message. */
  readonly settled: number;
}

/** Every anomaly in the history, and its counts. */
export function checkHistory(
  events: Iterable<HistoryEvent>,
  options: CheckOptions = {},
): CheckReport {
  const evidence = evidenceOf(gatherFacts(events), options);
  const collector = new Collector(evidence.rules.describedMax);
  const examined: Partial<Record<AnomalyKind, number>> = {};
  for (const { kinds, run } of CHECKS) {
    const looked = run(evidence, (kind, describe) => collector.add(kind, describe));
    for (const kind of kinds) examined[kind] = looked;
  }
  const { sends, reads, events: count } = evidence.facts;
  const { acknowledged, failed, sent, unknown } = sends;
  const { anomalies, counts } = collector;
  const ends = { sent, acknowledged, failed, unknown };
  const delivered = evidence.facts.delivery.deliveries.length;
  const settled = evidence.deliveryView.confirmedAcks();
  const seen = { read: reads.length, delivered, settled };
  return { anomalies, counts, examined, events: count, ...ends, ...seen };
}

function evidenceOf(facts: Facts, options: CheckOptions): Evidence {
  const rules: Rules = { ...DEFAULT_RULES, ...facts.header?.rules, ...options.rules };
  const promises = new Promises(facts, rules, options.mustSurvive);
  const finals = new FinalReads(facts, options.finalReader);
  const deliveryView = new DeliveryView(facts, promises, rules);
  let receipts: readonly ReceiptsByTime[] | undefined;
  const receiptsByTime = (): readonly ReceiptsByTime[] => {
    receipts ??= ReceiptsByTime.of(facts, promises);
    return receipts;
  };
  return { facts, rules, promises, finals, deliveryView, receiptsByTime };
}

class Collector {
  readonly anomalies: Anomaly[] = [];
  readonly counts: Partial<Record<AnomalyKind, number>> = {};
  readonly #describedMax: number;

  constructor(describedMax: number) {
    this.#describedMax = describedMax;
  }

  add(kind: AnomalyKind, describe: () => Finding): void {
    const count = (this.counts[kind] ?? 0) + 1;
    this.counts[kind] = count;
    if (count > this.#describedMax) return;
    const { events, message, offset, partition, topic, value } = describe();
    this.anomalies.push({
      kind,
      id: CATALOGUE[kind].id,
      value: value ?? "",
      detail: message,
      events: [...new Set(events)].filter((event) => event !== NONE).sort((a, b) => a - b),
      topic,
      partition,
      offset,
    });
  }
}
