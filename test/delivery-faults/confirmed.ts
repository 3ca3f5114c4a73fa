// Messages whose acknowledgement was confirmed, each counted once, and how many of them while the faults lasted.

export class Confirmed {
  readonly #seen = new Set<number>();
  #isCounting = false;
  /** While the faults lasted. */
  during = 0;

  get total(): number {
    return this.#seen.size;
  }

  add(partition: number, offset: number): void {
    // Offsets of a run are below 2^40.
    const name = partition * 2 ** 40 + offset;
    if (this.#seen.has(name)) return;
    this.#seen.add(name);
    if (this.#isCounting) this.during += 1;
  }

  /** The faults begin, or are over. */
  count(isCounting: boolean): void {
    this.#isCounting = isCounting;
  }
}
