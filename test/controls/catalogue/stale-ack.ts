import type { Control } from "../control.ts";

export const staleAck: Control = {
  name: "stale-ack",
  breaks: "An ack of a lease that is over settles the message, although somebody else works on it.",
  expects: ["D2", "A4", "A14"],
  patch: [
    {
      file: "delivery/settle-desk.ts",
      find: `    if (held === "stale") return "stale";`,
      replace: `    if (held === "stale") {
      if (settlement.kind !== "ack") return "stale";
      for (const [from, to] of settlement.ranges) this.#core.update.ack(from, to);
      this.#core.update.confirmLater(consumer.key, settlement.number, false);
      return "later";
    }`,
    },
  ],
};
