// Every record that was read as a row, in the order of the history, and between them what readers did: polls, seeks.
// Filled by facts.ts, read by the checks.
import { Column } from "./column.ts";
import type { Polled, ReaderSought } from "./events.ts";
import { Names } from "./names.ts";

/** One poll without its records: those are rows `firstRead` … `firstRead + count − 1` of the table. */
export interface PollRow {
  readonly event: number;
  readonly reader: number;
  readonly place: number;
  readonly beganMs: number;
  readonly atMs: number;
  readonly from: number;
  readonly next: number;
  readonly highWatermark: number | undefined;
  readonly firstRead: number;
  readonly count: number;
}

export interface SeekRow {
  readonly event: number;
  readonly reader: number;
  readonly place: number;
  readonly offset: number;
  /** Reads before it: the table's length when it happened. */
  readonly readsBefore: number;
}

export interface ReadRow {
  readonly reader: number;
  readonly place: number;
  readonly offset: number;
  readonly epoch: number;
  /** Row of the value in the table of sends. */
  readonly row: number;
  readonly key: number;
  readonly atMs: number;
  readonly event: number;
}

export class ReadTable {
  readonly readers = new Names();
  readonly reader: Column = Column.small();
  readonly place: Column = Column.small();
  readonly offset: Column = Column.numbers();
  readonly epoch: Column = Column.numbers();
  readonly row: Column = Column.small();
  readonly key: Column = Column.small();
  readonly atMs: Column = Column.numbers();
  readonly event: Column = Column.small();
  readonly polls: PollRow[] = [];
  readonly seeks: SeekRow[] = [];

  get length(): number {
    return this.reader.length;
  }

  add(read: ReadRow): void {
    this.reader.push(read.reader);
    this.place.push(read.place);
    this.offset.push(read.offset);
    this.epoch.push(read.epoch);
    this.row.push(read.row);
    this.key.push(read.key);
    this.atMs.push(read.atMs);
    this.event.push(read.event);
  }

  /** After its records were added. */
  addPoll(poll: Polled, event: number, place: number): void {
    const { atMs, beganMs, from, highWatermark, next } = poll;
    const count = poll.records.length;
    const reader = this.readers.numberOf(poll.reader);
    const firstRead = this.length - count;
    const times = { beganMs, atMs };
    this.polls.push({
      ...{ event, reader, place, from, next, highWatermark, firstRead, count },
      ...times,
    });
  }

  addSeek(seek: ReaderSought, event: number, place: number): void {
    const reader = this.readers.numberOf(seek.reader);
    const { offset } = seek;
    this.seeks.push({ event, reader, place, offset, readsBefore: this.length });
  }
}
