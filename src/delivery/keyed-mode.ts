// Modes keyed and fifo: the earliest unsettled message of each key may go out, the later ones wait behind it in a window.
// keyed: messages without a key have no order; fifo: they are one key. Everything is read in order, so that a key's first
// message is always met before its others. Pure.
import type { Offset } from "../model/positions.ts";
import type { Consumer } from "./consumer-table.ts";
import type { OffsetRange, ReleaseUpdate } from "./delivery-commands.ts";
import type { DispatchCore } from "./dispatch-core.ts";
import type { LoadedBatch } from "./dispatch-types.ts";
import type { Grant, HeldBatch } from "./held-batch.ts";
import { type Behind, type KnownKey, type ModeRules, READ_BYTES } from "./mode-rules.ts";
import { OrderTable, type Waiting } from "./order-table.ts";
import { ReadPlan } from "./read-plan.ts";
import { RetryOffers } from "./retry-offers.ts";

/** Batches kept for messages that wait, and read ahead. Beyond: nothing more is read until some went out. */
export const WINDOW_BYTES_MAX = 4 * 1024 * 1024;
/** No key looks like this: the names of keys are made of bytes. */
const WITHOUT_KEY = "\u0100";

export class KeyedMode<B> implements ModeRules<B> {
  readonly #core: DispatchCore<B>;
  readonly #isFifo: boolean;
  readonly #order: OrderTable<B>;
  /** What was not looked at yet, or is to be looked at again. What is loaded is in it until it was looked at. */
  readonly #plan: ReadPlan;
  /** Read and not (completely) looked at, ascending. */
  #loaded: HeldBatch<B>[] = [];
  /** Of all batches that are kept. */
  #bytes = 0;
  /** Messages that consumers went on with before they were met: their keys are not known yet. */
  readonly #adopted = new Set<Offset>();
  /** The lowest message that was passed over because its key is parked. */
  #passedOver: Offset = Number.POSITIVE_INFINITY;
  readEpoch = 0;
  readonly retries: RetryOffers<B>;

  constructor(core: DispatchCore<B>, isFifo: boolean) {
    this.#core = core;
    this.#isFifo = isFifo;
    this.#plan = new ReadPlan(core.state.cursor);
    this.#order = new OrderTable((message) => this.#leftWindow(message));
    this.retries = new RetryOffers(core, (offset) => this.#order.advance(offset));
  }

  readFrom(): Offset | undefined {
    this.#look();
    if (this.#loaded.length > 0 && this.#order.isFull) return undefined;
    if (this.#bytes >= WINDOW_BYTES_MAX || this.#loadedBytes() >= READ_BYTES / 2) return undefined;
    const last = this.#loaded.at(-1);
    const from = this.#plan.next(last?.batch.endOffset ?? 0);
    return this.#plan.next(this.#core.state.settled.nextUnsettled(from));
  }

  accept(_from: Offset, batches: readonly LoadedBatch<B>[]): void {
    for (const batch of batches) {
      this.#loaded.push(this.#core.hold(batch));
      this.#bytes += batch.bytes;
    }
    this.#look();
  }

  turn(): Consumer | undefined {
    return this.#core.consumers.first();
  }

  offer(consumer: Consumer): Grant<B> | undefined {
    const retry = this.retries.offer(consumer);
    if (retry !== undefined || this.#core.isFailureLimitReached) return retry;
    this.#look();
    const first = this.#firstReady();
    if (first === undefined) return undefined;
    const { held } = first;
    const room = this.#core.room(consumer, held);
    if (room <= 0) return undefined;
    const ranges: [Offset, Offset][] = [];
    let count = 0;
    for (
      let next: Waiting<B> | undefined = first;
      next?.held === held && count < room;
      next = this.#firstReady()
    ) {
      this.#order.take(next);
      count += 1;
      const last = ranges.at(-1);
      if (last !== undefined && last[1] === next.offset) last[1] += 1;
      else ranges.push([next.offset, next.offset + 1]);
    }
    this.#releaseIfDone(held);
    return { held, ranges, count, mayHaveFailed: this.#core.state.failures.size > 0 };
  }

  wakeAtMs(): number {
    return Number.POSITIVE_INFINITY;
  }

  returned(from: Offset, to: Offset): void {
    for (let offset = from; offset < to; offset += 1) this.failed(offset, 0);
  }

  failing(): void {}

  failed(offset: Offset, notBeforeMs: number): void {
    if (this.#order.isKnown(offset)) {
      this.#core.retries.add(offset, notBeforeMs);
      return;
    }
    // Not met yet: reading comes by, and finds whether it failed.
    this.#adopted.delete(offset);
    this.#core.busy.delete(offset, offset + 1);
    this.#lookAgain(offset, offset + 1);
  }

  settled(from: Offset, to: Offset): void {
    for (let offset = from; offset < to; offset += 1) {
      this.#order.advance(offset);
      if (this.#adopted.size > 0) this.#adopted.delete(offset);
    }
  }

  acknowledged(): void {}

  dead(offset: Offset): void {
    this.#adopted.delete(offset);
    this.#order.advance(offset);
  }

  parked(offset: Offset, scope: "key" | "partition"): void {
    const isKnown = this.#order.isKnown(offset);
    // A stopped partition goes on with this message, so it keeps its place.
    if (isKnown && scope === "partition") return;
    this.#order.dropTurn(offset);
    this.#adopted.delete(offset);
    this.#core.busy.delete(offset, offset + 1);
    if (!isKnown) this.#lookAgain(offset, offset + 1);
  }

  released(offset: Offset, action: ReleaseUpdate["action"]): void {
    const isKnown = this.#order.isKnown(offset);
    if (action === "dead") this.#core.busy.add(offset, offset + 1);
    if (action === "settle") this.#core.busy.delete(offset, offset + 1);
    // It was met by reading while it was parked with the partition: what is dead or settled is not tried again.
    if (action !== "retry") this.#core.retries.delete(offset);
    if (!isKnown || this.#passedOver < this.#plan.front) {
      const from = Math.min(offset, this.#passedOver);
      this.#passedOver = Number.POSITIVE_INFINITY;
      this.#lookAgain(from, this.#plan.front);
    }
    if (!isKnown) return;
    if (action === "retry") this.#core.retries.add(offset, 0);
    else this.#order.advance(offset);
  }

  adopt(_consumer: Consumer, ranges: readonly OffsetRange[]): OffsetRange[] {
    const adopted: [Offset, Offset][] = [];
    for (const [from, to] of ranges) {
      for (let offset = from; offset < to; offset += 1) {
        if (!this.#adoptOne(offset)) continue;
        const last = adopted.at(-1);
        if (last !== undefined && last[1] === offset) last[1] += 1;
        else adopted.push([offset, offset + 1]);
      }
    }
    return adopted;
  }

  keyOf(offset: Offset): KnownKey | undefined {
    const turn = this.#order.turnOfHead(offset);
    if (turn !== undefined) return { value: keyOfName(turn.name) };
    return this.#order.isKnown(offset) ? { value: undefined } : undefined;
  }

  behind(offset: Offset, key: KnownKey | undefined): Behind | undefined {
    const name = key === undefined ? undefined : this.#nameOf(key.value);
    const byKey = name === undefined ? undefined : this.#order.turnOf(name);
    const turn = this.#order.find(offset)?.turn ?? byKey;
    if (turn === undefined || turn.head >= offset) return undefined;
    return { offset: turn.head, key: keyOfName(turn.name) };
  }

  unreadBefore(offset: Offset, key: KnownKey | undefined): Offset | undefined {
    if (key !== undefined && this.#nameOf(key.value) === undefined) return undefined;
    if (this.#order.isKnown(offset) || this.#order.find(offset) !== undefined) return undefined;
    const { settled } = this.#core.state;
    let first = this.#plan.first;
    // Each step leaves a run of the plan, or of what is settled.
    for (let last = -1; last < first && first < offset; ) {
      last = first;
      first = this.#plan.next(settled.nextUnsettled(first));
    }
    return first < offset ? first : undefined;
  }

  dropReadAhead(): void {
    this.#dropLoaded();
    this.#order.dropWindow();
    this.#plan.reset(this.#core.state.cursor);
  }

  reset(): void {
    this.#dropLoaded();
    this.#order.clear();
    this.#adopted.clear();
    this.#passedOver = Number.POSITIVE_INFINITY;
    this.retries.drop();
    this.#plan.reset(this.#core.state.cursor);
  }

  /** Looks at what was read, as far as the window has room. */
  #look(): void {
    for (let held = this.#loaded[0]; held !== undefined; held = this.#loaded[0]) {
      const { baseOffset, endOffset } = held.batch;
      while (held.position < endOffset && !this.#order.isFull) {
        this.#meet(held.position, held);
        held.position += 1;
      }
      // Below the batch there is nothing any more, or it was settled.
      this.#plan.remove(Math.min(this.#plan.first, baseOffset), held.position);
      if (held.position < endOffset) return;
      this.#loaded.shift();
      this.#releaseIfDone(held);
    }
  }

  #meet(offset: Offset, held: HeldBatch<B>): void {
    const { state, busy, parked } = this.#core;
    if (state.settled.isSettled(offset) || this.#order.isKnown(offset)) return;
    if (held.batch.unwanted.length > 0 && held.isUnwanted(offset)) return;
    const key = held.keyOf(offset);
    const name = this.#nameOf(key);
    if (busy.has(offset)) {
      this.#meetBusy(offset, name);
      return;
    }
    if (parked.hasKey(key)) {
      this.#passedOver = Math.min(this.#passedOver, offset);
      return;
    }
    const failure = state.failures.size > 0 ? state.failures.get(offset) : undefined;
    busy.add(offset, offset + 1);
    if (failure?.isDead === true) return;
    const isFirst = name === undefined || this.#order.turnOf(name) === undefined;
    if (failure === undefined || !isFirst) {
      this.#order.add(offset, name, held);
      return;
    }
    this.#order.block(offset, name);
    this.#core.retries.add(offset, this.#core.dueMsOf(failure));
  }

  /** Out with a consumer that kept it over a change of leaders, waiting in the window, dead, or under way. */
  #meetBusy(offset: Offset, name: string | undefined): void {
    const isAdopted = this.#adopted.delete(offset);
    if (isAdopted) {
      this.#order.block(offset, name);
      return;
    }
    if (name === undefined || this.#order.turnOf(name) !== undefined) return;
    if (this.#core.state.failures.get(offset)?.isDead !== true) this.#order.block(offset, name);
  }

  #adoptOne(offset: Offset): boolean {
    const { state, busy, parked } = this.#core;
    const ready = this.#order.turnOfHead(offset)?.ready;
    if (ready !== undefined) {
      this.#order.take(ready);
      this.#releaseIfDone(ready.held);
      return true;
    }
    // What reading does not come by any more is parked.
    if (!this.#core.isFree(offset) || this.#plan.next(offset) !== offset) return false;
    const failure = state.failures.get(offset);
    if (
      failure !== undefined &&
      (failure.isDead || this.#core.dueMsOf(failure) > this.#core.nowMs)
    ) {
      return false;
    }
    if (parked.has(offset)) return false;
    busy.add(offset, offset + 1);
    this.#adopted.add(offset);
    return true;
  }

  #firstReady(): Waiting<B> | undefined {
    for (;;) {
      const first = this.#order.firstReady();
      if (first === undefined || !this.#core.isSettled(first.offset)) return first;
      // Retention dropped it while it waited.
      this.#order.take(first);
      this.#leftWindow(first);
      this.#order.advance(first.offset);
    }
  }

  #leftWindow({ offset, held }: Waiting<B>): void {
    this.#core.busy.delete(offset, offset + 1);
    this.#releaseIfDone(held);
  }

  #releaseIfDone(held: HeldBatch<B>): void {
    if (held.waiting > 0 || held.position < held.batch.endOffset) return;
    this.#bytes -= held.batch.bytes;
    this.#core.release(held);
  }

  #lookAgain(from: Offset, to: Offset): void {
    if (from >= this.#plan.front) return;
    this.#dropLoaded();
    this.#plan.add(from, to);
  }

  /** Batches of which messages wait stay with them. */
  #dropLoaded(): void {
    this.readEpoch += 1;
    const loaded = this.#loaded;
    this.#loaded = [];
    for (const held of loaded) {
      held.position = held.batch.endOffset;
      this.#releaseIfDone(held);
    }
  }

  #loadedBytes(): number {
    let bytes = 0;
    for (const { batch } of this.#loaded) bytes += batch.bytes;
    return bytes;
  }

  /** undefined: it has no order. */
  #nameOf(key: Buffer | undefined): string | undefined {
    if (key !== undefined) return key.toString("latin1");
    return this.#isFifo ? WITHOUT_KEY : undefined;
  }
}

function keyOfName(name: string): Buffer | undefined {
  return name === WITHOUT_KEY ? undefined : Buffer.from(name, "latin1");
}
