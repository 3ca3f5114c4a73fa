import type { Control } from "../control.ts";

export const seekOvertaken: Control = {
  name: "seek-overtaken",
  breaks:
    "What was decided before a seek and stands behind it in the log counts: an ack settles what the seek brought back.",
  expects: ["D1"],
  patch: [
    {
      file: "delivery/subscription-state.ts",
      find: "if ((update.seeks ?? 0) !== this.#seeks) {",
      replace: "if ((update.seeks ?? 0) > this.#seeks) {",
    },
  ],
};
