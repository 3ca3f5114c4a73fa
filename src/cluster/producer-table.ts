// Rows of named producers and the counter of producer ids. Part of the metadata state; pure. What a
// partition remembers of a producer's sequences is the partition room's business.
import type { ProducerId } from "../model/ids.ts";

/**
 * Named producers remembered. Beyond: OVERLOADED for a new name; anonymous sessions are not
 * affected.
 */
export const PRODUCER_NAMES_MAX = 100_000;
/**
 * Highest producer epoch, inclusive: the batch header has 16 signed bits for it. Beyond it new ids
 * are given.
 */
export const PRODUCER_EPOCH_MAX = 32_767;

/** The present session of a producer name. */
export interface ProducerRow {
  readonly name: string;
  /** For acks=all. */
  readonly producerId: ProducerId;
  /** For acks=leader and none. */
  readonly weakProducerId: ProducerId;
  readonly epoch: number;
}

/**
 * The next session of a name.
 *
 * @param nextProducerId first id never given out
 * @returns the new row and how many ids it used up (0 or 2)
 */
export function nextSession(
  known: ProducerRow | undefined,
  name: string,
  nextProducerId: ProducerId,
): { readonly row: ProducerRow; readonly idsUsed: number } {
  if (known !== undefined && known.epoch < PRODUCER_EPOCH_MAX) {
    return { row: { ...known, epoch: known.epoch + 1 }, idsUsed: 0 };
  }
  const row = {
    name,
    producerId: nextProducerId,
    weakProducerId: nextProducerId + 1,
    epoch: 0,
  };
  return { row, idsUsed: 2 };
}
