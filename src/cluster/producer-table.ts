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
/** Characters of the token of an opening, inclusive. More: INVALID_REQUEST. */
export const PRODUCER_TOKEN_CHARACTERS_MAX = 64;

/** A session that a producer of the name has had. */
export interface PreviousSession {
  /** For acks=all. */
  readonly producerId: ProducerId;
  readonly epoch: number;
}

/** How a name is opened. */
export interface ProducerOpening {
  readonly name: string;
  /** Tells a repetition from another opening; undefined: it cannot be repeated. */
  readonly token?: string | undefined;
  /** Given up for a new one; undefined: whoever has the name is fenced. */
  readonly previous?: PreviousSession | undefined;
}

/** The present session of a producer name. */
export interface ProducerRow {
  readonly name: string;
  /** For acks=all. */
  readonly producerId: ProducerId;
  /** For acks=leader and none. */
  readonly weakProducerId: ProducerId;
  readonly epoch: number;
  /** Of the opening that led to it. */
  readonly token?: string | undefined;
  /** Epochs above that the next session leaves out, because lost entries may have given them; absent: none. */
  readonly epochsSkipped?: number;
}

/** The answer to this opening was lost: the row is its result already. */
export function isRepetition(known: ProducerRow, { token }: ProducerOpening): boolean {
  return token !== undefined && token === known.token;
}

/** Somebody else has opened the name since: who asks must not take it back. */
export function isFenced(known: ProducerRow | undefined, { previous }: ProducerOpening): boolean {
  if (previous === undefined) return false;
  return known?.producerId !== previous.producerId || known.epoch !== previous.epoch;
}

/**
 * The next session of a name.
 *
 * @param nextProducerId first id never given out
 * @returns the new row and how many ids it used up (0 or 2)
 */
export function nextSession(
  known: ProducerRow | undefined,
  { name, token }: ProducerOpening,
  nextProducerId: ProducerId,
): { readonly row: ProducerRow; readonly idsUsed: number } {
  if (known !== undefined) {
    const { epochsSkipped = 0, ...row } = known;
    const epoch = row.epoch + 1 + epochsSkipped;
    if (epoch <= PRODUCER_EPOCH_MAX) return { row: { ...row, epoch, token }, idsUsed: 0 };
  }
  const row = {
    name,
    producerId: nextProducerId,
    weakProducerId: nextProducerId + 1,
    epoch: 0,
    token,
  };
  return { row, idsUsed: 2 };
}
