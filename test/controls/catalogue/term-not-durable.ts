import type { Control } from "../control.ts";

export const termNotDurable: Control = {
  name: "term-not-durable",
  breaks: "Entries of a term are written and answered before the term itself is on the disk.",
  expects: ["P1", "I2"],
  patch: [
    {
      file: "raft/state.ts",
      find: "return this.#durableSeq >= this.#termSeq;",
      replace: "return true;",
    },
  ],
};
