import type { Control } from "../control.ts";

export const voteNotStored: Control = {
  name: "vote-not-stored",
  breaks: "The journal keeps the term, but not for whom the replica voted in it.",
  expects: ["I4", "I3"],
  patch: [
    {
      file: "raft/state.ts",
      find: "return { term: this.#term, vote: this.#vote as ReplicaId };",
      replace: "return { term: this.#term, vote: 0 as ReplicaId };",
    },
  ],
};
