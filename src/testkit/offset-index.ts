// Rows by offset: pages of small numbers, since a run has millions of offsets that lie close together. Used by the tables
// of messages and settlements.

const PAGE = 4096;
/** In columns and indexes that hold rows: there is none. */
const NONE = -1;

export class OffsetIndex {
  /** Row plus one; 0: none. */
  readonly #pages = new Map<number, Int32Array>();

  /** NONE when there is none. */
  at(offset: number): number {
    const page = this.#pages.get(Math.floor(offset / PAGE));
    return page === undefined ? NONE : (page[offset % PAGE] ?? 0) - 1;
  }

  set(offset: number, row: number): void {
    const number = Math.floor(offset / PAGE);
    let page = this.#pages.get(number);
    if (page === undefined) {
      page = new Int32Array(PAGE);
      this.#pages.set(number, page);
    }
    page[offset % PAGE] = row + 1;
  }
}
