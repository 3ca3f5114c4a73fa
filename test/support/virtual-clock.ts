// Virtual time for tests and the simulator: events run in the order (time, sequence), nothing ever sleeps. After each
// event all promises that it settled are drained, so asynchronous code runs in a repeatable order as well. What a node
// deferred runs as one event, as on the system's clock: no promise settles in the midst of it. Every node of
// a simulated cluster gets a fork of the clock, which can be stopped (the process died) or paused (SIGSTOP).
import type { Cancel, Clock } from "../../src/base/clock.ts";

interface VirtualEvent {
  readonly atMs: number;
  readonly sequence: number;
  readonly owner: NodeClock;
  run: (() => void) | undefined;
}

/** 2026-01-01T00:00:00Z: wall time at virtual 0. */
const WALL_ORIGIN_MS = 1_767_225_600_000;
/** Rounds of deferred calls in one turn, as in base/clock.ts. */
const DEFERRED_ROUNDS_MAX = 4;

export class VirtualClock {
  readonly #queue: VirtualEvent[] = [];
  #nowMs = 0;
  #sequence = 0;
  /** The clock of the test itself. */
  readonly root: NodeClock = this.fork();

  get nowMs(): number {
    return this.#nowMs;
  }

  /** A clock for one simulated process. @param skewMs added to its wall time */
  fork(skewMs = 0): NodeClock {
    return new NodeClock(this, skewMs);
  }

  /** Runs everything that is due within the next `ms`, then stands at the end of it. */
  async run(ms: number): Promise<void> {
    await this.runUntil(() => false, ms);
  }

  /** Runs until the predicate holds or `maxMs` have passed; says whether it held. */
  async runUntil(predicate: () => boolean, maxMs: number): Promise<boolean> {
    const endMs = this.#nowMs + maxMs;
    await settle();
    while (!predicate()) {
      const next = this.#queue[0];
      if (next === undefined || next.atMs > endMs) {
        this.#nowMs = endMs;
        return predicate();
      }
      this.#pop();
      this.#nowMs = Math.max(this.#nowMs, next.atMs);
      if (next.run !== undefined) {
        next.owner.fire(next.run);
        await settle();
      }
    }
    return true;
  }

  /** Waits for a promise while time passes; throws what it rejects with, or when `maxMs` were not enough. */
  async until<T>(promise: Promise<T>, maxMs = 60_000): Promise<T> {
    let isSettled = false;
    const done = (): void => {
      isSettled = true;
    };
    promise.then(done, done);
    const inTime = await this.runUntil(() => isSettled, maxMs);
    if (!inTime) throw new Error(`still pending after ${maxMs} virtual ms`);
    return promise;
  }

  /** For NodeClock. */
  add(owner: NodeClock, delayMs: number, run: () => void): Cancel {
    this.#sequence += 1;
    const atMs = this.#nowMs + Math.max(0, delayMs);
    const event: VirtualEvent = { atMs, sequence: this.#sequence, owner, run };
    this.#push(event);
    return () => {
      event.run = undefined;
    };
  }

  #push(event: VirtualEvent): void {
    const heap = this.#queue;
    let at = heap.length;
    heap.push(event);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      const above = heap[parent];
      if (above === undefined || !isBefore(event, above)) break;
      heap[at] = above;
      at = parent;
    }
    heap[at] = event;
  }

  #pop(): void {
    const heap = this.#queue;
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return;
    let at = 0;
    for (;;) {
      const left = heap[2 * at + 1];
      const right = heap[2 * at + 2];
      if (left === undefined) break;
      const isRight = right !== undefined && isBefore(right, left);
      const child = isRight ? right : left;
      if (!isBefore(child, last)) break;
      heap[at] = child;
      at = 2 * at + (isRight ? 2 : 1);
    }
    heap[at] = last;
  }
}

/** One process's view of virtual time. */
export class NodeClock implements Clock {
  readonly #clock: VirtualClock;
  readonly #skewMs: number;
  #isStopped = false;
  /** Present while paused: what came due meanwhile, in order. */
  #held: (() => void)[] | undefined;
  #deferred: (() => void)[] = [];
  #isDrainDue = false;

  constructor(clock: VirtualClock, skewMs: number) {
    this.#clock = clock;
    this.#skewMs = skewMs;
  }

  monotonicMs(): number {
    return this.#clock.nowMs;
  }

  wallMs(): number {
    return WALL_ORIGIN_MS + Math.floor(this.#clock.nowMs) + this.#skewMs;
  }

  schedule(delayMs: number, run: () => void): Cancel {
    return this.#clock.add(this, delayMs, run);
  }

  defer(run: () => void): void {
    if (this.#isStopped) return;
    this.#deferred.push(run);
    if (!this.#isDrainDue) this.#addDrain();
  }

  /** The process is gone: nothing that it scheduled runs any more. */
  stop(): void {
    this.#isStopped = true;
    this.#held = undefined;
    this.#deferred = [];
  }

  /** SIGSTOP: events wait. */
  pause(): void {
    this.#held ??= [];
  }

  /** SIGCONT: what came due runs now, in its order. */
  resume(): void {
    const held = this.#held ?? [];
    this.#held = undefined;
    for (const run of held) this.#clock.add(this, 0, run);
  }

  /** For VirtualClock. */
  fire(run: () => void): void {
    if (this.#isStopped) return;
    if (this.#held === undefined) run();
    else this.#held.push(run);
  }

  #addDrain(): void {
    this.#isDrainDue = true;
    this.#clock.add(this, 0, () => this.#drain());
  }

  #drain(): void {
    this.#isDrainDue = false;
    for (let round = 0; round < DEFERRED_ROUNDS_MAX && this.#deferred.length > 0; round += 1) {
      const runs = this.#deferred;
      this.#deferred = [];
      for (const run of runs) if (!this.#isStopped) run();
    }
    if (this.#deferred.length > 0) this.#addDrain();
  }
}

/** Lets every promise chain that can go on do so: microtasks all run before an immediate does. */
export function settle(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}

function isBefore(left: VirtualEvent, right: VirtualEvent): boolean {
  return left.atMs < right.atMs || (left.atMs === right.atMs && left.sequence < right.sequence);
}
