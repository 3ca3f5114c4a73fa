// What a run may excuse, as numbers: the limits and windows that the promise table (docs/GUARANTEES.md) leaves to the
// installation. They stand in the header of a saved history, so that it is judged later as it was judged then.

/** A line of level error or fatal that is all right, and why. */
export interface AllowedLogLine {
  /** The message contains this text. */
  readonly contains: string;
  readonly reason: string;
}

export interface Rules {
  /** Replicas of a partition, where the history does not declare the topic. */
  readonly replicas: number;
  /** Offsets leave nothing out. False: only offsets that are known to hold a record may not be passed over. */
  readonly denseOffsets: boolean;
  /**
   * A record of an async topic is on a majority's disks so long after it was acknowledged, ms: 100 and a flush round. Time
   * in which a node was down, paused or slow does not count for that node.
   */
  readonly asyncWindowMs: number;
  /** A replica that lost unflushed entries votes like any other: one power loss may cost an async topic records. */
  readonly lazyVoters: boolean;
  /** A deposed leader may answer readers from what it has for so long, ms; time in which a node is paused does not count. */
  readonly staleReadMsMax: number;
  /** With a healthy majority somebody must be acknowledged, and a consumer that waits be served, within this, ms. */
  readonly stuckMsMax: number;
  /** A delivery or a notice may be so long under way before it is written down, ms. */
  readonly leaseSlackMs: number;
  /** Leaders may hand out so long after a pause was confirmed, ms. */
  readonly pauseLagMsMax: number;
  /** What was acknowledged must be readable so long after the last fault, ms. */
  readonly recoveryMsMax: number;
  /** An idle process may use this many times what it used before the load … */
  readonly leakFactor: number;
  /** … or this much more, whatever the factor says: bytes for names that end with "Bytes", else a count. */
  readonly leakBytesMin: number;
  readonly leakCountMin: number;
  /** Lines of level error and fatal that are expected in this run. */
  readonly allowedLogLines: readonly AllowedLogLine[];
  /** So many anomalies of a kind are described; all are counted. */
  readonly describedMax: number;
}

export const DEFAULT_RULES: Rules = {
  replicas: 3,
  denseOffsets: true,
  asyncWindowMs: 500,
  lazyVoters: false,
  staleReadMsMax: 4000,
  stuckMsMax: 30_000,
  leaseSlackMs: 2000,
  pauseLagMsMax: 2000,
  recoveryMsMax: 30_000,
  leakFactor: 1.2,
  leakBytesMin: 16 * 1024 * 1024,
  leakCountMin: 10,
  allowedLogLines: [],
  describedMax: 1000,
};
