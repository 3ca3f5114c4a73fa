import type { Control } from "../control.ts";

export const jointIgnored: Control = {
  name: "joint-ignored",
  breaks: "While members are exchanged, majorities are counted among the new ones only.",
  expects: ["I14", "I15", "I16", "I9"],
  patch: [
    {
      file: "raft/quorum.ts",
      find: "return Math.min(incoming, majorityValue(membership.outgoing, read));",
      replace: "return incoming;",
    },
    {
      file: "raft/quorum.ts",
      find: "const outgoing = tallyOne(membership.outgoing, ballotOf);",
      replace: "const outgoing = incoming;",
    },
  ],
};
