// Positions and numbers of the protocol. All are safe integers (≤ 2^53 − 1); decoders refuse anything else.

/** Raft election number of a group, from 1; 0 before the first election. */
export type Term = number;
/** Raft log position of a group, 1-based; 0 means "none". */
export type LogIndex = number;
/** Record position within a partition, 0-based. */
export type Offset = number;

/** Throws RangeError unless `value` is an integer in [0, 2^53 − 1]. */
export function checkedPosition(value: number, what: string): number {
  if (!Number.isSafeInteger(value) || value < 0)
    throw new RangeError(`${what} out of range: ${value}`);
  return value;
}
