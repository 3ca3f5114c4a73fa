// What holds others up, as far as the dispatcher was told. The replicated state changes when an entry is applied, the dispatcher
// hears of it a little later, and turns may come in between: a key that was let go in the state alone must still be held up, or
// what comes behind would overtake what was passed over. Pure; part of the dispatcher.
import type { Offset } from "../model/positions.ts";
import { nameOfKey, type Parked, type ParkedTable } from "./parked-table.ts";

export class ParkedView {
  readonly #table: ParkedTable;
  readonly #told = new Map<Offset, Parked>();
  #stops = 0;
  /** What was told of and is not in the table any more, as of `#goneAt`; and how often each key is among it. */
  readonly #gone = new Set<Offset>();
  readonly #goneKeys = new Map<string, number>();
  #goneAt: number;

  constructor(table: ParkedTable) {
    this.#table = table;
    this.#goneAt = table.releases;
    this.reload();
  }

  get size(): number {
    return this.#told.size;
  }

  /** Nothing at all may go out. That it stops is in force at once, that it goes on is not. */
  get isStopped(): boolean {
    return this.#stops > 0 || this.#table.isStopped;
  }

  has(offset: Offset): boolean {
    return this.#told.has(offset);
  }

  /** Whether the key is held up; undefined: the messages without a key. */
  hasKey(key: Buffer | undefined): boolean {
    if (this.#told.size === 0) return false;
    if (this.#table.offsetsOfKey(key).some((offset) => this.#told.has(offset))) return true;
    return this.gone().size > 0 && this.#goneKeys.has(nameOfKey(key));
  }

  /** Perhaps this one parks something by now. */
  note(offset: Offset): void {
    const parked = this.#table.byOffset(offset);
    if (parked === undefined || this.#told.has(offset)) return;
    this.#told.set(offset, parked);
    if (parked.scope === "partition") this.#stops += 1;
  }

  /** @returns whether it parked something */
  forget(offset: Offset): boolean {
    const parked = this.#told.get(offset);
    if (parked === undefined) return false;
    this.#told.delete(offset);
    if (parked.scope === "partition") this.#stops -= 1;
    if (this.#gone.delete(offset)) this.#countGone(parked, -1);
    return true;
  }

  /** As the table says now. */
  reload(): void {
    this.#told.clear();
    this.#gone.clear();
    this.#goneKeys.clear();
    this.#goneAt = this.#table.releases;
    this.#stops = 0;
    for (const offset of this.#table.offsets()) this.note(offset);
  }

  /** Told of, and not in the table any more. */
  gone(): ReadonlySet<Offset> {
    if (this.#goneAt === this.#table.releases) return this.#gone;
    this.#goneAt = this.#table.releases;
    for (const [offset, parked] of this.#told) {
      if (this.#gone.has(offset) || this.#table.byOffset(offset) !== undefined) continue;
      this.#gone.add(offset);
      this.#countGone(parked, 1);
    }
    return this.#gone;
  }

  #countGone({ key, scope }: Parked, change: number): void {
    if (scope === "partition") return;
    const name = nameOfKey(key);
    const count = (this.#goneKeys.get(name) ?? 0) + change;
    if (count > 0) this.#goneKeys.set(name, count);
    else this.#goneKeys.delete(name);
  }
}
