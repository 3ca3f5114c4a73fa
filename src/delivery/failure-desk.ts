// Messages that failed, from the failure until it is applied: what becomes of each is decided here, and when its key is needed
// for that and nobody knows it, the key is read first. Pure; part of the dispatcher.
import type { Offset } from "../model/positions.ts";
import { type FailureCause, isParkable } from "./delivery-commands.ts";
import type { DispatchCore } from "./dispatch-core.ts";
import type { LoadedBatch } from "./dispatch-types.ts";
import type { KnownKey, ModeRules } from "./mode-rules.ts";
import { RETRY_READ_MAX } from "./retry-offers.ts";
import { type FailureFate, planFailure } from "./retry-plan.ts";
import type { PlannedFailure, Receipt } from "./update-plan.ts";

export interface FailureReport {
  readonly cause: FailureCause;
  readonly error: string;
  /** 0: as the policy says. */
  readonly retryAtMs: number;
  /** Uniform in [0, 1). */
  readonly random: number;
  readonly receipt: Receipt | undefined;
}

/** A failure whose applying found no room among the failures: tried again after this time. */
const REFUSED_DELAY_MS = 1000;

export class FailureDesk<B> {
  readonly #core: DispatchCore<B>;
  readonly #mode: ModeRules<B>;
  /** Wait for their keys. */
  readonly #keyless = new Map<Offset, FailureReport>();

  constructor(core: DispatchCore<B>, mode: ModeRules<B>) {
    this.#core = core;
    this.#mode = mode;
  }

  /** Messages that wait for their keys. */
  get waiting(): number {
    return this.#keyless.size;
  }

  /** Failures that are not applied yet. */
  get pending(): number {
    return this.#keyless.size + this.#core.overdue.size + this.#core.update.failing;
  }

  /** A message that is out no more failed once. It stays busy until that is applied. */
  fail(offset: Offset, report: FailureReport): void {
    this.#lose(offset);
    this.#decide(offset, report, this.#mode.keyOf(offset));
  }

  /** As `fail`, by its deadline: decided when it is its turn. */
  overdue(offset: Offset, random: number): void {
    this.#lose(offset);
    this.#core.overdue.add(offset, random);
  }

  decideOverdue(): void {
    for (const [offset, random] of this.#core.overdue.take(this.#core.nowMs)) {
      const report = { cause: "deadline", error: "", retryAtMs: 0, random } as const;
      this.#decide(offset, { ...report, receipt: undefined }, this.#mode.keyOf(offset));
    }
  }

  /** Offsets to read because of their keys, ascending. */
  wantedKeys(): readonly Offset[] {
    if (this.#keyless.size === 0) return [];
    const offsets: Offset[] = [];
    for (const offset of this.#keyless.keys()) {
      if (offsets.length === RETRY_READ_MAX) break;
      offsets.push(offset);
    }
    return offsets.sort((a, b) => a - b);
  }

  keysRead(offsets: readonly Offset[], batches: readonly LoadedBatch<B>[]): void {
    for (const [at, offset] of offsets.entries()) {
      const report = this.#keyless.get(offset);
      if (report === undefined) continue;
      const batch = batches.find((one) => offset >= one.baseOffset && offset < one.endOffset);
      // The first one is always brought, unless it is gone: then any key will do, for it can not fail any more.
      if (batch === undefined && at > 0) continue;
      this.#keyless.delete(offset);
      const value = batch?.keys?.[offset - batch.baseOffset];
      this.#decide(offset, report, { value: value === undefined ? undefined : Buffer.from(value) });
    }
  }

  /** The update with this failure was applied: the replicated state says what became of it. */
  applied({ offset, fate, timeMs }: PlannedFailure): void {
    const { state, busy } = this.#core;
    if (this.#core.isSettled(offset)) {
      busy.delete(offset, offset + 1);
      this.#mode.settled(offset, offset + 1);
      return;
    }
    const parked = state.parked.byOffset(offset);
    if (parked !== undefined) {
      this.#mode.parked(offset, parked.scope);
      return;
    }
    const failure = state.failures.get(offset);
    if (failure?.isDead === true) {
      this.#mode.dead(offset);
    } else if (failure !== undefined && fate.kind === "park" && !state.parked.isStopped) {
      // No more keys can be parked: the partition stops, as the limit says. A first stop always finds room; once it stands,
      // what could not be parked is tried again when the partition goes on.
      const stop: FailureFate = { kind: "stop" };
      const again = { offset, fate: stop, timeMs, attempt: undefined, key: undefined };
      this.#core.update.fail({ ...again, receipt: undefined });
    } else {
      const refusedUntilMs = this.#core.nowMs + REFUSED_DELAY_MS;
      this.#mode.failed(offset, failure?.notBeforeMs ?? refusedUntilMs);
    }
  }

  /** Forgets those that wait for their keys or their turn. @returns settlements that wait for nothing more */
  drop(): Receipt[] {
    const done: Receipt[] = [];
    for (const { receipt } of this.#keyless.values()) {
      if (receipt === undefined) continue;
      receipt.left -= 1;
      if (receipt.left === 0) done.push(receipt);
    }
    this.#keyless.clear();
    this.#core.overdue.clear();
    return done;
  }

  #lose(offset: Offset): void {
    this.#core.countHandedOut(offset, offset + 1);
    this.#mode.failing(offset);
  }

  #decide(offset: Offset, report: FailureReport, key: KnownKey | undefined): void {
    const { definition, state, nowMs } = this.#core;
    const { cause, error, retryAtMs, random, receipt } = report;
    const failed = (state.failures.get(offset)?.failed ?? 0) + 1;
    const isRejected = cause === "reject";
    // Without a key there is no order in keyed mode.
    const hasOrder = definition.mode !== "shared";
    const isUnkeyed = definition.mode === "keyed" && key !== undefined && key.value === undefined;
    const message = { failed, isRejected, isOrdered: hasOrder && !isUnkeyed, retryAtMs };
    const canPark = !state.parked.isFull && isParkable(key?.value);
    const fate = planFailure(definition, message, canPark, nowMs, random);
    const needsKey = fate.kind === "park" || (fate.kind === "stop" && definition.mode === "keyed");
    if (needsKey && key === undefined) {
      this.#keyless.set(offset, report);
      return;
    }
    const attempt = { timeMs: nowMs, cause, error };
    this.#core.update.fail({ offset, fate, timeMs: nowMs, attempt, key: key?.value, receipt });
  }
}
