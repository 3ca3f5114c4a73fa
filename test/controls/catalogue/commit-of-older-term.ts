import type { Control } from "../control.ts";

export const commitOfOlderTerm: Control = {
  name: "commit-of-older-term",
  breaks: "A leader commits entries of former terms by counting replicas (paper, figure 8).",
  expects: ["I13", "I10", "I9"],
  patch: [
    {
      file: "raft/commit.ts",
      find: "if (ruled > state.commitIndex && log.termAt(ruled) === state.term) {",
      replace: "if (ruled > state.commitIndex) {",
    },
  ],
};
