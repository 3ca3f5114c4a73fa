// Which leader epochs a partition is known to have had, and who led in them, from receipts, records, leader observations
// and bounds. The promises of the leader classes and the check for two leaders rest on it.
import type { Facts } from "./facts.ts";
import { NONE } from "./send-table.ts";

export class Epochs {
  /** By place: epoch → who led. */
  readonly #known: Map<number, number>[] = [];
  readonly #highest: number[] = [];

  constructor(facts: Facts) {
    const { places, reads, sends } = facts;
    for (let place = 0; place < places.size; place += 1) {
      this.#known.push(new Map());
      this.#highest.push(0);
    }
    for (const { event } of facts.leaders) {
      const { leaderEpoch, node, partition, topic } = event;
      if (node > 0) this.#learn(places.numberOf(topic, partition), leaderEpoch, node);
    }
    for (let row = 0; row < sends.length; row += 1) {
      if (!sends.isAcknowledged(row)) continue;
      this.#learn(sends.ackPlace.at(row), sends.ackEpoch.at(row), sends.ackNode.at(row));
    }
    for (let read = 0; read < reads.length; read += 1) {
      this.#learn(reads.place.at(read), reads.epoch.at(read), NONE);
    }
    for (const { event } of facts.bounds) {
      this.#learn(places.numberOf(event.topic, event.partition), event.leaderEpoch, NONE);
    }
  }

  /** Another leadership followed. */
  hasLater(place: number, epoch: number): boolean {
    return (this.#highest[place] ?? 0) > epoch;
  }

  /** Every later epoch is known, without a gap, and the same node led in all of them. */
  stayedWithLeader(place: number, epoch: number): boolean {
    const known = this.#known[place];
    const leader = known?.get(epoch);
    if (leader === undefined) return false;
    for (let later = epoch + 1; later <= (this.#highest[place] ?? 0); later += 1) {
      if (known?.get(later) !== leader) return false;
    }
    return true;
  }

  #learn(place: number, epoch: number, node: number): void {
    if (node !== NONE) this.#known[place]?.set(epoch, node);
    if (epoch > (this.#highest[place] ?? 0)) this.#highest[place] = epoch;
  }
}
