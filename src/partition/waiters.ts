// Acknowledgements that wait for a watermark: one queue per acknowledgement level, in index order, so that an advance
// touches only those that it answers. Owned by the append path.
import { type AckLevel, ackLevel } from "../model/durability.ts";
import { BrokerError } from "../model/errors.ts";
import type { LogIndex, Term } from "../model/positions.ts";
import type { Watermarks } from "../replica/ports.ts";
import { Fifo } from "./fifo.ts";
import type { AppendObserver, AppendReceipt } from "./ports.ts";

export interface ParkedAck {
  /** The entry that must be reached, by index and term: another entry at the index is no success. */
  readonly index: LogIndex;
  readonly term: Term;
  readonly receipt: AppendReceipt;
  readonly observer: AppendObserver;
  /** When its batch was received; monotonic, ms. */
  readonly sinceMs: number;
}

export type TermAt = (index: LogIndex) => Term | undefined;

/** The watermark that stands for a level. */
export function markOf(level: AckLevel, marks: Watermarks): LogIndex {
  switch (level) {
    case "leader-written":
      return marks.writtenIndex;
    case "leader-flushed":
      return marks.flushedIndex;
    case "committed":
      return marks.commitIndex;
    case "durably-committed":
      return marks.durableCommitIndex;
  }
}

const LEVELS: readonly AckLevel[] = [
  ackLevel("leader", "async"),
  ackLevel("leader", "sync"),
  ackLevel("all", "async"),
  ackLevel("all", "sync"),
];

export class AckWaiters {
  readonly #onAcknowledged: (ack: ParkedAck) => void;
  readonly #queues: Readonly<Record<AckLevel, Fifo<ParkedAck>>> = {
    "leader-written": new Fifo(),
    "leader-flushed": new Fifo(),
    committed: new Fifo(),
    "durably-committed": new Fifo(),
  };

  /** @param onAcknowledged told of each success, after its observer */
  constructor(onAcknowledged: (ack: ParkedAck) => void = () => undefined) {
    this.#onAcknowledged = onAcknowledged;
  }

  get length(): number {
    let length = 0;
    for (const level of LEVELS) length += this.#queues[level].length;
    return length;
  }

  /** Appends come in index order; a duplicate waits for an earlier entry and is put in its place. */
  park(level: AckLevel, ack: ParkedAck): void {
    const queue = this.#queues[level];
    const last = queue.last();
    if (last === undefined || last.index <= ack.index) {
      queue.push(ack);
      return;
    }
    let low = 0;
    let high = queue.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((queue.at(middle)?.index ?? 0) <= ack.index) low = middle + 1;
      else high = middle;
    }
    queue.insert(low, ack);
  }

  /**
   * Answers everything that the watermarks reached.
   * @param termAt undefined while the leadership lasts that the entries were appended under: then nothing can have been
   *   replaced. Otherwise the term of each entry is compared.
   */
  advance(marks: Watermarks, termAt: TermAt | undefined): void {
    for (const level of LEVELS) {
      const queue = this.#queues[level];
      const mark = markOf(level, marks);
      for (;;) {
        const ack = queue.peek();
        if (ack === undefined || ack.index > mark) break;
        queue.shift();
        if (termAt === undefined || termAt(ack.index) === ack.term) {
          ack.observer.onReceipt(ack.receipt);
          this.#onAcknowledged(ack);
        } else ack.observer.onFailure(leadershipLost());
      }
    }
  }

  /** Leadership ended: what was reached in time is a success, the outcome of the rest is unknown. Returns how many. */
  leadershipLost(marks: Watermarks, termAt: TermAt): number {
    this.advance(marks, termAt);
    let lost = 0;
    for (const level of LEVELS) {
      const queue = this.#queues[level];
      for (let ack = queue.shift(); ack !== undefined; ack = queue.shift()) {
        lost += 1;
        ack.observer.onFailure(leadershipLost());
      }
    }
    return lost;
  }
}

function leadershipLost(): BrokerError {
  return new BrokerError("LEADERSHIP_LOST", "leadership changed before the batch was acknowledged");
}
