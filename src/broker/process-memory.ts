// Watches what the operating system counts for this process. Shares of the budget bound what is held; garbage that is not
// collected yet comes on top. Near the budget the engine is told to collect earlier, above it a full collection is asked for, and
// well above it nothing new is taken in until that helped. Started by start.ts only: it is about a real process.
import { totalmem } from "node:os";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import type { Cancel, Clock } from "../base/clock.ts";
import type { MemoryBudget } from "../model/memory-budget.ts";

const LOOK_MS = 100;
/** Between two full collections of ours; each stops the process, for 0.3 s where cores are busy and the heap is large. */
const COLLECT_MS = 2000;
/** While nothing is taken in, and collections do not change that, each waits twice as long as the one before, up to this. */
const COLLECT_MS_MAX = 16_000;
/** Of the budget: from here on one is asked for. */
const COLLECT_RATIO = 1.2;
/** So much of the budget must have come on top of what the last one left: otherwise the next one finds nothing either. */
const GROWTH_RATIO = 1 / 8;
/** From here on memory is short, until it is below the other. */
const SHORT_RATIO = 0.7;
const EASED_RATIO = 0.6;

export interface ProcessMemoryPorts {
  readonly clock: Clock;
  readonly rssBytes: () => number;
  readonly collect: () => void;
  /** Most of the budget is used (true), or not any more. */
  readonly onShort: (isShort: boolean) => void;
}

export class ProcessMemory {
  readonly #ports: ProcessMemoryPorts;
  readonly #budget: MemoryBudget;
  #cancel: Cancel | undefined;
  #collectedMs = Number.NEGATIVE_INFINITY;
  /** Collections since something could be taken in. */
  #vainCount = 0;
  /** The least since the last full collection: pages are given back a while after it. */
  #leastBytes = 0;
  #isShort = false;

  constructor(budget: MemoryBudget, ports: ProcessMemoryPorts) {
    this.#budget = budget;
    this.#ports = ports;
  }

  start(): void {
    this.#look();
    this.#cancel = this.#ports.clock.schedule(LOOK_MS, () => this.start());
  }

  close(): void {
    this.#cancel?.();
  }

  #look(): void {
    const { clock, collect, rssBytes } = this.#ports;
    const bytes = rssBytes();
    this.#budget.setProcessBytes(bytes);
    this.#leastBytes = Math.min(this.#leastBytes, bytes);
    this.#noteShortness(bytes);
    const nowMs = clock.monotonicMs();
    if (!this.#budget.isExhausted) this.#vainCount = 0;
    if (!this.#isWorthIt(bytes) || nowMs - this.#collectedMs < this.#waitMs()) return;
    this.#collectedMs = nowMs;
    if (this.#budget.isExhausted) this.#vainCount += 1;
    collect();
    this.#leastBytes = rssBytes();
    this.#budget.setProcessBytes(this.#leastBytes);
  }

  #noteShortness(bytes: number): void {
    const isShort = bytes >= this.#budget.bytes * (this.#isShort ? EASED_RATIO : SHORT_RATIO);
    if (isShort === this.#isShort) return;
    this.#isShort = isShort;
    this.#ports.onShort(isShort);
  }

  #waitMs(): number {
    return Math.min(COLLECT_MS * 2 ** Math.max(0, this.#vainCount - 1), COLLECT_MS_MAX);
  }

  #isWorthIt(bytes: number): boolean {
    const { bytes: budget, isExhausted } = this.#budget;
    if (isExhausted) return true;
    return bytes >= Math.max(budget * COLLECT_RATIO, this.#leastBytes + budget * GROWTH_RATIO);
  }
}

/** Memory of the container, or of the machine. */
export function availableMemory(): number {
  const constrained = process.constrainedMemory();
  const machine = totalmem();
  return constrained !== undefined && constrained > 0 ? Math.min(constrained, machine) : machine;
}

/** A full collection. Node shows it only behind a flag, which takes effect in contexts made afterwards. */
export function fullCollection(): () => void {
  setFlagsFromString("--expose-gc");
  const collect: unknown = runInNewContext("gc");
  return isAction(collect) ? collect : () => undefined;
}

function isAction(value: unknown): value is () => void {
  return typeof value === "function";
}
