// What a reader saw in one partition, in columns. read-back.ts fills it, run-history.ts makes events of it.

/** What stands in one partition, in the order in which the reader returned it. */
export interface PartitionRead {
  readonly partition: number;
  /** When the reading began: what was acknowledged before must be there. */
  readonly beganMs: number;
  /** Send numbers; −1: not a value that this test makes (see `strange`). */
  readonly sends: number[];
  /** Slots of the keys; −1: not a key of this test. */
  readonly slots: number[];
  readonly offsets: number[];
  readonly leaderEpochs: number[];
  /** Text of what was not recognized, by position in the columns. */
  readonly strange: Map<number, string>;
  /** When each was seen, ms; without it: all of them when the reading began. */
  readonly times?: number[];
}

export function emptyRead(partition: number, beganMs: number): PartitionRead {
  const columns = { sends: [], slots: [], offsets: [], leaderEpochs: [] };
  return { partition, beganMs, ...columns, strange: new Map() };
}
