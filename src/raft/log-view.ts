// The log as the core sees it: where it begins and ends, the term of each entry (as runs of equal term), the newest
// entries, what was handed to storage and what came back. No entry below the tail is held. Used by every phase.
import { assert, defined } from "../base/assert.ts";
import type { LogIndex, Term } from "../model/positions.ts";
import type { InitialState } from "./config.ts";
import type { Entry } from "./messages.ts";
import { StorageProgress } from "./storage-progress.ts";
import { Tail } from "./tail.ts";

interface TermRun {
  readonly term: Term;
  from: LogIndex;
}

/** A batch for the disk, in the order in which the host must do it. */
export interface StorageWork<H> {
  readonly truncateFrom: LogIndex | undefined;
  readonly append: readonly Entry<H>[];
}

export class LogView<H> {
  readonly storage: StorageProgress;
  readonly tail: Tail<H>;
  #firstIndex: LogIndex;
  #firstPrevTerm: Term;
  #lastIndex: LogIndex;
  #runs: TermRun[];
  /** Entries ≤ this were handed to the host. */
  #stagedIndex: LogIndex;
  #truncateFrom: LogIndex | undefined = undefined;

  constructor(initial: InitialState) {
    assert(initial.firstIndex <= initial.lastIndex + 1, "log range", { ...initial });
    this.#firstIndex = initial.firstIndex;
    this.#firstPrevTerm = initial.firstPrevTerm;
    this.#lastIndex = initial.lastIndex;
    this.#stagedIndex = initial.lastIndex;
    this.#runs = initial.termRuns.map((run) => ({ term: run.term, from: run.from }));
    this.storage = new StorageProgress(initial.lastIndex);
    this.tail = new Tail(initial.lastIndex + 1);
    this.#checkRuns();
  }

  /** First index still in the log; lastIndex + 1 when it is empty. */
  get firstIndex(): LogIndex {
    return this.#firstIndex;
  }

  get lastIndex(): LogIndex {
    return this.#lastIndex;
  }

  get lastTerm(): Term {
    return this.#runs.at(-1)?.term ?? this.#firstPrevTerm;
  }

  get hasStorageWork(): boolean {
    return this.#stagedIndex < this.#lastIndex || this.#truncateFrom !== undefined;
  }

  /** Term of an entry in [firstIndex − 1, lastIndex]; undefined outside. O(log number of terms). */
  termAt(index: LogIndex): Term | undefined {
    if (index > this.#lastIndex || index < this.#firstIndex - 1) return undefined;
    if (index < this.#firstIndex) return this.#firstPrevTerm;
    return this.#runs[this.#runAt(index)]?.term;
  }

  /**
   * Largest index ≤ `index` whose term is ≤ `term`, not looking below firstIndex − 1. One step skips a whole term:
   * that is what keeps the search for agreement to one probe per term.
   */
  lastWithTermAtMost(index: LogIndex, term: Term): LogIndex {
    let at = Math.min(index, this.#lastIndex);
    if (at < this.#firstIndex) return at;
    for (let run = this.#runAt(at); run >= 0; run -= 1) {
      const { term: runTerm, from } = defined(this.#runs[run], "run in range");
      if (runTerm <= term) return at;
      at = from - 1;
    }
    return at;
  }

  append(entry: Entry<H>): void {
    assert(entry.index === this.#lastIndex + 1, "log has no gap", { index: entry.index });
    assert(entry.term >= this.lastTerm, "terms in a log never decrease", { index: entry.index });
    if (this.#runs.length === 0 || entry.term > this.lastTerm) {
      this.#runs.push({ term: entry.term, from: entry.index });
    }
    this.tail.push(entry);
    this.#lastIndex = entry.index;
  }

  /** Drops entries ≥ from, here and (with the next storage work) on disk. */
  truncate(from: LogIndex): void {
    assert(from >= this.#firstIndex && from <= this.#lastIndex, "truncation in range", { from });
    if (from <= this.#stagedIndex) {
      this.#truncateFrom = Math.min(from, this.#truncateFrom ?? from);
      this.#stagedIndex = from - 1;
    }
    this.#lastIndex = from - 1;
    while ((this.#runs.at(-1)?.from ?? 0) >= from) this.#runs.pop();
    this.tail.truncate(from);
    this.storage.cut(from);
  }

  /** Takes what the disk has to do. Call only when `hasStorageWork`. */
  takeStorageWork(): StorageWork<H> {
    const append = this.tail.slice(this.#stagedIndex + 1, this.#lastIndex + 1);
    const truncateFrom = this.#truncateFrom;
    this.#stagedIndex = this.#lastIndex;
    this.#truncateFrom = undefined;
    this.storage.issue(this.#lastIndex);
    return { truncateFrom, append };
  }

  /** Frees memory: entries ≤ upTo that are written may leave the tail when it holds more than `bytesMax`. */
  release(upTo: LogIndex, bytesMax: number): void {
    if (this.tail.bytes <= bytesMax) return;
    this.tail.release(Math.min(upTo, this.storage.writtenIndex, this.#stagedIndex), bytesMax);
  }

  /** Entries < firstIndex are gone from disk. */
  compact(firstIndex: LogIndex): void {
    if (firstIndex <= this.#firstIndex) return;
    assert(firstIndex <= this.#lastIndex + 1, "compaction in range", { firstIndex });
    this.#firstPrevTerm = defined(this.termAt(firstIndex - 1), "term before the new log start");
    this.#firstIndex = firstIndex;
    let passed = 0;
    while ((this.#runs[passed + 1]?.from ?? Number.POSITIVE_INFINITY) <= firstIndex) passed += 1;
    this.#runs.splice(0, passed);
    const first = this.#runs[0];
    if (firstIndex > this.#lastIndex) this.#runs = [];
    else if (first !== undefined) first.from = Math.max(first.from, firstIndex);
    this.tail.release(firstIndex - 1, -1);
  }

  /** Replaces everything by an empty log that continues at `firstIndex` (a state image was installed). */
  restartAt(firstIndex: LogIndex, prevTerm: Term): void {
    this.#firstIndex = firstIndex;
    this.#firstPrevTerm = prevTerm;
    this.#lastIndex = firstIndex - 1;
    this.#runs = [];
    this.#stagedIndex = firstIndex - 1;
    this.#truncateFrom = undefined;
    this.tail.reset(firstIndex);
    this.storage.reset(firstIndex - 1);
  }

  #runAt(index: LogIndex): number {
    let low = 0;
    let high = this.#runs.length - 1;
    if ((this.#runs[high]?.from ?? 0) <= index) return high;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if ((this.#runs[middle]?.from ?? 0) <= index) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  #checkRuns(): void {
    let term = this.#firstPrevTerm;
    let from = this.#firstIndex - 1;
    for (const run of this.#runs) {
      assert(
        run.from > from && run.from <= this.#lastIndex && run.term >= term,
        "term runs ascend",
      );
      ({ term, from } = run);
    }
    const first = this.#runs[0];
    const isEmpty = this.#lastIndex < this.#firstIndex;
    assert(isEmpty ? first === undefined : first?.from === this.#firstIndex, "term runs begin");
  }
}
