// Hands out messages whose next attempt is due: asks for their batches, and offers what is due for longest first. For the
// modes in which a message that failed holds up at most its key. Pure.
import type { Offset } from "../model/positions.ts";
import type { Consumer } from "./consumer-table.ts";
import type { OffsetRange } from "./delivery-commands.ts";
import type { DispatchCore } from "./dispatch-core.ts";
import type { LoadedBatch } from "./dispatch-types.ts";
import type { Grant, HeldBatch } from "./held-batch.ts";

/** Offsets of one read. */
export const RETRY_READ_MAX = 64;
/** A message that a read did not bring is asked for again after this time. */
const MISSING_DELAY_MS = 1000;

export class RetryOffers<B> {
  readonly #core: DispatchCore<B>;
  /** It is settled or unwanted. */
  readonly #gone: (offset: Offset) => void;
  #batches: HeldBatch<B>[] = [];

  constructor(core: DispatchCore<B>, gone: (offset: Offset) => void) {
    this.#core = core;
    this.#gone = gone;
  }

  /** Offsets to read, ascending. */
  wanted(): readonly Offset[] {
    const due = this.#core.retries.due(this.#core.nowMs, RETRY_READ_MAX);
    return due.filter((offset) => this.#batchOf(offset) === undefined).sort((a, b) => a - b);
  }

  accept(offsets: readonly Offset[], batches: readonly LoadedBatch<B>[]): void {
    for (const batch of batches) this.#batches.push(this.#core.hold(batch));
    const [first] = offsets;
    if (first !== undefined && this.#batchOf(first) === undefined) {
      if (this.#core.retries.has(first)) {
        this.#core.retries.add(first, this.#core.nowMs + MISSING_DELAY_MS);
      }
    }
  }

  offer(consumer: Consumer): Grant<B> | undefined {
    const { retries, nowMs } = this.#core;
    for (;;) {
      const first = retries.firstDue(nowMs);
      if (first === undefined) {
        this.drop();
        return undefined;
      }
      const held = this.#batchOf(first);
      if (this.#dropUseless(first, held)) continue;
      if (held === undefined) {
        this.#prune();
        return undefined;
      }
      return this.#grant(consumer, held);
    }
  }

  /** Forgets what was read. */
  drop(): void {
    if (this.#batches.length === 0) return;
    for (const held of this.#batches) this.#core.release(held);
    this.#batches = [];
  }

  /** @returns whether it need not go out */
  #dropUseless(offset: Offset, held: HeldBatch<B> | undefined): boolean {
    if (this.#core.isSettled(offset)) {
      this.#core.retries.delete(offset);
      this.#core.busy.delete(offset, offset + 1);
      this.#gone(offset);
      return true;
    }
    if (held === undefined || !held.isUnwanted(offset)) return false;
    // The filter is another one than when it went out first.
    this.#core.retries.delete(offset);
    this.#core.filter(offset, offset + 1);
    return true;
  }

  /** All that are due next and lie in the same batch. */
  #grant(consumer: Consumer, held: HeldBatch<B>): Grant<B> | undefined {
    const { retries, nowMs } = this.#core;
    const room = this.#core.room(consumer, held);
    if (room <= 0) return undefined;
    const offsets: Offset[] = [];
    for (const offset of retries.due(nowMs, Math.min(room, RETRY_READ_MAX))) {
      const isUseless = this.#core.isSettled(offset) || held.isUnwanted(offset);
      if (!held.holds(offset) || isUseless) break;
      offsets.push(offset);
    }
    for (const offset of offsets) retries.delete(offset);
    return { held, ranges: rangesOf(offsets), count: offsets.length, mayHaveFailed: true };
  }

  #batchOf(offset: Offset): HeldBatch<B> | undefined {
    return this.#batches.find((held) => held.holds(offset));
  }

  /** Keeps only batches that the next ones lie in. */
  #prune(): void {
    const due = this.#core.retries.due(this.#core.nowMs, RETRY_READ_MAX);
    this.#batches = this.#batches.filter((held) => {
      const isUseful = due.some((offset) => held.holds(offset));
      if (!isUseful) this.#core.release(held);
      return isUseful;
    });
  }
}

/** Runs of these offsets. */
export function rangesOf(offsets: readonly Offset[]): OffsetRange[] {
  const ranges: [Offset, Offset][] = [];
  for (const offset of [...offsets].sort((a, b) => a - b)) {
    const last = ranges.at(-1);
    if (last !== undefined && last[1] === offset) last[1] = offset + 1;
    else ranges.push([offset, offset + 1]);
  }
  return ranges;
}
