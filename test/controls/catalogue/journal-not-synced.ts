import type { Control } from "../control.ts";

export const journalNotSynced: Control = {
  name: "journal-not-synced",
  breaks: "Terms and votes are written, and taken for durable without a sync of the journal.",
  expects: ["I4", "P1", "I2", "I3"],
  patch: [
    {
      file: "replica/journal-flusher.ts",
      find: "await this.#journal.sync();",
      replace: "await Promise.resolve();",
    },
  ],
};
