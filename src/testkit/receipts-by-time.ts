// Strong receipts of one partition, ordered by the time when they arrived: from then on everybody must see them. Used by
// the checks of real time.
import type { Facts } from "./facts.ts";
import type { Promises } from "./promises.ts";

export class ReceiptsByTime {
  readonly #facts: Facts;
  /** Rows of acknowledged sends, by the time of the acknowledgement. */
  readonly rows: Int32Array;
  readonly #times: Float64Array;
  /** Up to each position: the row with the highest offset. */
  readonly #furthest: Int32Array;

  private constructor(facts: Facts, rows: Int32Array) {
    const { sends } = facts;
    this.#facts = facts;
    this.rows = rows.sort((a, b) => sends.ackMs.at(a) - sends.ackMs.at(b));
    this.#times = new Float64Array(rows.length);
    this.#furthest = new Int32Array(rows.length);
    let furthest = rows[0] ?? 0;
    for (const [position, row] of this.rows.entries()) {
      if (sends.ackOffset.at(row) > sends.ackOffset.at(furthest)) furthest = row;
      this.#times[position] = sends.ackMs.at(row);
      this.#furthest[position] = furthest;
    }
  }

  /** By place: receipts that wait for a majority and that no fault of the run takes back. */
  static of(facts: Facts, promises: Promises): ReceiptsByTime[] {
    const { places, sends } = facts;
    const counts = new Int32Array(places.size);
    const isWanted = (row: number): boolean =>
      sends.isAcknowledged(row) && sends.isStrong(row) && promises.receiptHolds(row);
    for (let row = 0; row < sends.length; row += 1) {
      if (isWanted(row)) add(counts, sends.ackPlace.at(row));
    }
    const rows = Array.from(counts, (count) => new Int32Array(count));
    const filled = new Int32Array(places.size);
    for (let row = 0; row < sends.length; row += 1) {
      if (!isWanted(row)) continue;
      const place = sends.ackPlace.at(row);
      const column = rows[place];
      if (column !== undefined) column[filled[place] ?? 0] = row;
      add(filled, place);
    }
    return rows.map((column) => new ReceiptsByTime(facts, column));
  }

  /** Of those that had arrived before that time, the row with the highest offset. */
  furthestBefore(ms: number): number | undefined {
    const count = firstWhere(this.#times.length, (position) => (this.#times[position] ?? 0) >= ms);
    return this.#furthest[count - 1];
  }

  /** The first that arrived with an offset from `offset` on. */
  firstFrom(offset: number): number | undefined {
    const { sends } = this.#facts;
    const reaches = (position: number): boolean =>
      sends.ackOffset.at(this.#furthest[position] ?? 0) >= offset;
    return this.#furthest[firstWhere(this.#furthest.length, reaches)];
  }
}

/** First position that suits, where all behind one that suits do; `length` when none does. */
function firstWhere(length: number, suits: (position: number) => boolean): number {
  let low = 0;
  let high = length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (suits(middle)) high = middle;
    else low = middle + 1;
  }
  return low;
}

function add(counts: Int32Array, place: number): void {
  counts[place] = (counts[place] ?? 0) + 1;
}
