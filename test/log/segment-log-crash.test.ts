// Every I/O boundary of scripts of log operations: the power is cut there (or only the process dies), the log is opened
// again and compared with what was promised. Exhaustive in the boundary, seeded in what the disk kept.
import { describe, expect, it } from "vitest";
import { type Random, seededRandom } from "../../src/base/random.ts";
import { FaultDisk } from "../../src/log/fault-disk.ts";
import { MemoryDisk } from "../../src/log/memory-disk.ts";
import type { Disk, GroupLog } from "../../src/log/ports.ts";
import { openGroupLog } from "../../src/log/segment-log.ts";
import type { GroupId } from "../../src/model/ids.ts";
import { frame } from "./frames.ts";

type Step =
  | { readonly kind: "append"; readonly count: number }
  | { readonly kind: "sync" }
  | { readonly kind: "cut"; readonly back: number }
  | { readonly kind: "prefix"; readonly keep: number }
  | { readonly kind: "reset"; readonly index: number };

/** What the log should hold: the term of each entry tells which writing of it is meant. */
interface State {
  readonly first: number;
  readonly prevTerm: number;
  readonly terms: readonly number[];
}

const GROUP = 1 as GroupId;
const EMPTY: State = { first: 1, prevTerm: 0, terms: [] };

const lastOf = (state: State): number => state.first + state.terms.length - 1;
const textOf = (state: State): string =>
  `${state.first}/${state.prevTerm}: ${state.terms.join(" ")}`;

function openLog(disk: Disk, hint: number, pageCacheKept: boolean): Promise<GroupLog> {
  const place = { disk, directory: "groups/1", groupId: GROUP };
  const sizes = { segmentBytes: 64 + 3 * 173, indexBytes: 200 };
  return openGroupLog({ ...place, ...sizes, durableIndexHint: hint, pageCacheKept });
}

/** Runs steps against a log and keeps a model beside it. */
class Run {
  /** Possible states since the last promise, oldest first; the first one was promised. */
  states: State[];
  #term: number;
  readonly #log: GroupLog;

  constructor(log: GroupLog, state = EMPTY) {
    this.#log = log;
    this.states = [state];
    this.#term = Math.max(state.prevTerm, ...state.terms) + 1;
  }

  get now(): State {
    return this.states.at(-1) ?? EMPTY;
  }

  async step(step: Step): Promise<void> {
    const { first, prevTerm, terms } = this.now;
    if (step.kind === "append") {
      const frames = Array.from({ length: step.count }, (_, number) => {
        const index = lastOf(this.now) + 1 + number;
        return frame({ index, term: this.#term, fill: this.#term * 16 + (index % 16) });
      });
      // Any part of the call may survive.
      for (let count = 1; count <= step.count; count += 1) {
        const added = Array.from({ length: count }, () => this.#term);
        this.states.push({ first, prevTerm, terms: [...terms, ...added] });
      }
      this.#log.append(frames);
    } else if (step.kind === "sync") {
      await this.#log.sync();
      this.states = [this.now];
    } else if (step.kind === "cut") {
      const keep = Math.max(0, terms.length - step.back);
      this.#term += 1;
      // Newest segments go first, so a part of the cut may have happened.
      for (let left = terms.length - 1; left >= keep; left -= 1) {
        this.states.push({ first, prevTerm, terms: terms.slice(0, left) });
      }
      this.#log.truncateSuffix(first + keep);
    } else if (step.kind === "prefix") {
      const index = Math.max(first, lastOf(this.now) + 1 - step.keep);
      const before = this.now;
      // Any whole number of segments may be gone; the test knows only that no entry ≥ index is.
      for (let drop = 1; drop <= index - first; drop += 1) {
        this.states.push({
          first: first + drop,
          prevTerm: terms[drop - 1] ?? 0,
          terms: terms.slice(drop),
        });
      }
      const now = await this.#log.truncatePrefix(index);
      const drop = now - first;
      const left =
        drop === 0
          ? before
          : { first: now, prevTerm: terms[drop - 1] ?? 0, terms: terms.slice(drop) };
      this.states = drop === 0 ? this.states.slice(0, this.states.indexOf(before) + 1) : [left];
    } else {
      this.#term += 1;
      const prevTerm = this.#term - 1;
      this.states.push({ first: step.index, prevTerm, terms: [] });
      await this.#log.reset(step.index, prevTerm, step.index - 1);
      this.states = [this.now];
    }
  }

  /** Up to where entries of the promised state were never cut since. */
  get durableIndex(): number {
    const [promised] = this.states;
    if (promised === undefined || this.states.some((one) => one.first > lastOf(promised) + 1))
      return 0;
    if (this.states.some((one) => one.first < promised.first)) return 0;
    return Math.min(...this.states.map(lastOf));
  }
}

async function recoveredState(log: GroupLog): Promise<State> {
  const frames = await log.read(log.firstIndex, log.lastIndex, Number.MAX_SAFE_INTEGER);
  expect(frames.length).toBe(log.lastIndex - log.firstIndex + 1);
  const right = frames.map(({ index, term }) => {
    return frame({ index, term, fill: term * 16 + (index % 16) }).bytes.toString("hex");
  }, 60_000);
  expect(frames.map(({ bytes }) => bytes.toString("hex"))).toEqual(right);
  expect(log.nextOffset).toBe(log.lastIndex);
  const terms = frames.map(({ term }) => term);
  return { first: log.firstIndex, prevTerm: log.firstPrevTerm, terms };
}

/** True when `found` is `state`, or `state` without some of its last, unpromised entries. */
function isBeginningOf(found: State, state: State, durableIndex: number): boolean {
  return (
    found.first === state.first &&
    found.prevTerm === state.prevTerm &&
    lastOf(found) >= Math.min(durableIndex, lastOf(state)) &&
    found.terms.every((term, number) => term === state.terms[number])
  );
}

interface Cut {
  readonly boundary: number;
  readonly shortBytes: number;
}

/** Runs until the disk fails at the boundary. Undefined: the script ended before it. */
async function runUntil(
  memory: MemoryDisk,
  steps: readonly Step[],
  cut: Cut,
): Promise<Run | undefined> {
  const disk = new FaultDisk(memory);
  const effect = { kind: "short", bytes: cut.shortBytes } as const;
  const fault = disk.inject({ after: cut.boundary, times: Number.POSITIVE_INFINITY, effect });
  let current: Run | undefined;
  try {
    const log = await openLog(disk, 0, false);
    current = new Run(log);
    for (const step of steps) await current.step(step);
  } catch (error) {
    if (fault.hits === 0) throw error;
  }
  if (fault.hits === 0) return undefined;
  return current ?? new Run(undefined as unknown as GroupLog);
}

async function exploreEveryBoundary(steps: readonly Step[], seed: number): Promise<number> {
  let boundary = 0;
  for (; ; boundary += 1) {
    const random = seededRandom(seed * 1_000 + boundary);
    const cut = { boundary, shortBytes: random.integer(0, 600) };
    const title = `seed ${seed}, boundary ${boundary}`;
    const memory = new MemoryDisk();
    const crashed = await runUntil(memory, steps, cut);
    if (crashed === undefined) return boundary;
    if (boundary % 3 === 0) await checkProcessDeath(memory.detach(), crashed, title);
    else await checkPowerCut(memory, crashed, random, title);
  }
}

async function checkPowerCut(
  memory: MemoryDisk,
  crashed: Run,
  random: Random,
  title: string,
): Promise<void> {
  const disk = memory.crash(random);
  const log = await openLog(disk, crashed.durableIndex, false);
  const found = await recoveredState(log);
  const fits = crashed.states.some((state) => isBeginningOf(found, state, crashed.durableIndex));
  const possible = crashed.states.map(textOf).join("\n");
  expect(fits, `${title}: found ${textOf(found)}, possible\n${possible}`).toBe(true);
  await checkStaysAndGrows(log, disk, random, found, title);
}

/** Nothing that was written is lost, except a part of the call that was under way. */
async function checkProcessDeath(disk: MemoryDisk, crashed: Run, title: string): Promise<void> {
  const log = await openLog(disk, crashed.durableIndex, true);
  const found = await recoveredState(log);
  const fits = crashed.states.some((state) => textOf(state) === textOf(found));
  const possible = crashed.states.map(textOf).join("\n");
  expect(fits, `${title}: found ${textOf(found)}, possible\n${possible}`).toBe(true);
  log.close();
}

/** What an open found is durable, even if the power is cut again at once; and the log works, and keeps what it promises. */
async function checkStaysAndGrows(
  log: GroupLog,
  disk: MemoryDisk,
  random: Random,
  found: State,
  title: string,
): Promise<void> {
  const next = lastOf(found) + 1;
  log.append([frame({ index: next, term: 99, fill: 99 * 16 + (next % 16) })]);
  const isPromised = random.next() < 0.5;
  if (isPromised) await log.sync();
  const hint = isPromised ? next : lastOf(found);
  const again = await openLog(disk.crash(random), hint, false);
  const state = await recoveredState(again);
  const grown = textOf({ ...found, terms: [...found.terms, 99] });
  const possible = isPromised ? [grown] : [textOf(found), grown];
  expect(possible, title).toContain(textOf(state));
}

/** Cut after cut on one disk: what one recovery made of the log is what the next one finds. */
async function cutAgainAndAgain(seed: number, rounds: number): Promise<void> {
  const random = seededRandom(seed);
  let memory = new MemoryDisk();
  let hint = 0;
  let isPowerCut = true;
  let before: Run | undefined;
  for (let round = 0; round < rounds; round += 1) {
    const title = `seed ${seed}, round ${round}`;
    const disk = new FaultDisk(memory);
    const log = await openLog(disk, hint, !isPowerCut);
    const found = await recoveredState(log);
    const run = new Run(log, found);
    const { durableIndex, states } = before ?? run;
    const possible = states.map(textOf).join("\n");
    const fits = states.some((state) =>
      isPowerCut ? isBeginningOf(found, state, durableIndex) : textOf(state) === textOf(found),
    );
    expect(fits, `${title}: found ${textOf(found)}, possible\n${possible}`).toBe(true);
    const after = random.integer(0, 40);
    const effect = { kind: "short", bytes: random.integer(0, 600) } as const;
    const fault = disk.inject({ after, times: Number.POSITIVE_INFINITY, effect });
    try {
      for (const step of randomSteps(random)) await run.step(step);
    } catch (error) {
      if (fault.hits === 0) throw error;
    }
    before = run;
    // Often it is a little behind what was promised.
    hint = Math.max(0, run.durableIndex - (random.next() < 0.5 ? random.integer(0, 6) : 0));
    isPowerCut = random.next() < 0.7;
    memory = isPowerCut ? memory.crash(random) : memory.detach();
  }
}

function randomSteps(random: Random): Step[] {
  const steps: Step[] = [];
  for (let number = 0; number < 14; number += 1) {
    const dice = random.next();
    if (dice < 0.45) steps.push({ kind: "append", count: random.integer(1, 6) });
    else if (dice < 0.7) steps.push({ kind: "sync" });
    else if (dice < 0.88) steps.push({ kind: "cut", back: random.integer(1, 9) });
    else if (dice < 0.96) steps.push({ kind: "prefix", keep: random.integer(0, 6) });
    else steps.push({ kind: "reset", index: random.integer(1, 12) });
  }
  return steps;
}

describe("segment log: crash at every I/O boundary", () => {
  it("append, roll, cut, prefix, reset (fixed script, 10 seeds)", async () => {
    const steps: Step[] = [
      { kind: "append", count: 2 },
      { kind: "sync" },
      { kind: "append", count: 8 },
      { kind: "cut", back: 5 },
      { kind: "append", count: 5 },
      { kind: "sync" },
      { kind: "cut", back: 3 },
      { kind: "sync" },
      { kind: "append", count: 4 },
      { kind: "prefix", keep: 3 },
      { kind: "append", count: 1 },
      { kind: "reset", index: 4 },
      { kind: "append", count: 4 },
      { kind: "sync" },
    ];
    for (let seed = 1; seed <= 10; seed += 1) {
      expect(await exploreEveryBoundary(steps, seed)).toBeGreaterThan(40);
    }
  }, 60_000);

  it("random scripts (30 seeds)", async () => {
    for (let seed = 1_001; seed <= 1_030; seed += 1) {
      await exploreEveryBoundary(randomSteps(seededRandom(seed)), seed);
    }
  }, 60_000);

  it("random scripts on one disk, stopped six times each (150 seeds)", async () => {
    for (let seed = 5_001; seed <= 5_150; seed += 1) await cutAgainAndAgain(seed, 6);
  }, 60_000);

  it("a lying disk loses promised entries, and that is found (positive control)", async () => {
    let refused = 0;
    for (let seed = 1; seed <= 20; seed += 1) {
      const memory = new MemoryDisk();
      const disk = new FaultDisk(memory);
      const log = await openLog(disk, 0, false);
      disk.inject({ operations: ["sync", "syncDirectory"], times: 1e9, effect: { kind: "lie" } });
      log.append(Array.from({ length: 5 }, (_, number) => frame({ index: number + 1 })));
      await log.sync();
      await openLog(memory.crash(seededRandom(seed)), 5, false).catch(() => {
        refused += 1;
      });
    }
    expect(refused).toBeGreaterThan(5);
  }, 60_000);
});
