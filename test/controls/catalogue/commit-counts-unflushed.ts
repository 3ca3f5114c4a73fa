import type { Control } from "../control.ts";

export const commitCountsUnflushed: Control = {
  name: "commit-counts-unflushed",
  breaks:
    "In a group that flushes before it acknowledges, the leader commits what a majority has only written.",
  expects: ["I15", "I30"],
  patch: [
    {
      file: "raft/commit.ts",
      find: `state.commitRule === "durable"
      ? durable
      : Math.min(`,
      replace: "Math.min(",
    },
  ],
};
