// Mode shared: any consumer, any order. Due retries first, then unsettled offsets as they lie in the log; whole batches while
// nothing of them is settled, busy or unwanted. Pure.
import type { Offset } from "../model/positions.ts";
import type { Consumer } from "./consumer-table.ts";
import type { OffsetRange, ReleaseUpdate } from "./delivery-commands.ts";
import type { DispatchCore } from "./dispatch-core.ts";
import type { LoadedBatch } from "./dispatch-types.ts";
import type { Grant, HeldBatch } from "./held-batch.ts";
import { type KnownKey, type ModeRules, READ_BYTES } from "./mode-rules.ts";
import { ReadPlan } from "./read-plan.ts";
import { RetryOffers } from "./retry-offers.ts";

export class SharedMode<B> implements ModeRules<B> {
  readonly #core: DispatchCore<B>;
  /** What was not read yet, or came back. What is loaded is not in it. */
  readonly #plan: ReadPlan;
  #loaded: HeldBatch<B>[] = [];
  #loadedBytes = 0;
  readEpoch = 0;
  readonly retries: RetryOffers<B>;

  constructor(core: DispatchCore<B>) {
    this.#core = core;
    this.#plan = new ReadPlan(core.state.cursor);
    this.retries = new RetryOffers(core, () => undefined);
    this.#noteFailures();
  }

  readFrom(): Offset | undefined {
    if (this.#loadedBytes >= READ_BYTES / 2) return undefined;
    for (;;) {
      const { first, firstEnd } = this.#plan;
      const free = this.#core.nextFree(first);
      this.#plan.remove(first, Math.min(free, firstEnd));
      if (free < firstEnd) return free;
    }
  }

  accept(from: Offset, batches: readonly LoadedBatch<B>[]): void {
    let position = from;
    for (const batch of batches) {
      this.#loaded.push(this.#core.hold(batch));
      this.#loadedBytes += batch.bytes;
      this.#plan.remove(Math.min(position, batch.baseOffset), batch.endOffset);
      position = batch.endOffset;
    }
  }

  turn(): Consumer | undefined {
    return this.#core.consumers.first();
  }

  offer(consumer: Consumer): Grant<B> | undefined {
    return this.retries.offer(consumer) ?? this.#next(consumer);
  }

  wakeAtMs(): number {
    return Number.POSITIVE_INFINITY;
  }

  returned(from: Offset, to: Offset): void {
    this.#core.setFree(from, to);
    this.#plan.add(from, to);
  }

  failing(): void {}

  failed(offset: Offset, notBeforeMs: number): void {
    this.#core.retries.add(offset, notBeforeMs);
  }

  settled(): void {}

  acknowledged(): void {}

  dead(): void {}

  parked(offset: Offset): void {
    // Only when the mode was another one while this was under way: nothing is held up here.
    this.#core.retries.add(offset, this.#core.nowMs);
  }

  released(offset: Offset, action: ReleaseUpdate["action"]): void {
    this.#core.retries.delete(offset);
    if (action === "dead") this.#core.busy.add(offset, offset + 1);
    else if (!this.#core.isSettled(offset)) this.returned(offset, offset + 1);
  }

  adopt(_consumer: Consumer, ranges: readonly OffsetRange[]): OffsetRange[] {
    const adopted: OffsetRange[] = [];
    for (const [from, to] of ranges) {
      for (let offset = this.#core.nextFree(from); offset < to; ) {
        const end = this.#core.freeUntil(offset, to);
        this.#core.busy.add(offset, end);
        adopted.push([offset, end]);
        offset = this.#core.nextFree(end);
      }
    }
    return adopted;
  }

  keyOf(): KnownKey {
    return { value: undefined };
  }

  behind(): undefined {
    return undefined;
  }

  unreadBefore(): undefined {
    return undefined;
  }

  dropReadAhead(): void {
    for (const held of this.#loaded) this.#core.release(held);
    this.#loaded = [];
    this.#loadedBytes = 0;
    this.readEpoch += 1;
    this.#plan.reset(this.#core.state.cursor);
  }

  reset(): void {
    this.dropReadAhead();
    this.retries.drop();
    this.#noteFailures();
  }

  #next(consumer: Consumer): Grant<B> | undefined {
    if (this.#core.isFailureLimitReached) return undefined;
    for (let held = this.#loaded[0]; held !== undefined; held = this.#loaded[0]) {
      const end = held.batch.endOffset;
      this.#core.filterAgain(held);
      let offset = this.#core.nextFree(held.position);
      if (offset >= end) {
        this.#done(held);
        continue;
      }
      const room = this.#core.room(consumer, held);
      if (room <= 0) return undefined;
      const ranges: OffsetRange[] = [];
      let count = 0;
      while (offset < end && count < room) {
        const stop = Math.min(this.#core.freeUntil(offset, end), offset + room - count);
        ranges.push([offset, stop]);
        count += stop - offset;
        offset = stop < end && count < room ? this.#core.nextFree(stop) : stop;
      }
      held.position = offset;
      if (offset >= end) this.#done(held);
      // A message that failed and came back without penalty goes out from here, not as a retry.
      return { held, ranges, count, mayHaveFailed: this.#core.state.failures.size > 0 };
    }
    return undefined;
  }

  #done(held: HeldBatch<B>): void {
    this.#loaded.shift();
    this.#loadedBytes -= held.batch.bytes;
    this.#core.release(held);
  }

  /** What failed before goes out by its time, or never. */
  #noteFailures(): void {
    for (const failure of this.#core.state.failures.all()) {
      const { isDead, offset } = failure;
      this.#core.busy.add(offset, offset + 1);
      if (!isDead) this.#core.retries.add(offset, this.#core.dueMsOf(failure));
    }
  }
}
