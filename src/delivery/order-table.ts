// Whose turn it is within each key: the earliest unsettled message of a key may go out, later ones wait behind it. Holds the
// window of messages that were read ahead (keyed and fifo). Pure.
import type { Offset } from "../model/positions.ts";
import type { HeldBatch } from "./held-batch.ts";
import { MinHeap } from "./min-heap.ts";

/** Messages read ahead, ready or waiting. */
export const WINDOW_MESSAGES_MAX = 4096;
/** Bytes of the keys of messages that are out, wait, or have failed. Beyond: nothing new is looked at until some are settled. */
export const KEY_BYTES_MAX = 16 * 1024 * 1024;

/** One message of the window. */
export interface Waiting<B> {
  readonly offset: Offset;
  readonly held: HeldBatch<B>;
  /** undefined: it has no key, and so no order. */
  readonly turn: KeyTurn<B> | undefined;
  /** It left the window. */
  isGone: boolean;
}

export interface KeyTurn<B> {
  readonly name: string;
  /** Its earliest unsettled message. */
  head: Offset;
  /** The head, while it is ready to go out. */
  ready: Waiting<B> | undefined;
  /** A number: the offset of a message that is out, or waits for its next attempt, although it is not the first. */
  readonly waiting: (Waiting<B> | Offset)[];
}

export class OrderTable<B> {
  readonly #turns = new Map<string, KeyTurn<B>>();
  /** Heads, and messages without a key that left the window: all that were looked at and are not settled. */
  readonly #known = new Map<Offset, KeyTurn<B> | undefined>();
  readonly #ready = new MinHeap<Waiting<B>>((a, b) => a.offset < b.offset);
  readonly #dropped: (message: Waiting<B>) => void;
  #size = 0;
  #keyBytes = 0;

  /** @param dropped a message left the window without going out */
  constructor(dropped: (message: Waiting<B>) => void) {
    this.#dropped = dropped;
  }

  /** Messages of the window. */
  get size(): number {
    return this.#size;
  }

  /** No further message may be added. */
  get isFull(): boolean {
    return this.#size >= WINDOW_MESSAGES_MAX || this.#keyBytes >= KEY_BYTES_MAX;
  }

  turnOf(name: string): KeyTurn<B> | undefined {
    return this.#turns.get(name);
  }

  isKnown(offset: Offset): boolean {
    return this.#known.has(offset);
  }

  /** The turn whose head this is. */
  turnOfHead(offset: Offset): KeyTurn<B> | undefined {
    return this.#known.get(offset);
  }

  /** A free message was read. `name`: of its key; undefined: it has no order. */
  add(offset: Offset, name: string | undefined, held: HeldBatch<B>): void {
    this.#size += 1;
    held.waiting += 1;
    if (name === undefined) {
      this.#ready.push({ offset, held, turn: undefined, isGone: false });
      return;
    }
    const known = this.#turns.get(name);
    if (known !== undefined) {
      known.waiting.push({ offset, held, turn: known, isGone: false });
      return;
    }
    const turn = this.#newTurn(name, offset);
    turn.ready = { offset, held, turn, isGone: false };
    this.#ready.push(turn.ready);
  }

  /** A message that is out, or waits for its next attempt, was met: what is behind it waits. */
  block(offset: Offset, name: string | undefined): void {
    const turn = name === undefined ? undefined : this.#turns.get(name);
    if (name !== undefined && turn === undefined) {
      this.#newTurn(name, offset);
      return;
    }
    this.#known.set(offset, undefined);
    // It went out when a filter did not want those before it.
    turn?.waiting.push(offset);
  }

  /** The lowest message that may go out. */
  firstReady(): Waiting<B> | undefined {
    for (let first = this.#ready.peek(); first?.isGone === true; first = this.#ready.peek()) {
      this.#ready.pop();
    }
    return this.#ready.peek();
  }

  /** The message leaves the window: it goes out, or it is of no use any more. */
  take(message: Waiting<B>): void {
    if (message.isGone) return;
    message.isGone = true;
    message.held.waiting -= 1;
    this.#size -= 1;
    if (message.turn === undefined) this.#known.set(message.offset, undefined);
    else if (message.turn.ready === message) message.turn.ready = undefined;
  }

  /** This one is done with: the next one of its key is ready. */
  advance(offset: Offset): void {
    const turn = this.#known.get(offset);
    this.#known.delete(offset);
    if (turn === undefined) return;
    if (turn.ready !== undefined) this.#drop(turn.ready);
    let next = turn.waiting.shift();
    while (typeof next === "number" && !this.#known.has(next)) next = turn.waiting.shift();
    if (next === undefined) {
      this.#deleteTurn(turn);
      return;
    }
    turn.head = typeof next === "number" ? next : next.offset;
    this.#known.set(turn.head, turn);
    if (typeof next === "number") return;
    turn.ready = next;
    this.#ready.push(next);
  }

  /** The key of this message goes no further: nothing of it is kept. */
  dropTurn(offset: Offset): void {
    const turn = this.#known.get(offset);
    this.#known.delete(offset);
    if (turn === undefined) return;
    this.#deleteTurn(turn);
    if (turn.ready !== undefined) this.#drop(turn.ready);
    this.#dropWaiting(turn);
  }

  /** Empties the window; what is out or waits for its next attempt goes on blocking its key. */
  dropWindow(): void {
    for (const turn of [...this.#turns.values()]) {
      const left = turn.waiting.filter((message) => typeof message === "number");
      this.#dropWaiting(turn);
      turn.waiting.push(...left);
      if (turn.ready !== undefined) this.advance(turn.head);
    }
    for (const message of this.#ready.items()) if (!message.isGone) this.#drop(message);
    this.#ready.clear();
  }

  /** Forgets everything. */
  clear(): void {
    this.dropWindow();
    this.#turns.clear();
    this.#keyBytes = 0;
    this.#known.clear();
  }

  /** The message of the window with this offset; looks through all of them. */
  find(offset: Offset): Waiting<B> | undefined {
    for (const turn of this.#turns.values()) {
      for (const message of turn.waiting) {
        if (typeof message !== "number" && message.offset === offset) return message;
      }
    }
    return this.#ready.items().find((message) => message.offset === offset && !message.isGone);
  }

  #newTurn(name: string, head: Offset): KeyTurn<B> {
    const turn: KeyTurn<B> = { name, head, ready: undefined, waiting: [] };
    this.#turns.set(name, turn);
    this.#keyBytes += name.length;
    this.#known.set(head, turn);
    return turn;
  }

  #deleteTurn({ name }: KeyTurn<B>): void {
    if (this.#turns.delete(name)) this.#keyBytes -= name.length;
  }

  #dropWaiting(turn: KeyTurn<B>): void {
    for (const message of turn.waiting) if (typeof message !== "number") this.#drop(message);
    turn.waiting.length = 0;
  }

  #drop(message: Waiting<B>): void {
    if (message.isGone) return;
    message.isGone = true;
    message.held.waiting -= 1;
    this.#size -= 1;
    if (message.turn?.ready === message) message.turn.ready = undefined;
    this.#dropped(message);
  }
}
