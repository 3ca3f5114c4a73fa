// Which unflushed entries were lost, and by whom: a loss of power is drawn only where it leaves every entry, that somebody
// may take for committed, in the memory of a voter of each majority. Then nothing that was committed may ever be gone.
import type { Host, TestEntry } from "./host.ts";

export class Losses {
  readonly #lostBy = new Map<string, Set<number>>();
  readonly #max: number;
  count = 0;

  /** @param max so many replicas may lose the same entry: fewer than any majority has */
  constructor(max: number) {
    this.#max = max;
  }

  /** May the host lose power now? */
  allows(host: Host, keep: number): boolean {
    return host.atRisk(keep).every((entry) => {
      const losers = this.#lostBy.get(key(entry));
      return losers === undefined || losers.has(host.id) || losers.size < this.#max;
    });
  }

  note(host: Host, keep: number): void {
    for (const entry of host.atRisk(keep)) {
      const losers = this.#lostBy.get(key(entry)) ?? new Set();
      losers.add(host.id);
      this.#lostBy.set(key(entry), losers);
      this.count += 1;
    }
  }

  /** The replica had the entry once. */
  wasLost(host: Host, index: number, term: number | undefined): boolean {
    return this.#lostBy.get(`${term}/${index}`)?.has(host.id) ?? false;
  }
}

function key({ index, term }: TestEntry): string {
  return `${term}/${index}`;
}
