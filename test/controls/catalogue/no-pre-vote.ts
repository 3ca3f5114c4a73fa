import type { Control } from "../control.ts";

export const noPreVote: Control = {
  name: "no-pre-vote",
  breaks:
    "A replica whose timer runs out raises its term at once: one that was cut off unseats a healthy leader when it returns.",
  expects: ["L3"],
  patch: [
    {
      file: "raft/tick.ts",
      find: `import { isPromotable, startPreVote } from "./election.ts";`,
      replace: `import { isPromotable, startElection } from "./election.ts";`,
    },
    {
      file: "raft/tick.ts",
      find: "isPromotable(state)) startPreVote(state);",
      replace: "isPromotable(state)) startElection(state, false);",
    },
  ],
};
