// Since when the leases of one delivery's messages run, as far as is known here, and what is to be done about it. They begin
// together; what is extended runs by itself from then on, at the broker too. Part of held-delivery.ts.

/** From this part of the deadline on a message that is begun is extended at once: there may be no look before it is over. */
const AGING = 3 / 8;
/** What is worked on is extended when so much of its deadline has passed. */
const EXTEND = 1 / 2;
/** What still waits then is handed back: begun, it could be over before its extension arrives. */
const HAND_BACK = 3 / 4;

export class LeaseTimes {
  /** Of what was not extended; without a leader: since when there is none. Monotonic ms. */
  fromMs: number;
  /** By position; 0: not extended. */
  #extendedMs: Float64Array | undefined;
  #agingMs: number | undefined;
  readonly #count: number;

  /** @param count positions of the delivery */
  constructor(count: number, nowMs: number) {
    this.#count = count;
    this.fromMs = nowMs;
  }

  /** All of them run anew. */
  restart(nowMs: number): void {
    this.fromMs = nowMs;
    this.#extendedMs = undefined;
    this.#agingMs = undefined;
  }

  /** Whoever begins with a message of it must extend it. */
  get isAging(): boolean {
    return this.#agingMs !== undefined;
  }

  /** Time has passed. @returns whether what waits is to be handed back */
  look(nowMs: number, deadlineMs: number, mayExtend: boolean): boolean {
    const ageMs = nowMs - this.fromMs;
    this.#agingMs = mayExtend && ageMs >= deadlineMs * AGING ? nowMs : undefined;
    return ageMs >= deadlineMs * HAND_BACK;
  }

  isDue(at: number, nowMs: number, deadlineMs: number): boolean {
    const extendedMs = this.#extendedMs?.[at] ?? 0;
    const sinceMs = extendedMs === 0 ? this.fromMs : extendedMs;
    return nowMs - sinceMs >= deadlineMs * EXTEND;
  }

  extended(at: number, nowMs: number): void {
    this.#extendedMs ??= new Float64Array(this.#count);
    this.#extendedMs[at] = nowMs;
  }

  /** It was extended when it was begun, not earlier than at the last look. */
  begunLate(at: number): void {
    if (this.#agingMs !== undefined) this.extended(at, this.#agingMs);
  }
}
