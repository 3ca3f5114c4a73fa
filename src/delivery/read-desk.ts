// What a dispatcher wants to read next, and what becomes of what was read: keys that somebody needs, messages whose next attempt
// is due, and the log in order, in turns. One read at a time. Pure; part of the dispatcher.
import type { Offset } from "../model/positions.ts";
import type { DispatchCore } from "./dispatch-core.ts";
import type { LoadedBatch, ReadRequest } from "./dispatch-types.ts";
import type { FailureDesk } from "./failure-desk.ts";
import { type ModeRules, READ_BYTES } from "./mode-rules.ts";

/** A read that brought nothing is repeated after this time. */
const EMPTY_DELAY_MS = 1000;

/** What a read that is under way is for. */
type Reading =
  | { readonly purpose: "run"; readonly from: Offset; readonly epoch: number }
  | { readonly purpose: "retries" | "keys"; readonly offsets: readonly Offset[] };

export class ReadDesk<B> {
  readonly #core: DispatchCore<B>;
  readonly #mode: ModeRules<B>;
  readonly #failures: FailureDesk<B>;
  #reading: Reading | undefined;
  #isRunNext = false;
  /** A run from this offset came back empty: it is not asked for again before this time, unless the log moves. */
  #emptyFrom: Offset = -1;
  #emptyUntilMs = 0;

  constructor(core: DispatchCore<B>, mode: ModeRules<B>, failures: FailureDesk<B>) {
    this.#core = core;
    this.#mode = mode;
    this.#failures = failures;
  }

  /** When to ask again after a read that brought nothing; past: there was none. */
  get emptyUntilMs(): number {
    return this.#emptyFrom < 0 ? 0 : this.#emptyUntilMs;
  }

  logMoved(): void {
    this.#emptyFrom = -1;
  }

  /** @param isWanted whether somebody waits for messages */
  next(isWanted: () => boolean): ReadRequest | undefined {
    if (this.#reading !== undefined) return undefined;
    const keys = this.#failures.wantedKeys();
    if (keys.length > 0) return this.#readOffsets("keys", keys);
    if (!isWanted()) return undefined;
    // In turns, so that neither holds up the other.
    const retries = this.#mode.retries?.wanted() ?? [];
    const isRunFirst = this.#isRunNext;
    this.#isRunNext = !isRunFirst && retries.length > 0;
    if (!isRunFirst && retries.length > 0) return this.#readOffsets("retries", retries);
    const run = this.#readRun();
    if (run !== undefined || retries.length === 0) return run;
    return this.#readOffsets("retries", retries);
  }

  done(batches: readonly LoadedBatch<B>[]): void {
    const reading = this.#reading;
    this.#reading = undefined;
    if (reading?.purpose === "run" && reading.epoch === this.#mode.readEpoch) {
      this.#mode.accept(reading.from, batches);
      if (batches.length > 0) return;
      this.#emptyFrom = reading.from;
      this.#emptyUntilMs = this.#core.nowMs + EMPTY_DELAY_MS;
      return;
    }
    if (reading?.purpose === "retries") {
      this.#mode.retries?.accept(reading.offsets, batches);
      return;
    }
    if (reading?.purpose === "keys") this.#failures.keysRead(reading.offsets, batches);
    for (const { handle } of batches) this.#core.released.push(handle);
  }

  failed(): void {
    this.#reading = undefined;
  }

  #readRun(): ReadRequest | undefined {
    const from = this.#mode.readFrom();
    if (from === undefined || from >= this.#core.highWatermark) return undefined;
    if (from === this.#emptyFrom && this.#emptyUntilMs > this.#core.nowMs) return undefined;
    this.#reading = { purpose: "run", from, epoch: this.#mode.readEpoch };
    return { kind: "run", from, bytesMax: READ_BYTES };
  }

  #readOffsets(purpose: "retries" | "keys", offsets: readonly Offset[]): ReadRequest {
    this.#reading = { purpose, offsets };
    return { kind: "offsets", offsets, bytesMax: READ_BYTES };
  }
}
