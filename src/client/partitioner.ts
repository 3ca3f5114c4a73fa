// Which partition a record goes to: the one named; else the owner of its key's slot; else one partition for a while, then
// the next, so that records without key form large batches. Asked for every record.
import type { Random } from "../base/random.ts";
import { slotOf } from "../model/slots.ts";
import type { TopicRoute } from "./topic-route.ts";

/** Records without key that go to one partition before another one is chosen, bytes. */
const STICKY_BYTES = 64 * 1024;

export class Partitioner {
  readonly #route: TopicRoute;
  readonly #random: Random;
  #sticky = -1;
  #stickyBytes = 0;

  constructor(route: TopicRoute, random: Random) {
    this.#route = route;
    this.#random = random;
  }

  /** −1: nobody owns the slot of this key. */
  ofKey(key: Uint8Array): number {
    return this.#route.slots[slotOf(key)] ?? -1;
  }

  /** @param bytes rough size of the record */
  withoutKey(bytes: number): number {
    if (this.#sticky < 0 || this.#stickyBytes >= STICKY_BYTES) this.#choose();
    this.#stickyBytes += bytes;
    return this.#sticky;
  }

  /** Another partition than before, with a known leader if there is one. */
  #choose(): void {
    const count = this.#route.partitionCount;
    this.#stickyBytes = 0;
    const from = this.#random.integer(0, Math.max(1, count));
    for (let i = 0; i < count; i += 1) {
      const partition = (from + i) % count;
      const isOther = partition !== this.#sticky || count === 1;
      if (isOther && this.#route.leaderOf(partition) !== undefined) {
        this.#sticky = partition;
        return;
      }
    }
    this.#sticky = from;
  }
}
