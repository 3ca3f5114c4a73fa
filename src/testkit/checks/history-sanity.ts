// The history itself: values are unique, and every end belongs to one send. A run that breaks this cannot be judged.
import { type Check, eventsOf, type Finding, shown } from "./check.ts";

export const sanityCheck: Check = {
  kinds: ["duplicate-value-sent", "unmatched-end", "unmatched-settlement"],
  run: ({ facts }, found) => {
    const { sends } = facts;
    const finding = (row: number, event: number, message: string): Finding => ({
      message: `${shown(sends.valueOf(row))} ${message}`,
      value: sends.valueOf(row),
      events: [...eventsOf(facts, row), event],
    });
    for (const { event, row } of sends.sentTwice) {
      found("duplicate-value-sent", () =>
        finding(row, event, "was sent before; every value must be unique"),
      );
    }
    for (const { event, row } of sends.endedTwice) {
      const message = sends.isSent(row) ? "had ended before" : "ended, and was never sent";
      found("unmatched-end", () => finding(row, event, message));
    }
    for (const event of facts.delivery.unmatched) {
      const message = "about a delivery, or a settlement, that does not stand before it";
      found("unmatched-settlement", () => ({ message, events: [event] }));
    }
    return sends.length;
  },
};
