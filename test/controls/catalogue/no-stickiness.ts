import type { Control } from "../control.ts";

export const noStickiness: Control = {
  name: "no-stickiness",
  breaks: "Replicas that hear their leader vote for another one nevertheless.",
  expects: ["L3"],
  patch: [
    {
      file: "raft/step.ts",
      find: "if (isNewElection && !message.transfer && hasLiveLeader(state)) return;",
      replace: "",
    },
  ],
};
