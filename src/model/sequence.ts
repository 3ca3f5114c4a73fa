// Producer sequence numbers: one per record, 31 bits, wrapping to 0 after 2^31 − 1 as record batch v2 defines them.

/** Exclusive. */
const SEQUENCE_LIMIT = 0x8000_0000;

/** The sequence `count` records after `sequence`. */
export function sequenceAfter(sequence: number, count: number): number {
  return (sequence + count) % SEQUENCE_LIMIT;
}

/** Sequence of the last record of a batch of `count` ≥ 1 records. */
export function lastSequenceOf(baseSequence: number, count: number): number {
  return sequenceAfter(baseSequence, count - 1);
}

/** How far `to` is ahead of `from`, in [0, 2^31). A distance in the upper half means that `to` is behind. */
export function sequenceDistance(from: number, to: number): number {
  return (to - from + SEQUENCE_LIMIT) % SEQUENCE_LIMIT;
}

/** True when `candidate` is ahead of `reference`, by less than half of the number space. */
export function isSequenceAhead(candidate: number, reference: number): boolean {
  const distance = sequenceDistance(reference, candidate);
  return distance > 0 && distance < SEQUENCE_LIMIT / 2;
}
