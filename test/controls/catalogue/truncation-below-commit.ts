import type { Control } from "../control.ts";

export const truncationBelowCommit: Control = {
  name: "truncation-below-commit",
  breaks:
    "Whatever stands behind an append is cut off, without a conflict of terms and below the commit index too.",
  expects: ["I12", "I11"],
  patch: [
    {
      file: "raft/follower.ts",
      find: "if (log.termAt(entry.index) !== entry.term) break;",
      replace: "if (entry.index > 0) break;",
    },
    {
      file: "raft/follower.ts",
      find: `assert(first.index > state.follower.agreedIndex, "entries of this leader are never replaced");`,
      replace: "",
    },
    {
      file: "raft/state.ts",
      find: `assert(from > Math.min(this.commitIndex, this.log.lastIndex), "committed entries stay", {
      from,
      commitIndex: this.commitIndex,
    });`,
      replace: "",
    },
  ],
};
