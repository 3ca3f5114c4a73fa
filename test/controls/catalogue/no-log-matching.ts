import type { Control } from "../control.ts";

export const noLogMatching: Control = {
  name: "no-log-matching",
  breaks: "A follower appends behind whatever entry it has, of whatever term.",
  expects: ["I7", "I24", "I10"],
  patch: [
    {
      file: "raft/follower.ts",
      find: "if (log.termAt(request.prevIndex) !== request.prevTerm) {",
      replace: "if (request.prevIndex > log.lastIndex) {",
    },
  ],
};
