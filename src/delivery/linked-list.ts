// A list from which an element is removed in constant time by its place. Leases stand in two: their consumer's, and that of
// deadlines.

export interface Place<T> {
  readonly value: T;
  previous: Place<T> | undefined;
  next: Place<T> | undefined;
}

export class LinkedList<T> {
  #first: Place<T> | undefined;
  #last: Place<T> | undefined;

  get first(): Place<T> | undefined {
    return this.#first;
  }

  get isEmpty(): boolean {
    return this.#first === undefined;
  }

  /** At the end, or behind a place of this list. */
  add(value: T, behind: Place<T> | undefined = this.#last): Place<T> {
    const next = behind === undefined ? this.#first : behind.next;
    const place: Place<T> = { value, previous: behind, next };
    if (behind === undefined) this.#first = place;
    else behind.next = place;
    if (next === undefined) this.#last = place;
    else next.previous = place;
    return place;
  }

  remove(place: Place<T>): void {
    if (place.previous === undefined) this.#first = place.next;
    else place.previous.next = place.next;
    if (place.next === undefined) this.#last = place.previous;
    else place.next.previous = place.previous;
  }

  /** What is removed or added behind the current one meanwhile is seen as it is. */
  *[Symbol.iterator](): Generator<T> {
    for (let place = this.#first; place !== undefined; place = place.next) yield place.value;
  }
}
