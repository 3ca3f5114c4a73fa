// What is due for the host: collected here by all phases, taken by ready() in raft.ts. Keeps back what depends on the
// hard state being durable (raft.md P1, P11) and releases it when it is.
import type { ReplicaId } from "../model/ids.ts";
import type { Term } from "../model/positions.ts";
import type { Message } from "./messages.ts";
import type { CatchUp, RaftEvent, ReadState } from "./ready.ts";

interface Withheld<H> {
  readonly seq: number;
  readonly message: Message<H>;
}

const NONE: readonly never[] = Object.freeze([]);

/** A list that costs nothing while it stays empty. */
class Due<T> {
  #items: T[] | undefined = undefined;

  get isEmpty(): boolean {
    return this.#items === undefined;
  }

  push(item: T): void {
    if (this.#items === undefined) this.#items = [item];
    else this.#items.push(item);
  }

  take(): readonly T[] {
    const items = this.#items ?? NONE;
    this.#items = undefined;
    return items;
  }
}

export class Output<H> {
  readonly messages: Due<Message<H>> = new Due();
  readonly catchUps: Due<CatchUp> = new Due();
  readonly snapshotsNeeded: Due<ReplicaId> = new Due();
  readonly reads: Due<ReadState> = new Due();
  readonly readsFailed: Due<number> = new Due();
  readonly events: Due<RaftEvent> = new Due();
  flushRequested = false;
  #withheld: Withheld<H>[] = [];

  get isEmpty(): boolean {
    return (
      this.messages.isEmpty &&
      this.catchUps.isEmpty &&
      this.snapshotsNeeded.isEmpty &&
      this.reads.isEmpty &&
      this.readsFailed.isEmpty &&
      this.events.isEmpty &&
      !this.flushRequested
    );
  }

  /** Sends once the hard state numbered `seq` is durable. */
  withhold(seq: number, message: Message<H>): void {
    this.#withheld.push({ seq, message });
  }

  /** The hard state `seq` is durable: what waited for it goes, what belongs to an older term is dropped. */
  release(seq: number, term: Term): void {
    if (this.#withheld.length === 0) return;
    const waiting = this.#withheld;
    this.#withheld = [];
    for (const item of waiting) {
      if (item.message.term < term && !isPreVoteAnswer(item.message)) continue;
      if (item.seq <= seq) this.messages.push(item.message);
      else this.#withheld.push(item);
    }
  }
}

function isPreVoteAnswer(message: Message<unknown>): boolean {
  return message.kind === "vote-response" && message.pre;
}
