import type { Control } from "../control.ts";

export const ackBeforeCommit: Control = {
  name: "ack-before-commit",
  breaks: "A producer that waits for all is answered as soon as the leader has written its batch.",
  expects: ["I30", "A1"],
  patch: [
    {
      file: "partition/waiters.ts",
      find: `case "committed":
      return marks.commitIndex;`,
      replace: `case "committed":
      return marks.writtenIndex;`,
    },
  ],
};
