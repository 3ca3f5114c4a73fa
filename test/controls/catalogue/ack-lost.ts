import type { Control } from "../control.ts";

export const ackLost: Control = {
  name: "ack-lost",
  breaks:
    "A consumer's ack is confirmed before it is replicated: a change of leaders forgets what was confirmed.",
  expects: ["A4", "A20"],
  patch: [
    {
      file: "delivery/settle-desk.ts",
      find: `this.#take(lease, settlement.ranges, this.#acked);
        this.#core.update.confirmLater(consumer.key, settlement.number, false);
        return "later";`,
      replace: `this.#take(lease, settlement.ranges, this.#acked);
        return "confirmed";`,
    },
  ],
};
