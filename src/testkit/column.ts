// A column of numbers that grows: millions of rows without an object for each. Used by the tables of facts.

const FIRST_CAPACITY = 1024;

export class Column {
  #values: Float64Array | Int32Array;
  #length = 0;

  private constructor(values: Float64Array | Int32Array) {
    this.#values = values;
  }

  /** For times and offsets. */
  static numbers(): Column {
    return new Column(new Float64Array(FIRST_CAPACITY));
  }

  /** For numbers of events and rows: half the memory, below 2^31. */
  static small(): Column {
    return new Column(new Int32Array(FIRST_CAPACITY));
  }

  get length(): number {
    return this.#length;
  }

  push(value: number): void {
    if (this.#length === this.#values.length) this.#grow();
    this.#values[this.#length] = value;
    this.#length += 1;
  }

  set(row: number, value: number): void {
    this.#values[row] = value;
  }

  /** 0 outside of the column. */
  at(row: number): number {
    return this.#values[row] ?? 0;
  }

  #grow(): void {
    const isSmall = this.#values instanceof Int32Array;
    const capacity = this.#values.length * 2;
    const larger = isSmall ? new Int32Array(capacity) : new Float64Array(capacity);
    larger.set(this.#values);
    this.#values = larger;
  }
}
