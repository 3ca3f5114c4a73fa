// How fast a subscription settles, from looks at its progress now and then: over the last few looks, so that one that came
// late does not swing the figure. Pure.

export interface LagLook {
  readonly timeMs: number;
  /** Everything that was settled, ever. */
  readonly settled: number;
  readonly unsettled: number;
}

export interface LagRate {
  /** Messages settled per second. */
  readonly perSecond: number;
  /** Until nothing is unsettled, if it goes on so; undefined: it does not shrink. */
  readonly drainMs: number | undefined;
}

type Speed = Pick<LagRate, "perSecond"> & { readonly shrinksPerSecond: number };

/** Looks that count. */
const LOOKS_MAX = 10;

export class LagRates {
  readonly #looks = new Map<string, LagLook[]>();

  /** @returns undefined before the second look */
  look(subject: string, look: LagLook): LagRate | undefined {
    return this.lookAtAll([[subject, look]]);
  }

  /**
   * Added up. Each has a rate of its own: a partition of which nobody tells for a while moves nothing.
   * @returns undefined before the second look at any of them
   */
  lookAtAll(looks: readonly (readonly [subject: string, look: LagLook])[]): LagRate | undefined {
    const speeds = looks.flatMap(([subject, look]) => this.#speedOf(subject, look) ?? []);
    if (speeds.length === 0) return undefined;
    const sum = (read: (speed: Speed) => number): number =>
      speeds.reduce((before, speed) => before + read(speed), 0);
    const shrinksPerSecond = sum((speed) => speed.shrinksPerSecond);
    const unsettled = looks.reduce((before, [, look]) => before + look.unsettled, 0);
    return {
      perSecond: sum((speed) => speed.perSecond),
      drainMs: shrinksPerSecond > 0 ? (unsettled / shrinksPerSecond) * 1000 : undefined,
    };
  }

  #speedOf(subject: string, look: LagLook): Speed | undefined {
    const looks = this.#looks.get(subject) ?? [];
    looks.push(look);
    if (looks.length > LOOKS_MAX) looks.shift();
    this.#looks.set(subject, looks);
    const [first] = looks;
    if (first === undefined || look.timeMs <= first.timeMs) return undefined;
    const seconds = (look.timeMs - first.timeMs) / 1000;
    return {
      // A seek backwards unsettles what was settled.
      perSecond: Math.max(0, (look.settled - first.settled) / seconds),
      shrinksPerSecond: (first.unsettled - look.unsettled) / seconds,
    };
  }
}
