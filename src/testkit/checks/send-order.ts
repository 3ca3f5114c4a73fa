// A13: the sends of one producer to one partition are stored in the order of the calls. By receipts, and by the final
// log. Sends that wait for a majority and those that do not are two orders.
import { NONE } from "../send-table.ts";
import { at, type Check, type Evidence, eventsOf, type Found, located, shown } from "./check.ts";

/** The latest of its order. */
interface Latest {
  readonly row: number;
  readonly position: number;
  readonly epoch: number;
}

export const sendOrderCheck: Check = {
  kinds: ["send-reorder"],
  run: (evidence, found) => {
    // By receipts and in the log, one pair is one finding.
    const reported = new Set<number>();
    const report: Report = (earlier, later, offenders, how) => {
      if (offenders.some((row) => reported.has(row))) return;
      for (const row of offenders) reported.add(row);
      found("send-reorder", () => describe(evidence, earlier, later, how));
    };
    byReceipts(evidence, report);
    byFinalLog(evidence, report);
    return evidence.facts.sends.acknowledged;
  },
};

type Report = (earlier: number, later: number, offenders: readonly number[], how: string) => void;

/** Receipts of one leader's word are comparable within its epoch only: another leader may have begun further below. */
function byReceipts({ facts, promises }: Evidence, report: Report): void {
  const { sends } = facts;
  const latest = new Map<number, Latest>();
  for (let call = 0; call < sends.calls.length; call += 1) {
    const row = sends.calls.at(call);
    if (!isOrdered(facts, row)) continue;
    const name = orderOf(facts, row, sends.ackPlace.at(row));
    const before = latest.get(name);
    const position = sends.ackOffset.at(row);
    const epoch = sends.ackEpoch.at(row);
    const isComparable =
      before !== undefined &&
      (sends.isStrong(row) ? promises.receiptHolds(before.row) : before.epoch === epoch);
    if (isComparable && position < before.position) {
      report(before.row, row, [before.row, row], "by their receipts");
    } else latest.set(name, { row, position, epoch });
  }
}

/** Final reads come in the order of the log. */
function byFinalLog({ facts, finals }: Evidence, report: Report): void {
  const { reads } = facts;
  const latest = new Map<number, Latest>();
  const calls = callNumbers(facts);
  for (let read = 0; read < reads.length; read += 1) {
    if (!finals.isFinal(read)) continue;
    const row = reads.row.at(read);
    // A second copy is a duplicate, not a disorder.
    if (finals.readOf(row) !== read || !isOrdered(facts, row)) continue;
    const name = orderOf(facts, row, reads.place.at(read));
    const position = calls[row] ?? 0;
    const before = latest.get(name);
    if (before !== undefined && position < before.position) {
      report(row, before.row, [row], "in the log");
    } else latest.set(name, { row, position, epoch: 0 });
  }
}

function isOrdered({ sends }: Evidence["facts"], row: number): boolean {
  return sends.isAcknowledged(row) && sends.isIdempotent.at(row) === 1;
}

/** One number for producer, partition and kind of acknowledgement. */
function orderOf({ places, sends }: Evidence["facts"], row: number, place: number): number {
  const producer = sends.producer.at(row);
  return (producer * places.size + place) * 2 + (sends.isStrong(row) ? 1 : 0);
}

function callNumbers({ sends }: Evidence["facts"]): Int32Array {
  const numbers = new Int32Array(sends.length).fill(NONE);
  for (let call = 0; call < sends.calls.length; call += 1) numbers[sends.calls.at(call)] = call;
  return numbers;
}

function describe(
  { facts }: Evidence,
  earlier: number,
  later: number,
  how: string,
): ReturnType<Parameters<Found>[1]> {
  const { sends } = facts;
  const place = sends.ackPlace.at(later);
  const offset = sends.ackOffset.at(later);
  const producer = sends.producers.textOf(sends.producer.at(later));
  const first = shown(sends.valueOf(earlier));
  const second = shown(sends.valueOf(later));
  return {
    message: `${producer} sent ${first} before ${second} (${at(facts, place, offset)}), which stands before it ${how}`,
    ...located(facts, place, offset),
    value: sends.valueOf(later),
    events: [...eventsOf(facts, earlier), ...eventsOf(facts, later)],
  };
}
