// What a run of mixed faults may excuse, and why: the header of its history.
import type { Rules } from "../../../src/testkit/index.ts";

export const EXCUSES: Partial<Rules> = {
  // Known gap (1) of docs/GUARANTEES.md: a replica that lost unflushed entries votes like any other.
  lazyVoters: false,
  allowedLogLines: [],
};
