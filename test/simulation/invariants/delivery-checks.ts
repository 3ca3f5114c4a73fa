// What must hold of subscriptions' replicated state whenever a replica has applied something: at one index of a partition's
// log every replica has the same state, and a cursor goes back only when somebody moves it. Called by invariants.ts.
import type { DeliveryState } from "../../../src/delivery/delivery-state.ts";
import type { SubscriptionState } from "../../../src/delivery/subscription-state.ts";
import type { GroupId, NodeId } from "../../../src/model/ids.ts";
import type { LogIndex, Offset } from "../../../src/model/positions.ts";
import type { Findings } from "./findings.ts";

/** Of one subscription in one partition, over all replicas and for ever. */
interface Book {
  /** By applied index, for the newest ones. */
  readonly states: Map<LogIndex, string>;
  newestIndex: LogIndex;
  cursor: Offset;
  /** The lowest position that it was moved to, or may be. */
  movedTo: Offset;
}

const STATES_KEPT = 2000;
const NODES_MAX = 100;

export class DeliveryChecks {
  readonly #findings: Findings;
  readonly #books = new Map<string, Book>();
  /** What was seen of each replica last, by node and group. */
  readonly #seen = new Map<number, LogIndex>();

  constructor(findings: Findings) {
    this.#findings = findings;
  }

  /** Somebody asks to move a cursor. */
  mayGoBack(subscription: string, group: GroupId | undefined, offset: Offset): void {
    if (group === undefined) return;
    const book = this.#bookOf(group, subscription);
    book.movedTo = Math.min(book.movedTo, offset);
  }

  /** Something was applied since the last question. Asked after every event, so it has to be cheap. */
  hasMoved(node: NodeId, group: GroupId, appliedIndex: LogIndex): boolean {
    const name = group * NODES_MAX + node;
    if (this.#seen.get(name) === appliedIndex) return false;
    this.#seen.set(name, appliedIndex);
    return true;
  }

  check(node: NodeId, group: GroupId, appliedIndex: LogIndex, deliveries: DeliveryState): void {
    // What was acknowledged and is lost legally may be written otherwise.
    if (this.#findings.forgiven.has(group)) return;
    for (const state of deliveries.all()) this.#look(node, group, appliedIndex, state);
  }

  #look(node: NodeId, group: GroupId, index: LogIndex, state: SubscriptionState): void {
    const { cursor, failures, id, parked, sessions } = state;
    const book = this.#bookOf(group, id);
    const text = `cursor ${cursor}, ${failures.size} failures, ${parked.size} parked, ${sessions} consumers`;
    const known = book.states.get(index);
    const where = `subscription ${id} of group ${group} at index ${index} on n${node}`;
    if (known === undefined) this.#keep(book, index, text);
    else if (known !== text) {
      this.#findings.report(`delivery states differ: ${where}: ${text}, elsewhere ${known}`);
    }
    if (index <= book.newestIndex) return;
    if (cursor < book.cursor && cursor < book.movedTo) {
      this.#findings.report(`a cursor went back: ${where}: from ${book.cursor} to ${cursor}`);
    }
    book.newestIndex = index;
    book.cursor = cursor;
  }

  #keep(book: Book, index: LogIndex, text: string): void {
    book.states.set(index, text);
    if (book.states.size <= STATES_KEPT) return;
    const [oldest] = book.states.keys();
    if (oldest !== undefined) book.states.delete(oldest);
  }

  #bookOf(group: GroupId, subscription: string): Book {
    const name = `${group}/${subscription}`;
    let book = this.#books.get(name);
    if (book === undefined) {
      book = { states: new Map(), newestIndex: 0, cursor: 0, movedTo: Number.POSITIVE_INFINITY };
      this.#books.set(name, book);
    }
    return book;
  }
}
