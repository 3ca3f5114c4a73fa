import type { Control } from "../control.ts";

export const agreementOutlivesTerm: Control = {
  name: "agreement-outlives-term",
  breaks:
    "What a follower agreed on with one leader counts for the next one: it may answer for entries that this one never had.",
  expects: ["I7", "I13", "I15", "I19"],
  patch: [
    {
      file: "raft/state.ts",
      find: `// It was with the leader of the former term.
    this.resetAgreement();`,
      replace: "",
    },
    {
      file: "raft/follower.ts",
      find: `assert(first.index > state.follower.agreedIndex, "entries of this leader are never replaced");`,
      replace: "",
    },
  ],
};
