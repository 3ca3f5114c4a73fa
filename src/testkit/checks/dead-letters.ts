// A21: one message, one dead letter: a move that is done twice is recognized as a duplicate.
import type { DeadLetter } from "../delivery-facts.ts";
import type { Check } from "./check.ts";
import { about } from "./deliveries.ts";

export const deadLetterCheck: Check = {
  kinds: ["doubled-dead-letter"],
  run: ({ deliveryView, facts }, found) => {
    const { dead } = facts.delivery;
    const first = new Map<number, DeadLetter>();
    for (const letter of dead) {
      const { event, message, number, row } = letter;
      const earlier = first.get(message);
      if (earlier === undefined) {
        first.set(message, letter);
        continue;
      }
      if (placeOf(earlier) === placeOf(letter)) continue;
      // After a reset the message may have failed for good once more.
      if (deliveryView.isRewound(message, Number.NEGATIVE_INFINITY, event.atMs)) continue;
      const text = `its dead letter stands at ${placeOf(earlier)} and at ${placeOf(letter)}`;
      found("doubled-dead-letter", () =>
        about(facts, message, row, text, [earlier.number, number]),
      );
    }
    return dead.length;
  },
};

function placeOf({ event }: DeadLetter): string {
  return `${event.deadTopic}/${event.deadPartition}@${event.deadOffset}`;
}
