// Which fault comes next: cards of all possible kinds, shuffled; when all were drawn they are shuffled again. So a long run
// has every kind, and every kind about equally often.
import type { Random } from "../../../src/base/random.ts";
import type { FaultKind } from "../faults/fault.ts";

export class Deck {
  readonly #random: Random;
  readonly #kinds: readonly FaultKind[];
  #cards: FaultKind[] = [];

  /** @param kinds at least one */
  constructor(random: Random, kinds: readonly FaultKind[]) {
    if (kinds.length === 0) throw new Error("no kind of fault is possible here");
    this.#random = random;
    this.#kinds = kinds;
  }

  draw(): FaultKind {
    if (this.#cards.length === 0) this.#cards = this.#shuffled();
    const card = this.#cards.pop();
    if (card === undefined) throw new Error("an empty deck");
    return card;
  }

  #shuffled(): FaultKind[] {
    const cards = this.#kinds.flatMap((kind) => Array<FaultKind>(kind.weight ?? 1).fill(kind));
    for (let i = cards.length - 1; i > 0; i -= 1) {
      const j = this.#random.integer(0, i + 1);
      const [a, b] = [cards[i], cards[j]];
      if (a !== undefined && b !== undefined) [cards[i], cards[j]] = [b, a];
    }
    return cards;
  }
}

const MS_PER_MINUTE = 60_000;
const ACT_MINUTES_MAX = 10;
/** A shorter run stays with three brokers: growing to five takes a while. */
const FIVE_MINUTES_MIN = 6;

export interface ActPlan {
  readonly brokers: 3 | 5;
  readonly durationMs: number;
}

/** A run is made of acts with brokers of their own, so that its histories stay small: two thirds of the time with three. */
export function planActs(minutes: number, only: 3 | 5 | undefined): ActPlan[] {
  if (only !== undefined) return actsOf(only, minutes);
  if (minutes < FIVE_MINUTES_MIN) return actsOf(3, minutes);
  return [...actsOf(3, (minutes * 2) / 3), ...actsOf(5, minutes / 3)];
}

function actsOf(brokers: 3 | 5, minutes: number): ActPlan[] {
  const count = Math.ceil(minutes / ACT_MINUTES_MAX);
  const durationMs = (minutes * MS_PER_MINUTE) / count;
  return Array.from({ length: count }, () => ({ brokers, durationMs }));
}
