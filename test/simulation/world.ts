// Virtual time for a whole cluster in one process. One queue of events, ordered by (time, sequence); every host has a
// Clock on it that belongs to one incarnation, so that a crashed host's timers vanish and a paused host's timers wait.
// Between two events all promises settle, so equal seeds give equal runs. The trace hash is how that is checked.
import { createHash, type Hash } from "node:crypto";
import type { Cancel, Clock } from "../../src/base/clock.ts";
import { type Random, seededRandom } from "../../src/base/random.ts";

interface Event {
  atMs: number;
  sequence: number;
  readonly host: SimHost | undefined;
  readonly generation: number;
  readonly run: () => void;
  cancelled: boolean;
}

/** A machine: crash() makes it forget everything that runs on it, pause() stops its time. */
export class SimHost {
  readonly name: string;
  /** The clock of the running incarnation. What a dead one schedules never runs. */
  clock: Clock;
  /** Grows with each crash; work of an older generation never runs. */
  generation = 0;
  isPaused = false;
  /** False between crash and the next start: connections to it are refused. */
  isUp = true;
  /** Added to the wall clock: skew and jumps. */
  wallSkewMs = 0;
  /** How often somebody was told a wrong time. */
  wrongTimes = 0;
  readonly #world: World;
  #held: Event[] = [];
  /** Deferred calls of the running incarnation. */
  #due: (() => void)[] = [];
  #isDrainDue = false;

  constructor(world: World, name: string) {
    this.#world = world;
    this.name = name;
    this.clock = this.#newClock();
  }

  crash(): void {
    this.generation += 1;
    this.isUp = false;
    this.isPaused = false;
    this.#held = [];
    this.#due = [];
    this.#isDrainDue = false;
    this.clock = this.#newClock();
  }

  pause(): void {
    this.isPaused = true;
  }

  /** @returns how many events waited */
  resume(): number {
    if (!this.isPaused) return 0;
    this.isPaused = false;
    const held = this.#held;
    this.#held = [];
    for (const event of held) this.#world.requeue(event);
    return held.length;
  }

  hold(event: Event): void {
    this.#held.push(event);
  }

  #newClock(): Clock {
    const world = this.#world;
    const { generation } = this;
    return {
      monotonicMs: () => world.look(),
      wallMs: () => {
        if (this.wallSkewMs !== 0) this.wrongTimes += 1;
        return Math.floor(WALL_EPOCH_MS + world.look() + this.wallSkewMs);
      },
      schedule: (delayMs, run) => world.schedule(delayMs, run, this, generation),
      defer: (run) => {
        if (generation !== this.generation) return;
        this.#due.push(run);
        if (this.#isDrainDue) return;
        this.#isDrainDue = true;
        world.schedule(0, () => this.#drain(generation), this);
      },
    };
  }

  /** As the system's clock: what deferred calls defer runs after them in the same turn, as far as it is bounded. */
  #drain(generation: number): void {
    for (let round = 0; round < DEFERRED_ROUNDS_MAX && this.#due.length > 0; round += 1) {
      const runs = this.#due;
      this.#due = [];
      for (const run of runs) {
        run();
        // It may have ended this very process.
        if (generation !== this.generation) return;
      }
    }
    this.#isDrainDue = this.#due.length > 0;
    if (this.#isDrainDue) this.#world.schedule(0, () => this.#drain(generation), this);
  }
}

const WALL_EPOCH_MS = 1_700_000_000_000;
/** Rounds of deferred calls in one turn, as in base/clock.ts. */
const DEFERRED_ROUNDS_MAX = 4;
/** The real event loop gets a turn after so many events. */
const EVENTS_PER_TURN = 2000;
const TRACE_CHUNK = 64 * 1024;

export class World {
  readonly random: Random;
  nowMs = 0;
  eventCount = 0;
  #sequence = 0;
  readonly #lookMs: number;
  readonly #heap: Event[] = [];
  readonly #hash: Hash = createHash("sha256");
  #trace = "";
  readonly #steps: ((host: SimHost | undefined) => void)[] = [];

  /** @param lookMs so long a look at a clock takes; above 0 time goes on within a turn, as it does outside */
  constructor(seed: number, lookMs = 0) {
    this.#lookMs = lookMs;
    this.random = seededRandom(seed);
  }

  host(name: string): SimHost {
    return new SimHost(this, name);
  }

  /** What a program's clock says. */
  look(): number {
    this.nowMs += this.#lookMs;
    return this.nowMs;
  }

  /** With a host, `run` is lost when that generation of it (default: the present one) is no more. */
  schedule(
    delayMs: number,
    run: () => void,
    host?: SimHost,
    generation: number = host?.generation ?? 0,
  ): Cancel {
    const event: Event = {
      atMs: this.nowMs + Math.max(0, delayMs),
      sequence: this.#sequence++,
      host,
      generation,
      run,
      cancelled: false,
    };
    push(this.#heap, event);
    return () => {
      event.cancelled = true;
    };
  }

  requeue(event: Event): void {
    event.atMs = this.nowMs;
    event.sequence = this.#sequence++;
    push(this.#heap, event);
  }

  /** Called after every event of a host, when all promises have settled: where invariants are checked. */
  afterEachEvent(check: (host: SimHost | undefined) => void): void {
    this.#steps.push(check);
  }

  /** Adds a line to the trace: equal seeds must give equal hashes. */
  trace(line: string): void {
    this.#trace += `${this.nowMs.toFixed(3)} ${line}\n`;
    if (this.#trace.length < TRACE_CHUNK) return;
    this.#hash.update(this.#trace);
    this.#trace = "";
  }

  traceHash(): string {
    return this.#hash.copy().update(this.#trace).digest("hex").slice(0, 16);
  }

  /** Runs until `done` or until `limitMs` of virtual time have passed. Returns whether `done` became true. */
  async runUntil(done: () => boolean, limitMs: number): Promise<boolean> {
    const endMs = this.nowMs + limitMs;
    await turnOfTheEventLoop();
    while (!done()) {
      const next = this.#heap[0];
      if (next === undefined || next.atMs > endMs) {
        this.nowMs = Math.max(this.nowMs, endMs);
        return done();
      }
      pop(this.#heap);
      if (!this.#begin(next)) continue;
      await settle();
      for (const check of this.#steps) check(next.host);
      if (this.eventCount % EVENTS_PER_TURN === 0) await turnOfTheEventLoop();
    }
    return true;
  }

  async run(durationMs: number): Promise<void> {
    await this.runUntil(() => false, durationMs);
  }

  /** @returns whether it ran */
  #begin(event: Event): boolean {
    this.nowMs = Math.max(this.nowMs, event.atMs);
    if (event.cancelled) return false;
    const { host } = event;
    if (host !== undefined) {
      if (host.generation !== event.generation) return false;
      if (host.isPaused) {
        host.hold(event);
        return false;
      }
    }
    this.eventCount += 1;
    event.run();
    return true;
  }
}

/**
 * Lets every promise that can settle do so. Called from a promise's continuation: Node runs a tick only when no
 * continuation is left, which costs far less than a turn of the event loop.
 */
function settle(): Promise<void> {
  return new Promise((resolve) => {
    process.nextTick(resolve);
  });
}

/** Also makes Node report rejections that nobody handles. */
function turnOfTheEventLoop(): Promise<void> {
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
