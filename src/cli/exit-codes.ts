// What the command line's exit status says (the sysexits numbers that scripts know). docs/OPERATIONS.md lists them.

export const EXIT = {
  /** Done. */
  OK: 0,
  /** It ran and the answer is "no": a node not healthy, messages not acknowledged. */
  FAILED: 1,
  /** Wrong command line. */
  USAGE: 64,
  /** Wrong data: an unknown topic, a message that is too large. */
  DATA: 65,
  /** No broker could be reached. */
  UNAVAILABLE: 69,
  /** A defect of Flotilla. */
  BUG: 70,
  /** It may work later: an election, an overload. */
  TRY_AGAIN: 75,
  /** cluster.yaml or a data directory is wrong. */
  CONFIG: 78,
} as const;

export type ExitCode = (typeof EXIT)[keyof typeof EXIT];
