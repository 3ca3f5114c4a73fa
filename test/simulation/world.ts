// Virtual time for a whole cluster in one process. One queue of events, ordered by (time, sequence); every host has a
// Clock of its own on it, so that a crashed host's timers vanish and a paused host's timers wait. Between two events all
// promises settle, so equal seeds give equal runs. The trace hash is how that is checked.
import { createHash, type Hash } from "node:crypto";
import type { Cancel, Clock } from "../../src/base/clock.ts";
import { type Random, seededRandom } from "../../src/base/random.ts";

interface Event {
  readonly atMs: number;
  readonly sequence: number;
  readonly host: SimHost | undefined;
  readonly generation: number;
  readonly run: () => void;
  cancelled: boolean;
}

/** A machine: crash() makes it forget everything that runs on it, pause() stops its time. */
export class SimHost {
  readonly name: string;
  readonly clock: Clock;
  /** Grows with each crash; work of an older generation never runs. */
  generation = 0;
  isPaused = false;
  /** False between crash and the next start: connections to it are refused. */
  isUp = true;
  /** Added to the wall clock: skew and jumps. */
  wallSkewMs = 0;
  readonly #world: World;
  #held: Event[] = [];

  constructor(world: World, name: string) {
    this.#world = world;
    this.name = name;
    this.clock = {
      monotonicMs: () => world.nowMs,
      wallMs: () => Math.floor(WALL_EPOCH_MS + world.nowMs + this.wallSkewMs),
      schedule: (delayMs, run) => world.schedule(delayMs, run, this),
      defer: (run) => {
        world.schedule(0, run, this);
      },
    };
  }

  crash(): void {
    this.generation += 1;
    this.isUp = false;
    this.isPaused = false;
    this.#held = [];
  }

  pause(): void {
    this.isPaused = true;
  }

  resume(): void {
    if (!this.isPaused) return;
    this.isPaused = false;
    const held = this.#held;
    this.#held = [];
    for (const event of held) this.#world.requeue(event);
  }

  hold(event: Event): void {
    this.#held.push(event);
  }
}

const WALL_EPOCH_MS = 1_700_000_000_000;

export class World {
  readonly random: Random;
  nowMs = 0;
  eventCount = 0;
  #sequence = 0;
  readonly #heap: Event[] = [];
  readonly #hash: Hash = createHash("sha256");
  readonly #steps: (() => void)[] = [];

  constructor(seed: number) {
    this.random = seededRandom(seed);
  }

  host(name: string): SimHost {
    return new SimHost(this, name);
  }

  schedule(delayMs: number, run: () => void, host?: SimHost): Cancel {
    const event: Event = {
      atMs: this.nowMs + Math.max(0, delayMs),
      sequence: this.#sequence++,
      host,
      generation: host?.generation ?? 0,
      run,
      cancelled: false,
    };
    push(this.#heap, event);
    return () => {
      event.cancelled = true;
    };
  }

  requeue(event: Event): void {
    const again: Event = { ...event, atMs: this.nowMs, sequence: this.#sequence++ };
    // A cancel() that comes later must still find its event.
    Object.defineProperty(again, "cancelled", {
      get: () => event.cancelled,
      set: (value: boolean) => {
        event.cancelled = value;
      },
    });
    push(this.#heap, again);
  }

  /** Called after every event, when all promises have settled: where invariants are checked. */
  afterEachEvent(check: () => void): void {
    this.#steps.push(check);
  }

  /** Adds a line to the trace: equal seeds must give equal hashes. */
  trace(line: string): void {
    this.#hash.update(`${this.nowMs.toFixed(3)} ${line}\n`);
  }

  traceHash(): string {
    return this.#hash.copy().digest("hex").slice(0, 16);
  }

  /** Runs until `done` or until `limitMs` of virtual time have passed. Returns whether `done` became true. */
  async runUntil(done: () => boolean, limitMs: number): Promise<boolean> {
    const endMs = this.nowMs + limitMs;
    await settle();
    while (!done()) {
      const next = this.#heap[0];
      if (next === undefined || next.atMs > endMs) {
        this.nowMs = endMs;
        return done();
      }
      pop(this.#heap);
      await this.#execute(next);
    }
    return true;
  }

  async run(durationMs: number): Promise<void> {
    await this.runUntil(() => false, durationMs);
  }

  async #execute(event: Event): Promise<void> {
    this.nowMs = Math.max(this.nowMs, event.atMs);
    if (event.cancelled) return;
    const { host } = event;
    if (host !== undefined) {
      if (host.generation !== event.generation) return;
      if (host.isPaused) {
        host.hold(event);
        return;
      }
    }
    this.eventCount += 1;
    event.run();
    await settle();
    for (const check of this.#steps) check();
  }
}

/** Lets every promise that can settle do so: a full turn of the real event loop. */
function settle(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}

function before(a: Event, b: Event): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.sequence < b.sequence);
}

function push(heap: Event[], event: Event): void {
  let child = heap.length;
  heap.push(event);
  while (child > 0) {
    const parent = (child - 1) >> 1;
    const above = heap[parent] as Event;
    if (!before(event, above)) break;
    heap[child] = above;
    child = parent;
  }
  heap[child] = event;
}

function pop(heap: Event[]): void {
  const last = heap.pop() as Event;
  if (heap.length === 0) return;
  let parent = 0;
  for (;;) {
    let child = parent * 2 + 1;
    if (child >= heap.length) break;
    const right = heap[child + 1];
    if (right !== undefined && before(right, heap[child] as Event)) child += 1;
    const smaller = heap[child] as Event;
    if (!before(smaller, last)) break;
    heap[parent] = smaller;
    parent = child;
  }
  heap[parent] = last;
}
