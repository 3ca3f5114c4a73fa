// How much reading for those who are behind may take of a node: followers that need entries which left memory, and state
// machines that apply from disk. After a start all groups may want that at once, and each read holds frames in memory
// until they are on their way. Asked by the ready and apply loops of all groups.
import { APPEND_BYTES_MAX, READS_BEHIND_MAX } from "../model/limits.ts";

/** In which order those that wait are served: without the metadata nothing goes on, without its state no leader serves. */
export const READ_RANKS = ["metadata", "apply", "catch-up"] as const;
export type ReadRank = (typeof READ_RANKS)[number];

export class ReadLimit {
  readonly #waiting: Readonly<Record<ReadRank, Set<() => void>>> = {
    metadata: new Set(),
    apply: new Set(),
    "catch-up": new Set(),
  };
  #running = 0;

  /** About what the reads under way hold. */
  get bytes(): number {
    return this.#running * APPEND_BYTES_MAX;
  }

  /**
   * Calls `read` when its turn comes, at once if possible; much may have changed meanwhile. There is one at most per group and
   * receiver, so those that wait are few.
   * @param signal when it is aborted before, `read` is not called
   */
  async run(rank: ReadRank, signal: AbortSignal, read: () => Promise<void>): Promise<void> {
    if (this.#running < READS_BEHIND_MAX) this.#running += 1;
    else if (!(await this.#turn(rank, signal))) return;
    try {
      await read();
    } finally {
      this.#pass();
    }
  }

  /** Resolves to true when another one passed its place on, to false when nobody needs it any more. */
  #turn(rank: ReadRank, signal: AbortSignal): Promise<boolean> {
    if (signal.aborted) return Promise.resolve(false);
    const waiting = this.#waiting[rank];
    return new Promise((resolve) => {
      const begin = (): void => {
        signal.removeEventListener("abort", giveUp);
        resolve(true);
      };
      const giveUp = (): void => {
        waiting.delete(begin);
        resolve(false);
      };
      waiting.add(begin);
      signal.addEventListener("abort", giveUp, { once: true });
    });
  }

  #pass(): void {
    for (const rank of READ_RANKS) {
      const waiting = this.#waiting[rank];
      for (const begin of waiting) {
        waiting.delete(begin);
        begin();
        return;
      }
    }
    this.#running -= 1;
  }
}
