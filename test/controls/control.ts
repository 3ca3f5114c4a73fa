// What a positive control is: a defect that is built into a copy of src on purpose, to see whether the simulator notices.
// One file each in catalogue/; run by run.ts.

/** One change of a source file. */
export interface Replacement {
  /** Below src. */
  readonly file: string;
  /** Must occur exactly once. */
  readonly find: string;
  readonly replace: string;
}

export interface Control {
  /** As --only takes it. */
  readonly name: string;
  /** One sentence: what this build does wrong, and what it may cost. */
  readonly breaks: string;
  /** Checks that ought to see it, as violations.ts names them. */
  readonly expects: readonly string[];
  readonly patch: readonly Replacement[];
}
