// A column of numbers that grows: millions of rows without an object for each, in chunks, so that growing neither copies nor
// reserves much more than there is. Used by the tables of facts and by recorders.

type Chunk = Float64Array | Int32Array;

const CHUNK_BITS = 14;
const CHUNK = 1 << CHUNK_BITS;
const WITHIN = CHUNK - 1;
/** Small tables take no more than this. */
const FIRST = 256;

export class Column {
  readonly #chunks: Chunk[] = [];
  readonly #isSmall: boolean;
  #last: Chunk;
  #length = 0;

  private constructor(isSmall: boolean) {
    this.#isSmall = isSmall;
    this.#last = this.#make(FIRST);
    this.#chunks.push(this.#last);
  }

  /** For times and offsets. */
  static numbers(): Column {
    return new Column(false);
  }

  /** For numbers of events and rows: half the memory, below 2^31. */
  static small(): Column {
    return new Column(true);
  }

  get length(): number {
    return this.#length;
  }

  push(value: number): void {
    const at = this.#length & WITHIN;
    if (at === 0 && this.#length > 0) this.#extend();
    else if (at === this.#last.length) this.#widen();
    this.#last[at] = value;
    this.#length += 1;
  }

  set(row: number, value: number): void {
    const chunk = this.#chunks[row >>> CHUNK_BITS];
    if (chunk !== undefined) chunk[row & WITHIN] = value;
  }

  /** 0 outside of the column. */
  at(row: number): number {
    return row < 0 ? 0 : (this.#chunks[row >>> CHUNK_BITS]?.[row & WITHIN] ?? 0);
  }

  #extend(): void {
    this.#last = this.#make(CHUNK);
    this.#chunks.push(this.#last);
  }

  /** Only the first chunk begins small. */
  #widen(): void {
    const wider = this.#make(Math.min(CHUNK, this.#last.length * 4));
    wider.set(this.#last);
    this.#last = wider;
    this.#chunks[0] = wider;
  }

  #make(length: number): Chunk {
    return this.#isSmall ? new Int32Array(length) : new Float64Array(length);
  }
}
