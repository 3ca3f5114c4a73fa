// How much repairs may take of a node: a few at a time, and only while the disk keeps its reserve. Damage often comes in many
// groups at once, and each repair holds frames in memory and writes a segment anew. Asked by the repairers of all groups.
import { StorageError } from "../log/ports.ts";
import { REPAIRS_MAX } from "../model/limits.ts";

export class RepairLimit {
  readonly #freeBytes: () => number;
  readonly #reserveBytes: number;
  #running = 0;

  /** @param reserveBytes stay free for what the node needs otherwise */
  constructor(freeBytes: () => number, reserveBytes: number) {
    this.#freeBytes = freeBytes;
    this.#reserveBytes = reserveBytes;
  }

  /** @returns to be called at the end; undefined: not now */
  begin(): (() => void) | undefined {
    if (this.#running >= REPAIRS_MAX) return undefined;
    this.#running += 1;
    let isOver = false;
    return () => {
      if (!isOver) this.#running -= 1;
      isOver = true;
    };
  }

  /** For the copy, and for the original that is kept. @throws StorageError "full" */
  requireRoom(segmentBytes: number): void {
    if (this.#freeBytes() >= this.#reserveBytes + 2 * segmentBytes) return;
    throw new StorageError("full", "", "no room for a repair above the reserve");
  }
}
