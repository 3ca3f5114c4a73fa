import type { Control } from "../control.ts";

export const dedupeNotInImages: Control = {
  name: "dedupe-not-in-images",
  breaks:
    "State images leave out what producers sent: a replica that was made from one does not know a repetition.",
  expects: ["stored", "state", "A3"],
  patch: [
    {
      file: "partition/partition-state.ts",
      find: `yield* this.producers.pairs();
    yield* this.messageIds.pairs();`,
      replace: "",
    },
  ],
};
