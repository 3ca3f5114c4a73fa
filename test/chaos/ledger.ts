// Every send of the run and what became of it, in columns: a run makes about a million of them, and one object per event
// would slow the load down. run-history.ts turns it into the events that the checker judges.

export const PENDING = 0;
export const ACKNOWLEDGED = 1;
export const NOT_APPLIED = 2;
export const UNKNOWN = 3;
export type SendState = typeof PENDING | typeof ACKNOWLEDGED | typeof NOT_APPLIED | typeof UNKNOWN;

export interface LedgerReceipt {
  readonly partition: number;
  readonly offset: number;
  readonly leaderEpoch: number;
  readonly duplicate: boolean;
}

/** One send as a row. */
export interface SendRow {
  readonly n: number;
  readonly producer: string;
  readonly slot: number;
  readonly state: SendState;
  readonly sentAtMs: number;
  /** 0 while pending. */
  readonly doneAtMs: number;
  /** −1 unless acknowledged, like offset and leaderEpoch. */
  readonly partition: number;
  readonly offset: number;
  readonly leaderEpoch: number;
  readonly duplicate: boolean;
  /** Empty unless failed. */
  readonly reason: string;
}

interface Columns {
  readonly producer: Uint8Array;
  readonly slot: Uint16Array;
  readonly state: Uint8Array;
  readonly duplicate: Uint8Array;
  readonly partition: Int32Array;
  readonly offset: Float64Array;
  readonly leaderEpoch: Float64Array;
  readonly sentAtMs: Float64Array;
  readonly doneAtMs: Float64Array;
}

const FIRST_CAPACITY = 1 << 17;

export class Ledger {
  #columns: Columns = makeColumns(FIRST_CAPACITY);
  #count = 0;
  readonly #producers: string[] = [];
  readonly #reasons = new Map<number, string>();
  readonly #counts: [number, number, number, number] = [0, 0, 0, 0];
  /** Acknowledged as already stored by an earlier attempt. */
  duplicates = 0;
  /** Second and later callbacks for one send: always a defect of the client. */
  repeatedCallbacks = 0;

  get sent(): number {
    return this.#count;
  }
  get pending(): number {
    return this.#counts[PENDING];
  }
  get acknowledged(): number {
    return this.#counts[ACKNOWLEDGED];
  }
  get failed(): number {
    return this.#counts[NOT_APPLIED] + this.#counts[UNKNOWN];
  }
  get unknown(): number {
    return this.#counts[UNKNOWN];
  }

  /** Names a producer session: sends of one keep their order. Returns what begin() wants. */
  addProducer(name: string): number {
    return this.#producers.push(name) - 1;
  }

  /** A send begins; returns its number. */
  begin(producer: number, slot: number, atMs: number): number {
    const n = this.#count;
    if (n === this.#columns.slot.length) this.#columns = grown(this.#columns);
    const columns = this.#columns;
    columns.producer[n] = producer;
    columns.slot[n] = slot;
    columns.sentAtMs[n] = atMs;
    this.#count = n + 1;
    this.#counts[PENDING] += 1;
    return n;
  }

  acknowledge(n: number, receipt: LedgerReceipt, atMs: number): void {
    if (!this.#settle(n, ACKNOWLEDGED, atMs)) return;
    const columns = this.#columns;
    columns.partition[n] = receipt.partition;
    columns.offset[n] = receipt.offset;
    columns.leaderEpoch[n] = receipt.leaderEpoch;
    columns.duplicate[n] = receipt.duplicate ? 1 : 0;
    if (receipt.duplicate) this.duplicates += 1;
  }

  fail(n: number, outcome: "not-applied" | "unknown", reason: string, atMs: number): void {
    if (!this.#settle(n, outcome === "unknown" ? UNKNOWN : NOT_APPLIED, atMs)) return;
    this.#reasons.set(n, reason);
  }

  row(n: number): SendRow {
    const columns = this.#columns;
    const state = (columns.state[n] ?? PENDING) as SendState;
    const isAcknowledged = state === ACKNOWLEDGED;
    return {
      n,
      producer: this.#producers[columns.producer[n] ?? 0] ?? "",
      slot: columns.slot[n] ?? 0,
      state,
      sentAtMs: columns.sentAtMs[n] ?? 0,
      doneAtMs: columns.doneAtMs[n] ?? 0,
      partition: isAcknowledged ? (columns.partition[n] ?? -1) : -1,
      offset: isAcknowledged ? (columns.offset[n] ?? -1) : -1,
      leaderEpoch: isAcknowledged ? (columns.leaderEpoch[n] ?? -1) : -1,
      duplicate: columns.duplicate[n] === 1,
      reason: this.#reasons.get(n) ?? "",
    };
  }

  /** How often each reason of failure occurred, among sends from number `from` on. */
  reasonCounts(from = 0): Record<string, number> {
    const counts: Record<string, number> = {};
    for (const [n, reason] of this.#reasons) {
      if (n >= from) counts[reason] = (counts[reason] ?? 0) + 1;
    }
    return counts;
  }

  #settle(n: number, state: SendState, atMs: number): boolean {
    const columns = this.#columns;
    if (columns.state[n] !== PENDING) {
      this.repeatedCallbacks += 1;
      return false;
    }
    columns.state[n] = state;
    columns.doneAtMs[n] = atMs;
    this.#counts[PENDING] -= 1;
    this.#counts[state] += 1;
    return true;
  }
}

function makeColumns(capacity: number): Columns {
  return {
    producer: new Uint8Array(capacity),
    slot: new Uint16Array(capacity),
    state: new Uint8Array(capacity),
    duplicate: new Uint8Array(capacity),
    partition: new Int32Array(capacity),
    offset: new Float64Array(capacity),
    leaderEpoch: new Float64Array(capacity),
    sentAtMs: new Float64Array(capacity),
    doneAtMs: new Float64Array(capacity),
  };
}

function grown(columns: Columns): Columns {
  const larger = makeColumns(columns.slot.length * 2);
  for (const name of Object.keys(columns) as (keyof Columns)[]) larger[name].set(columns[name]);
  return larger;
}
