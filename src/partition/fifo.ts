// A queue with cheap ends: Array.shift() moves everything that is left, which hurts when thousands of acknowledgements
// are parked. Used by the waiters, the overlay and the lanes.

/** Consumed places at the front that are tolerated before the array is cut. */
const SLACK = 1024;

export class Fifo<T> {
  #items: T[] = [];
  #head = 0;

  get length(): number {
    return this.#items.length - this.#head;
  }

  push(item: T): void {
    this.#items.push(item);
  }

  /** The oldest; undefined when empty. */
  peek(): T | undefined {
    return this.#items[this.#head];
  }

  /** The newest; undefined when empty. */
  last(): T | undefined {
    return this.length === 0 ? undefined : this.#items[this.#items.length - 1];
  }

  /** The item `position` places behind the oldest. */
  at(position: number): T | undefined {
    return this.#items[this.#head + position];
  }

  shift(): T | undefined {
    if (this.length === 0) return undefined;
    const item = this.#items[this.#head];
    this.#head += 1;
    if (this.#head === this.#items.length) this.clear();
    else if (this.#head >= SLACK && this.#head * 2 >= this.#items.length) {
      this.#items = this.#items.slice(this.#head);
      this.#head = 0;
    }
    return item;
  }

  /** Takes the newest back. */
  pop(): T | undefined {
    return this.length === 0 ? undefined : this.#items.pop();
  }

  /** Puts an item `position` places behind the oldest; the rest moves back. */
  insert(position: number, item: T): void {
    this.#items.splice(this.#head + position, 0, item);
  }

  clear(): void {
    this.#items = [];
    this.#head = 0;
  }
}
