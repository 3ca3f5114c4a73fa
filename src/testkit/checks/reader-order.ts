// A10, A11 and A12: within one reader's pass over a partition, offsets follow each other, from one answer to the next and
// inside each answer. A reader that seeks begins anew.
import type { PollRow } from "../read-table.ts";
import { NONE } from "../send-table.ts";
import { at, type Check, type Evidence, type Found, located, shown } from "./check.ts";

/** More offsets than this are not looked up one by one. */
const LOOKED_UP_MAX = 100_000;

/** Where a pass is. */
interface Pass {
  /** Offset that is due. */
  next: number;
  /** Row of the value that was read last; NONE: nothing was read yet. */
  lastRow: number;
  lastEvent: number;
}

export const readerOrderCheck: Check = {
  kinds: ["non-monotonic-read", "skipped-offset", "disordered-response"],
  run: (evidence, found) => {
    const { reads } = evidence.facts;
    const walk = new Walk(evidence, found);
    let poll = 0;
    let seek = 0;
    for (let read = 0; read <= reads.length; read += 1) {
      // What happened before this read: seeks, and the ends of polls.
      for (;;) {
        const nextSeek = reads.seeks[seek];
        const nextPoll = reads.polls[poll];
        const isSeekDue = nextSeek !== undefined && nextSeek.readsBefore <= read;
        const isPollDue = nextPoll !== undefined && nextPoll.firstRead + nextPoll.count <= read;
        if (isSeekDue && (!isPollDue || nextSeek.event < nextPoll.event)) {
          walk.seek(nextSeek.reader, nextSeek.place);
          seek += 1;
        } else if (isPollDue) {
          walk.endPoll(nextPoll);
          poll += 1;
        } else break;
      }
      const current = reads.polls[poll];
      const isPolled = current !== undefined && current.firstRead <= read;
      if (read < reads.length) walk.read(read, isPolled ? current : undefined);
    }
    return reads.length + reads.polls.length;
  },
};

class Walk {
  readonly #evidence: Evidence;
  readonly #found: Found;
  readonly #passes = new Map<number, Pass>();
  /** By place: offsets that anybody read; made when it is needed. */
  readonly #known = new Map<number, Set<number>>();

  constructor(evidence: Evidence, found: Found) {
    this.#evidence = evidence;
    this.#found = found;
  }

  seek(reader: number, place: number): void {
    this.#passes.delete(this.#nameOf(reader, place));
  }

  read(read: number, poll: PollRow | undefined): void {
    const { reads } = this.#evidence.facts;
    const place = reads.place.at(read);
    const name = this.#nameOf(reads.reader.at(read), place);
    const offset = reads.offset.at(read);
    const event = reads.event.at(read);
    const row = reads.row.at(read);
    let pass = this.#passes.get(name);
    if (pass === undefined) {
      pass = { next: poll?.from ?? offset, lastRow: row, lastEvent: event };
      this.#passes.set(name, pass);
    }
    const isInside = poll !== undefined && read > poll.firstRead;
    if (offset < pass.next) this.#wentBack(pass, read, isInside);
    else this.#advanced(pass, read, offset, isInside ? "disordered-response" : "skipped-offset");
    pass.next = offset + 1;
    pass.lastRow = row;
    pass.lastEvent = event;
  }

  /** The reader goes on with `next`: what lies before it counts as read. */
  endPoll(poll: PollRow): void {
    const { facts } = this.#evidence;
    const name = this.#nameOf(poll.reader, poll.place);
    const pass = this.#passes.get(name);
    const due = pass?.next ?? poll.from;
    if (poll.next > due && this.#isPassedOver(poll.place, due, poll.next)) {
      this.#found("skipped-offset", () => ({
        message: `${this.#passName(poll.reader, poll.place)}: goes on at ${poll.next} where ${due} was due`,
        ...located(facts, poll.place, due),
        events: [...(pass === undefined ? [] : [pass.lastEvent]), poll.event],
      }));
    }
    if (pass === undefined) {
      this.#passes.set(name, { next: poll.next, lastRow: NONE, lastEvent: poll.event });
    } else {
      pass.next = Math.max(pass.next, poll.next);
      pass.lastEvent = poll.event;
    }
  }

  #wentBack(pass: Pass, read: number, isInside: boolean): void {
    const { facts, promises } = this.#evidence;
    const { lastRow } = pass;
    // What it read last may be lost by these faults: then the log has grown anew from before it.
    const mayBeLost = facts.sends.isSent(lastRow) && !promises.visibleHolds(lastRow);
    if (!isInside && lastRow !== NONE && mayBeLost) return;
    this.#report(isInside ? "disordered-response" : "non-monotonic-read", pass, read);
  }

  #advanced(
    pass: Pass,
    read: number,
    offset: number,
    kind: "disordered-response" | "skipped-offset",
  ): void {
    const place = this.#evidence.facts.reads.place.at(read);
    if (offset > pass.next && this.#isPassedOver(place, pass.next, offset)) {
      this.#report(kind, pass, read);
    }
  }

  #report(
    kind: "non-monotonic-read" | "disordered-response" | "skipped-offset",
    pass: Pass,
    read: number,
  ): void {
    const { facts } = this.#evidence;
    const { reads, sends } = facts;
    const place = reads.place.at(read);
    const offset = reads.offset.at(read);
    const due = pass.next;
    const { lastEvent } = pass;
    this.#found(kind, () => ({
      message: `${this.#passName(reads.reader.at(read), place)}: ${at(facts, place, offset)} (${shown(sends.valueOf(reads.row.at(read)))}) where ${due} was due`,
      ...located(facts, place, offset),
      value: sends.valueOf(reads.row.at(read)),
      events: lastEvent === reads.event.at(read) ? [lastEvent] : [lastEvent, reads.event.at(read)],
    }));
  }

  /** Something must be there: always where offsets are dense, else where somebody read a record. */
  #isPassedOver(place: number, from: number, to: number): boolean {
    if (this.#evidence.rules.denseOffsets) return true;
    const known = this.#offsetsOf(place);
    const end = Math.min(to, from + LOOKED_UP_MAX);
    for (let offset = from; offset < end; offset += 1) if (known.has(offset)) return true;
    return false;
  }

  #offsetsOf(place: number): ReadonlySet<number> {
    let known = this.#known.get(place);
    if (known === undefined) {
      known = new Set();
      const { reads } = this.#evidence.facts;
      for (let read = 0; read < reads.length; read += 1) {
        if (reads.place.at(read) === place) known.add(reads.offset.at(read));
      }
      this.#known.set(place, known);
    }
    return known;
  }

  #nameOf(reader: number, place: number): number {
    return reader * this.#evidence.facts.places.size + place;
  }

  #passName(reader: number, place: number): string {
    const { places, reads } = this.#evidence.facts;
    return `reader ${reads.readers.textOf(reader)} of ${places.nameOf(place)}`;
  }
}
