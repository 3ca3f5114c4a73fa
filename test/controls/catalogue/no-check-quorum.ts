import type { Control } from "../control.ts";

export const noCheckQuorum: Control = {
  name: "no-check-quorum",
  breaks:
    "A leader that hears from no majority goes on leading: its clients wait for it, its readers see the past.",
  expects: ["quorum", "A15", "reach"],
  patch: [
    {
      file: "raft/tick.ts",
      find: `if (!hasQuorum(state)) becomeFollower(state, state.term, 0, "lost quorum");
  else if`,
      replace: "if",
    },
  ],
};
