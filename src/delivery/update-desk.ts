// What becomes of an update once it is in force: what is settled is free for those behind it, what failed is tried again or dead,
// what was released goes on, and whoever asked is told. And what a seek means for all that. Part of the dispatcher; pure.
import type { Offset } from "../model/positions.ts";
import type { OffsetRange, ReleaseUpdate } from "./delivery-commands.ts";
import type { DispatchCore } from "./dispatch-core.ts";
import type { Confirmation } from "./dispatch-types.ts";
import type { FailureDesk } from "./failure-desk.ts";
import { countOf } from "./lease-table.ts";
import type { ModeRules } from "./mode-rules.ts";
import type { Receipt, UnderWay } from "./update-plan.ts";

export class UpdateDesk<B> {
  readonly #core: DispatchCore<B>;
  readonly #mode: ModeRules<B>;
  readonly #failures: FailureDesk<B>;
  /** Seeks of the state that were followed. */
  #seeks: number;
  #isSeekOpen = false;
  /** Messages, since the dispatcher began. */
  readonly counts = { acknowledged: 0, filtered: 0, dead: 0 };

  constructor(core: DispatchCore<B>, mode: ModeRules<B>, failures: FailureDesk<B>) {
    this.#core = core;
    this.#mode = mode;
    this.#failures = failures;
    this.#seeks = core.state.seeks;
  }

  /** An update was under way when the last seek was followed: what it did is not known before it is told. */
  get isSeekOpen(): boolean {
    return this.#isSeekOpen;
  }

  /** The update that was taken last was applied to the state. */
  applied(): void {
    const done = this.#core.update.applied();
    if (done === undefined) return;
    this.counts.acknowledged += countOf(done.acked);
    this.counts.filtered += countOf(done.filtered);
    this.counts.dead += countOf(done.moved);
    if (this.#isSeekOpen) this.#beginAnew();
    else this.#follow(done);
    this.#isSeekOpen = false;
    for (const receipt of done.receipts) this.#confirm(receipt);
    for (const { receipt } of done.failures) {
      if (receipt === undefined) continue;
      receipt.left -= 1;
      if (receipt.left === 0) this.#confirm(receipt);
    }
  }

  /**
   * Turns may come between a seek's applying and the call that tells of it: whatever comes first follows it. Nothing goes out before
   * an update that is under way is told: whether it was applied before or after the seek decides what is settled.
   */
  followSeek(): void {
    const core = this.#core;
    if (this.#seeks === core.state.seeks) return;
    this.#seeks = core.state.seeks;
    for (const lease of [...core.leases.all()]) core.revoke(lease, lease.from, "seek");
    for (const receipt of [...core.update.drop(), ...this.#failures.drop()]) this.#confirm(receipt);
    core.handedOut.clear();
    this.#isSeekOpen = core.update.underWay !== undefined;
    this.#beginAnew();
  }

  /** The log start passed these. */
  dropped(range: OffsetRange): void {
    const core = this.#core;
    core.forgetHandedOut([range]);
    for (const offset of [...core.retries.offsets()]) {
      if (!core.isSettled(offset)) continue;
      core.retries.delete(offset);
      this.#settled([[offset, offset + 1]]);
    }
    this.#compareParked();
  }

  /** Settlements that are in force, since the last call. */
  takeConfirmed(): Confirmation[] {
    const { confirming, consumers } = this.#core;
    const confirmed: Confirmation[] = [];
    for (const key of confirming) {
      const consumer = consumers.get(key);
      if (consumer === undefined) continue;
      confirmed.push({ consumer: key, numbers: consumer.confirmed });
      consumer.confirmed = [];
    }
    confirming.clear();
    return confirmed;
  }

  #follow(done: UnderWay): void {
    this.#mode.acknowledged(countOf(done.acked));
    for (const ranges of [done.acked, done.filtered, done.moved]) this.#settled(ranges);
    for (const failure of done.failures) this.#failures.applied(failure);
    for (const { offset, action } of done.releases) this.#released(offset, action);
    this.#compareParked(done);
    this.#core.forgetHandedOut([...done.acked, ...done.filtered, ...done.moved]);
  }

  /** Nothing is out, and only the replicated state counts. */
  #beginAnew(): void {
    const { busy, parked, retries } = this.#core;
    busy.clear();
    retries.clear();
    parked.reload();
    this.#mode.reset();
  }

  #settled(ranges: readonly OffsetRange[]): void {
    for (const [from, to] of ranges) {
      this.#core.busy.delete(from, to);
      this.#mode.settled(from, to);
    }
  }

  #released(offset: Offset, action: ReleaseUpdate["action"]): void {
    const { parked, state } = this.#core;
    if (state.parked.byOffset(offset) !== undefined) return;
    if (!parked.forget(offset)) return;
    // Too many failures are kept: what could not become a dead letter is tried again.
    const isRefused = action === "dead" && state.failures.get(offset)?.isDead !== true;
    const isOpen = isRefused && !this.#core.isSettled(offset);
    this.#mode.released(offset, isOpen ? "retry" : action);
  }

  /** What parked a key may have been settled otherwise: filtered by another filter, or dropped by retention. */
  #compareParked(done?: UnderWay): void {
    const { parked } = this.#core;
    for (const { offset } of done?.failures ?? []) parked.note(offset);
    for (const offset of [...parked.gone()]) this.#released(offset, "settle");
  }

  #confirm({ consumer, number }: Receipt): void {
    this.#core.consumers.get(consumer)?.confirmed.push(number);
    this.#core.confirming.add(consumer);
  }
}
