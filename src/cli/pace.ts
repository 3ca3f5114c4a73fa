// Keeps a rate: the n-th turn comes n / rate seconds after the first, so that one late turn is caught up and the mean
// is exact. Called by produce and the quickstart.

export class Pace {
  readonly #intervalMs: number;
  readonly #now: () => number;
  readonly #wait: (ms: number) => Promise<void>;
  #first: number | undefined;
  #turns = 0;

  /** @param perSecond > 0 */
  constructor(
    perSecond: number,
    now: () => number = () => performance.now(),
    wait: (ms: number) => Promise<void> = sleepMs,
  ) {
    this.#intervalMs = 1000 / perSecond;
    this.#now = now;
    this.#wait = wait;
  }

  /** Resolves when it is time for the next one. */
  async turn(): Promise<void> {
    this.#first ??= this.#now();
    const due = this.#first + this.#turns * this.#intervalMs;
    this.#turns += 1;
    const early = due - this.#now();
    // Timers count in whole milliseconds; shorter waits would only add up to lateness.
    if (early >= 1) await this.#wait(early);
  }
}

function sleepMs(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms);
  });
}
