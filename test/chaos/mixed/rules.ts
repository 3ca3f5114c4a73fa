// What a run of mixed faults may excuse, and why: the header of its history.
import type { Rules } from "../../../src/testkit/index.ts";

export const EXCUSES: Partial<Rules> = {
  lazyVoters: false,
  allowedLogLines: [],
};
