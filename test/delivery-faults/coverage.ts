// What a run has met so far of what it is there for: messages that came again without that their consumers asked for it, and
// acknowledgements out of order. A run that met none of it proves nothing. Filled by consumer-fleet.ts, judged by mode-run.ts.
import type { DeliveryToken, SettlementAsked } from "../../src/testkit/index.ts";

export class Coverage {
  readonly #seen = new Set<number>();
  readonly #failed = new Set<number>();
  /** By partition: the highest offset whose acknowledgement was asked for. */
  readonly #highest = new Map<number, number>();
  /** So often a message was begun that had been begun before and that nobody had called failed. */
  returned = 0;
  /** Acknowledgements of a message behind which one of its partition had been acknowledged before. */
  shuffled = 0;

  begun({ partition }: DeliveryToken, offset: number): void {
    const name = nameOf(partition, offset);
    if (this.#seen.has(name)) {
      if (!this.#failed.has(name)) this.returned += 1;
    } else this.#seen.add(name);
  }

  asked({ partition }: DeliveryToken, offset: number, verdict: SettlementAsked["verdict"]): void {
    if (verdict !== "ack") {
      this.#failed.add(nameOf(partition, offset));
      return;
    }
    const highest = this.#highest.get(partition) ?? -1;
    if (offset < highest) this.shuffled += 1;
    else this.#highest.set(partition, offset);
  }
}

/** Offsets of a run are below 2^40. */
function nameOf(partition: number, offset: number): number {
  return partition * 2 ** 40 + offset;
}
