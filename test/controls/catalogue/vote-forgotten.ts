import type { Control } from "../control.ts";

export const voteForgotten: Control = {
  name: "vote-forgotten",
  breaks: "The vote is on the disk, but a replica that starts again does not look at it.",
  expects: ["I3", "I1", "I4"],
  patch: [
    {
      file: "replica/replica-parts.ts",
      find: "vote: record.vote,",
      replace: "vote: 0,",
    },
  ],
};
