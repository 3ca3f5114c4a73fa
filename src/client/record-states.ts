// The states that the messages of one delivery pass through, a byte each, and what follows from them: ranges of offsets, and
// the settlements that one turn sends.
//
//   waiting → begun → working → decided → sent → confirmed        any but the last: → lost
//             (told)             ▲          └──► unknown ──► decided again (resumed by another leader), or lost
import type { Deferred } from "../base/deferred.ts";
import { ACK, type Decision } from "./handler-outcome.ts";

/** Not of this delivery. */
export const ABSENT = 0;
/** Received, and nobody has it yet. */
export const WAITING = 1;
/** A handler has it; the broker is not told yet. */
export const BEGUN = 2;
export const WORKING = 3;
/** Its settlement is to be sent. */
export const DECIDED = 4;
export const SENT = 5;
/** Its settlement was sent, and the stream broke before an answer. */
export const UNKNOWN = 6;
export const CONFIRMED = 7;
export const LOST = 8;
export const REFUSED = 9;

/** A settlement to be sent: offsets as pairs (first, count). */
export interface PlannedSettle {
  readonly kind: Decision["kind"] | "begun" | "extend";
  readonly retryAtMs: number;
  readonly error: string;
  readonly ranges: number[];
  /** EXTEND: who waits for it. */
  readonly done?: Deferred<void> | undefined;
}

/** Numbers in the ranges of one settlement: the protocol bounds the elements of a message. */
export const RANGE_NUMBERS_MAX = 4096;

/**
 * What is to be sent of the positions [from, to); it counts as sent from now on. One settlement for each run of equal
 * decisions, and before them what has begun.
 */
export function planSettles(
  states: Uint8Array,
  from: number,
  to: number,
  firstOffset: number,
  decisions: ReadonlyMap<number, Decision> | undefined,
  into: PlannedSettle[],
): void {
  // A message is begun before it is settled.
  const begunAt = into.length;
  let begun: PlannedSettle | undefined;
  let open: PlannedSettle | undefined;
  let openDecision: Decision | undefined;
  for (let at = from; at < to; at += 1) {
    const state = states[at];
    if (state === BEGUN) {
      states[at] = WORKING;
      if (begun === undefined || isLong(begun.ranges)) {
        begun = { kind: "begun", retryAtMs: 0, error: "", ranges: [] };
        into.splice(begunAt, 0, begun);
      }
      extendRanges(begun.ranges, firstOffset + at);
    } else if (state === DECIDED) {
      states[at] = SENT;
      const decision = decisions?.get(at) ?? ACK;
      if (open === undefined || decision !== openDecision || isLong(open.ranges)) {
        const { error, kind, retryAtMs } = decision;
        open = { kind, retryAtMs, error, ranges: [] };
        openDecision = decision;
        into.push(open);
      }
      extendRanges(open.ranges, firstOffset + at);
    }
  }
}

/** Positions [from, to) for pairs (first offset, count), as far as there are such positions. */
export function* positionsIn(
  ranges: readonly number[],
  firstOffset: number,
  count: number,
): Generator<readonly [number, number]> {
  for (let i = 0; i + 1 < ranges.length; i += 2) {
    const from = (ranges[i] ?? 0) - firstOffset;
    const end = Math.min(from + (ranges[i + 1] ?? 0), count);
    if (end > 0 && from < end) yield [Math.max(0, from), end];
  }
}

/** Pairs (first offset, count) of what is in a wanted state. */
export function offsetRanges(
  states: Uint8Array,
  firstOffset: number,
  isWanted: (state: number) => boolean,
): number[] {
  const ranges: number[] = [];
  for (const [at, state] of states.entries()) {
    if (isWanted(state)) extendRanges(ranges, firstOffset + at);
  }
  return ranges;
}

/** @param ranges pairs: first offset, count */
export function* offsetsOf(ranges: readonly number[]): Generator<number> {
  for (let i = 0; i + 1 < ranges.length; i += 2) {
    const first = ranges[i] ?? 0;
    for (let offset = first; offset < first + (ranges[i + 1] ?? 0); offset += 1) yield offset;
  }
}

/** Adds an offset to pairs (first offset, count). Offsets come in their order. */
export function extendRanges(ranges: number[], offset: number): void {
  const last = ranges.length - 2;
  const count = ranges[last + 1] ?? 0;
  if (last >= 0 && (ranges[last] ?? 0) + count === offset) ranges[last + 1] = count + 1;
  else ranges.push(offset, 1);
}

function isLong(ranges: readonly number[]): boolean {
  return ranges.length >= RANGE_NUMBERS_MAX;
}

/** The smallest [from, to) that holds all positions that were added. */
export class PositionSpan {
  #from = 0;
  #to = 0;

  add(at: number): void {
    if (this.#from === this.#to) {
      this.#from = at;
      this.#to = at + 1;
      return;
    }
    if (at < this.#from) this.#from = at;
    if (at >= this.#to) this.#to = at + 1;
  }

  /** Empty afterwards. */
  take(): readonly [number, number] {
    const span = [this.#from, this.#to] as const;
    this.#from = 0;
    this.#to = 0;
    return span;
  }
}
