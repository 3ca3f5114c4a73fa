import type { Control } from "../control.ts";

export const ackBeforeFlush: Control = {
  name: "ack-before-flush",
  breaks: "A follower says that it flushed what it has only written.",
  expects: ["I5", "I19", "I15"],
  patch: [
    {
      file: "raft/follower.ts",
      find: "const durableIndex = Math.min(agreedIndex, flushedIndex);",
      replace: "const durableIndex = Math.min(agreedIndex, writtenIndex);",
    },
  ],
};
