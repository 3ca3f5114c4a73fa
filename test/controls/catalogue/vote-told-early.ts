import type { Control } from "../control.ts";

export const voteToldEarly: Control = {
  name: "vote-told-early",
  breaks:
    "A vote is told before it is on the disk: after a crash the voter may vote a second time.",
  expects: ["I4", "I3"],
  patch: [
    {
      file: "raft/state.ts",
      find: `if (this.isVoteDurable) this.out.messages.push(message);
    else this.out.withhold(this.#hardSeq, message);`,
      replace: "this.out.messages.push(message);",
    },
  ],
};
