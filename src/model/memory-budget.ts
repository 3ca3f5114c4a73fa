// What a broker may hold in memory for others, split by purpose, and who holds how much of it. Whoever is about to keep
// bytes asks first; what does not fit is refused with OVERLOADED and the purpose's name, or waits. Pure accounting: it
// knows neither sockets nor time. Made by the broker from `limits.memory.budget`; the rpc and partition rooms take from it.
//
// One holder (a connection) never gets a whole share: it may hold as much as half of what is still free
// (Choudhury & Hahne, "Dynamic queue length thresholds", 1998). However many greedy holders there are, something is left
// for a modest one.
import { BrokerError } from "./errors.ts";
import { PEER_QUEUE_BYTES_MAX, TAIL_BYTES_MAX } from "./limits.ts";

const KIB = 1024;
const MIB = 1024 * KIB;

export type MemoryPurpose =
  | "receive"
  | "send"
  | "read"
  | "log"
  | "delivery"
  | "connections"
  | "streams";

interface PurposeRow {
  /** Part of the budget. */
  readonly share: number;
  /** So much at least, however small the budget: the largest message must pass. Bytes. */
  readonly bytesMin: number;
  readonly about: string;
}

/** What happens at each limit stands in docs/OPERATIONS.md. The rest of the budget is the process itself. */
export const MEMORY_PURPOSES: Readonly<Record<MemoryPurpose, PurposeRow>> = {
  receive: row(1 / 8, 48 * MIB, "requests being received, and unary ones being handled"),
  send: row(1 / 8, 48 * MIB, "answers that clients have not taken yet"),
  read: row(1 / 16, 24 * MIB, "records read from disk that can not be sent yet"),
  log: row(1 / 16, 32 * MIB, "records on their way into the log, and queued for other brokers"),
  delivery: row(1 / 16, 24 * MIB, "records read for consumers that can not be handed out yet"),
  connections: row(1 / 16, 4 * MIB, "open connections"),
  streams: row(1 / 16, 8 * MIB, "open streams and their lanes"),
};

export const PURPOSE_NAMES: readonly MemoryPurpose[] = [
  "receive",
  "send",
  "read",
  "log",
  "delivery",
  "connections",
  "streams",
];

/** What a connection, a stream and a lane are counted as: what they cost without any content. */
export const CONNECTION_BYTES: number = 64 * KIB;
export const STREAM_BYTES: number = 16 * KIB;
export const LANE_BYTES: number = 1 * KIB;
/** A holder with no more than this is only asked whether the share as a whole has room. */
const HOLDER_BYTES_FREE = 64 * KIB;
/** A share that is fuller than this is under pressure. */
const PRESSURE_RATIO = 0.8;
/** Of those that wait, woken for one release of memory. */
const WAKE_MAX = 8;
/** A process that has more than this many times the budget takes nothing in. */
const EXHAUSTED_RATIO = 1.25;

/** Smallest and largest budget, and what a machine or container of so many bytes gives by default. */
export const MEMORY_BUDGET_MIN: number = 256 * MIB;
export const MEMORY_BUDGET_MAX: number = 1024 * 1024 * MIB;
const MEMORY_BUDGET_DEFAULT_MAX = 4096 * MIB;

/** Half of what there is, within bounds. */
export function defaultMemoryBudget(availableBytes: number): number {
  const half = Math.floor(availableBytes / 2);
  return Math.min(Math.max(half, MEMORY_BUDGET_MIN), MEMORY_BUDGET_DEFAULT_MAX);
}

/** Entries that a leader keeps in memory per group for followers that lag; see TAIL_BYTES_MAX. */
export function tailBytes(budgetBytes: number): number {
  return Math.min(Math.max(Math.floor(budgetBytes / 256), 1 * MIB), TAIL_BYTES_MAX);
}

/** Bytes queued per lane towards one node; see PEER_QUEUE_BYTES_MAX. The largest frame and a state image must pass. */
export function peerQueueBytes(budgetBytes: number): number {
  return Math.min(Math.max(Math.floor(budgetBytes / 16), 32 * MIB), PEER_QUEUE_BYTES_MAX);
}

export interface PurposeUse {
  readonly purpose: MemoryPurpose;
  readonly usedBytes: number;
  readonly limitBytes: number;
}

export class MemoryBudget {
  readonly bytes: number;
  readonly #limits: Readonly<Record<MemoryPurpose, number>>;
  readonly #used: Record<MemoryPurpose, number> = record(() => 0);
  #processBytes = 0;
  readonly #refusals: Readonly<Record<MemoryPurpose, BrokerError>>;
  readonly #exhausted: BrokerError;
  readonly #waiting: Record<MemoryPurpose, Set<() => void>> = record(() => new Set());

  constructor(bytes: number) {
    this.bytes = bytes;
    this.#limits = record((purpose) => {
      const { share, bytesMin } = MEMORY_PURPOSES[purpose];
      return Math.max(Math.floor(bytes * share), bytesMin);
    });
    this.#refusals = record((purpose) => {
      const { about } = MEMORY_PURPOSES[purpose];
      return usedUp(`memory for ${about}`, purpose, this.#limits[purpose]);
    });
    this.#exhausted = usedUp("memory", "process", bytes);
  }

  limit(purpose: MemoryPurpose): number {
    return this.#limits[purpose];
  }

  used(purpose: MemoryPurpose): number {
    return this.#used[purpose];
  }

  /** Never negative. */
  free(purpose: MemoryPurpose): number {
    return Math.max(0, this.#limits[purpose] - this.#used[purpose]);
  }

  /** What the operating system counts for the process; 0: not measured. */
  get processBytes(): number {
    return this.#processBytes;
  }

  setProcessBytes(bytes: number): void {
    this.#processBytes = bytes;
  }

  get isOverBudget(): boolean {
    return this.#processBytes > this.bytes;
  }

  /** Nothing new is taken in before memory came back. */
  get isExhausted(): boolean {
    return this.#processBytes > this.bytes * EXHAUSTED_RATIO;
  }

  /** What one holder may have altogether now. */
  holderLimit(purpose: MemoryPurpose): number {
    return Math.max(HOLDER_BYTES_FREE, this.free(purpose) / 2);
  }

  isUnderPressure(purpose: MemoryPurpose): boolean {
    return this.#used[purpose] > this.#limits[purpose] * PRESSURE_RATIO;
  }

  /** False when it does not fit; then nothing was taken. */
  tryTake(purpose: MemoryPurpose, bytes: number): boolean {
    if (bytes > this.free(purpose) || this.isExhausted) return false;
    this.#used[purpose] += bytes;
    return true;
  }

  /** For what is there already and can only be counted. */
  take(purpose: MemoryPurpose, bytes: number): void {
    this.#used[purpose] += bytes;
  }

  /** Wakes those who wait for room. */
  give(purpose: MemoryPurpose, bytes: number): void {
    this.#used[purpose] -= bytes;
    const waiting = this.#waiting[purpose];
    if (waiting.size === 0 || this.free(purpose) === 0) return;
    // A few at a time, the longest waiting first: most would find nothing left. When there is plenty, all.
    let count = this.#used[purpose] * 2 > this.#limits[purpose] ? WAKE_MAX : waiting.size;
    for (const wake of waiting) {
      if (count === 0) return;
      count -= 1;
      waiting.delete(wake);
      wake();
    }
  }

  /** Measured anew by its owner. */
  set(purpose: MemoryPurpose, bytes: number): void {
    this.give(purpose, this.#used[purpose] - bytes);
  }

  /** `wake` is called once when some of the purpose became free. Returns how to stop waiting. */
  whenFree(purpose: MemoryPurpose, wake: () => void): () => void {
    this.#waiting[purpose].add(wake);
    return () => this.#waiting[purpose].delete(wake);
  }

  /** Why there is no room. The same object each time: floods of calls are refused with it. */
  refusal(purpose: MemoryPurpose): BrokerError {
    return this.isExhausted ? this.#exhausted : this.#refusals[purpose];
  }

  uses(): readonly PurposeUse[] {
    return PURPOSE_NAMES.map((purpose) => ({
      purpose,
      usedBytes: this.#used[purpose],
      limitBytes: this.#limits[purpose],
    }));
  }
}

/** What one holder has of a budget; everything is given back by close(). */
export class MemoryAccount {
  readonly #budget: MemoryBudget;
  readonly #used: Record<MemoryPurpose, number> = record(() => 0);
  #isClosed = false;

  constructor(budget: MemoryBudget) {
    this.#budget = budget;
  }

  used(purpose: MemoryPurpose): number {
    return this.#used[purpose];
  }

  /** False when the share or this holder's part of it is used up. */
  tryTake(purpose: MemoryPurpose, bytes: number): boolean {
    if (this.#used[purpose] + bytes > this.#budget.holderLimit(purpose)) return false;
    if (!this.#budget.tryTake(purpose, bytes)) return false;
    this.#used[purpose] += bytes;
    return true;
  }

  take(purpose: MemoryPurpose, bytes: number): void {
    if (this.#isClosed) return;
    this.#budget.take(purpose, bytes);
    this.#used[purpose] += bytes;
  }

  /** Gives back no more than was taken: what comes after close() is void. */
  give(purpose: MemoryPurpose, bytes: number): void {
    const given = Math.min(bytes, this.#used[purpose]);
    if (given === 0) return;
    this.#used[purpose] -= given;
    this.#budget.give(purpose, given);
  }

  close(): void {
    this.#isClosed = true;
    for (const purpose of PURPOSE_NAMES) this.give(purpose, this.#used[purpose]);
  }
}

function row(share: number, bytesMin: number, about: string): PurposeRow {
  return { share, bytesMin, about };
}

function usedUp(what: string, limit: string, max: number): BrokerError {
  const fields = { limit: `memory.${limit}`, max };
  return new BrokerError("OVERLOADED", `the broker's ${what} is used up`, fields);
}

function record<T>(value: (purpose: MemoryPurpose) => T): Record<MemoryPurpose, T> {
  return {
    receive: value("receive"),
    send: value("send"),
    read: value("read"),
    log: value("log"),
    delivery: value("delivery"),
    connections: value("connections"),
    streams: value("streams"),
  };
}
