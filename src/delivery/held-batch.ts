// A batch in a dispatcher's hands, from its being read until nothing of it waits any more.
import type { Offset } from "../model/positions.ts";
import type { OffsetRange } from "./delivery-commands.ts";
import type { LoadedBatch } from "./dispatch-types.ts";
import { isWithin } from "./offset-ranges.ts";

export class HeldBatch<B> {
  readonly batch: LoadedBatch<B>;
  /** What lies below was looked at. */
  position: Offset;
  /** DispatchCore.filterAgain: when its unwanted messages were looked at. */
  filteredAt = -1;
  /** Messages that wait in it. */
  waiting = 0;

  constructor(batch: LoadedBatch<B>) {
    this.batch = batch;
    this.position = batch.baseOffset;
  }

  holds(offset: Offset): boolean {
    return offset >= this.batch.baseOffset && offset < this.batch.endOffset;
  }

  isUnwanted(offset: Offset): boolean {
    return isWithin(this.batch.unwanted, offset);
  }

  /** undefined also without a key. */
  keyOf(offset: Offset): Buffer | undefined {
    return this.batch.keys?.[offset - this.batch.baseOffset];
  }

  /** About how many bytes of credit so many of its records cost. */
  bytesOf(count: number): number {
    const records = this.batch.endOffset - this.batch.baseOffset;
    return count === records ? this.batch.bytes : Math.ceil((this.batch.bytes * count) / records);
  }
}

/** What goes to the consumer whose turn it is. */
export interface Grant<B> {
  readonly held: HeldBatch<B>;
  readonly ranges: readonly OffsetRange[];
  readonly count: number;
  /** Some may have failed before. */
  readonly mayHaveFailed: boolean;
}
