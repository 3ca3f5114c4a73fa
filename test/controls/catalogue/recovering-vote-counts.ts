import type { Control } from "../control.ts";

export const recoveringVoteCounts: Control = {
  name: "recovering-vote-counts",
  breaks:
    "The vote of a replica that may have forgotten what it acknowledged counts like any other's.",
  expects: ["I17", "I9", "A1"],
  patch: [
    {
      file: "raft/quorum.ts",
      find: "if (!ballot.recovering) sound += 1;",
      replace: "sound += 1;",
    },
  ],
};
