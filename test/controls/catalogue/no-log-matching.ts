import type { Control } from "../control.ts";

export const noLogMatching: Control = {
  name: "no-log-matching",
  breaks:
    "A follower appends behind whatever entry it has, of whatever term. The assertions behind that check are out as well.",
  expects: ["I7", "I24", "I10"],
  patch: [
    {
      file: "raft/follower.ts",
      find: "if (log.termAt(request.prevIndex) !== request.prevTerm) {",
      replace: "if (request.prevIndex > log.lastIndex) {",
    },
    {
      file: "raft/log-view.ts",
      find: `assert(entry.term >= this.lastTerm, "terms in a log never decrease", { index: entry.index });`,
      replace: "",
    },
    {
      file: "log/segment-log.ts",
      find: "const isNext = index === lastIndex + 1 && term >= lastTerm && baseOffset === nextOffset;",
      replace: "const isNext = index === lastIndex + 1;",
    },
  ],
};
