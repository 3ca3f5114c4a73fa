// The reads that decide about loss: the last complete pass over each partition. Without such passes "lost" and "not yet
// read" cannot be told apart. Used by the checks of loss, duplicates, receipts and outcomes.
import { Column } from "./column.ts";
import type { Facts } from "./facts.ts";
import { NONE } from "./send-table.ts";

/** A partition was read completely. */
export interface Coverage {
  readonly from: number;
  readonly to: number;
  readonly beganMs: number;
  /** Number of the scan's event; NONE: presumed because of the reader's name. */
  readonly event: number;
}

const PRESUMED: Coverage = {
  from: 0,
  to: Number.POSITIVE_INFINITY,
  beganMs: Number.POSITIVE_INFINITY,
  event: NONE,
};

interface Pass {
  readonly reader: number;
  readonly coverage: Coverage;
  /** Reads of that reader up to this event belong to an earlier pass. */
  readonly afterEvent: number;
}

export class FinalReads {
  readonly #facts: Facts;
  readonly #passes: ReadonlyMap<number, Pass>;
  /** By reader: its name marks it as a final one. Only in histories without scans. */
  readonly #isNamed: readonly boolean[];
  readonly #hasScans: boolean;
  readonly #isPresuming: boolean;
  /** By row of a value: its first final read. */
  readonly #readOf: Column = Column.small();
  /** By place: offset → final read. */
  readonly #readAt: Map<number, number>[] = [];

  constructor(facts: Facts, finalReader: string | undefined) {
    this.#facts = facts;
    this.#hasScans = facts.scans.length > 0;
    this.#passes = lastPasses(facts);
    const { readers } = facts.reads;
    this.#isNamed = Array.from({ length: readers.size }, (_, reader) => {
      if (finalReader === undefined || this.#hasScans) return false;
      return readers.textOf(reader).startsWith(finalReader);
    });
    this.#isPresuming = finalReader !== undefined && !this.#hasScans;
    this.#collect();
  }

  isFinal(read: number): boolean {
    const { reads } = this.#facts;
    const reader = reads.reader.at(read);
    if (!this.#hasScans) return this.#isNamed[reader] === true;
    const pass = this.#passes.get(reads.place.at(read));
    if (pass === undefined || pass.reader !== reader) return false;
    const event = reads.event.at(read);
    return event > pass.afterEvent && event < pass.coverage.event;
  }

  coverageOf(place: number): Coverage | undefined {
    return this.#isPresuming ? PRESUMED : this.#passes.get(place)?.coverage;
  }

  /** Something that stood at this offset at that time must be among the final reads, if it is still there. */
  decides(place: number, offset: number, sinceMs: number): boolean {
    const coverage = this.coverageOf(place);
    return coverage !== undefined && offset >= coverage.from && sinceMs <= coverage.beganMs;
  }

  /** First final read of a value; NONE when there is none. */
  readOf(row: number): number {
    return row < this.#readOf.length ? this.#readOf.at(row) : NONE;
  }

  isPresent(row: number): boolean {
    return this.readOf(row) !== NONE;
  }

  /** The final read of an offset. */
  readAt(place: number, offset: number): number | undefined {
    return this.#readAt[place]?.get(offset);
  }

  #collect(): void {
    const { places, reads, sends } = this.#facts;
    for (let row = 0; row < sends.length; row += 1) this.#readOf.push(NONE);
    for (let place = 0; place < places.size; place += 1) this.#readAt.push(new Map());
    for (let read = 0; read < reads.length; read += 1) {
      if (!this.isFinal(read)) continue;
      const row = reads.row.at(read);
      if (!this.isPresent(row)) this.#readOf.set(row, read);
      this.#readAt[reads.place.at(read)]?.set(reads.offset.at(read), read);
    }
  }
}

/** By place: the last scan, and where the reads begin that belong to it. */
function lastPasses({ places, reads, scans, topics }: Facts): Map<number, Pass> {
  const passes = new Map<number, Pass>();
  const earlier = new Map<string, number>();
  for (const { event, number } of scans) {
    const { beganMs, from, partition, to, topic } = event;
    const place = places.numberOf(topic, partition);
    const reader = reads.readers.find(event.reader);
    const name = `${reader}|${place}`;
    const keepsAll = topics.get(topic)?.keepsAll === true;
    const coverage = { from: keepsAll ? 0 : from, to, beganMs, event: number };
    passes.set(place, { reader, coverage, afterEvent: earlier.get(name) ?? NONE });
    earlier.set(name, number);
  }
  return passes;
}
