import type { Control } from "../control.ts";

export const dedupeNotReplicated: Control = {
  name: "dedupe-not-replicated",
  breaks:
    "Only the leader that appended a batch or message remembers it: the next one stores the repetition again.",
  expects: ["A3"],
  patch: [
    {
      file: "partition/partition-state.ts",
      find: "this.producers.record(header, record, appendTimeMs, writes);",
      replace: "",
    },
    {
      file: "partition/partition-state.ts",
      find: "if (ids !== undefined) this.messageIds.record(context, ids, writes);",
      replace: "",
    },
    {
      file: "partition/append-path.ts",
      find: "this.overlay.applied(marks.appliedIndex);",
      replace: "",
    },
  ],
};
