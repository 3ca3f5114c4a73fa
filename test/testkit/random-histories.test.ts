// Random legal histories raise nothing, and the same histories with one planted defect raise what was planted.
// SEED=<n> repeats one; a failure names its seed.
import { describe, expect, it } from "vitest";
import { seededRandom } from "../../src/base/random.ts";
import {
  type AnomalyKind,
  checkHistory,
  type HistoryEvent,
  type RecordRead,
} from "../../src/testkit/index.ts";
import { LittleLog } from "./little-log.ts";

const SEEDS = 300;
const STEPS = 250;
const only = process.env["SEED"];
const seeds =
  only === undefined ? Array.from({ length: SEEDS }, (_, at) => at + 1) : [Number(only)];

describe("checker: random legal histories", () => {
  it(`raise nothing (${seeds.length} seeds)`, { timeout: 60_000 }, () => {
    for (const seed of seeds) {
      const { events } = new LittleLog(seed).run(STEPS);
      const { anomalies } = checkHistory(events);
      expect({ seed, anomalies }).toEqual({ seed, anomalies: [] });
    }
  });

  it("hold everything that they should: losses, duplicates, rewinds, every class", () => {
    const seen = new Set<string>();
    for (const seed of seeds) {
      const { events } = new LittleLog(seed).run(STEPS);
      for (const event of events) {
        seen.add(event.type);
        if (event.type === "send") seen.add(event.durability);
        if (event.type === "outcome") seen.add(event.outcome);
        if (event.type === "fault") seen.add(event.name);
      }
    }
    const wanted = ["all/sync", "all/async", "leader/sync", "leader/async", "committed", "lost"];
    for (const name of [...wanted, "blackout", "kill", "seek", "poll", "bounds"]) {
      if (only === undefined) expect(seen).toContain(name);
    }
  });
});

/** Spoils a history; undefined when there is nothing to spoil. */
type Spoil = (
  events: readonly HistoryEvent[],
  choose: (count: number) => number,
) => HistoryEvent[] | undefined;

const SPOILS: readonly (readonly [AnomalyKind, string, Spoil])[] = [
  [
    "lost-acknowledged-write",
    "a strong record is missing in the end",
    (events, choose) => {
      const strong = strongFinalReads(events);
      const victim = strong[choose(strong.length)];
      return victim === undefined ? undefined : events.filter((event) => event !== victim);
    },
  ],
  [
    "duplicate-in-log",
    "a record stands twice",
    (events) => {
      const at = events.findLastIndex((event) => event.type === "read" && event.reader === "final");
      const last = events[at];
      const strong = strongFinalReads(events);
      const first = strong[0];
      if (last?.type !== "read" || first === undefined) return undefined;
      const offset = last.offset + 1;
      const copy = { ...first, partition: last.partition, offset };
      return [...events.slice(0, at + 1), copy, ...events.slice(at + 1)];
    },
  ],
  [
    "phantom",
    "a record has another value",
    (events, choose) => {
      const strong = strongFinalReads(events);
      const victim = strong[choose(strong.length)];
      if (victim === undefined) return undefined;
      return events.map((event) => (event === victim ? { ...victim, value: "ghost" } : event));
    },
  ],
  [
    "aborted-read",
    "a receipt becomes a refusal",
    (events, choose) => {
      const reads = strongFinalReads(events);
      const { value = "" } = reads[choose(reads.length)] ?? {};
      const ack = events.find((event) => event.type === "ack" && event.value === value);
      if (ack?.type !== "ack") return undefined;
      const { atMs } = ack;
      const refused = { type: "fail", atMs, value, outcome: "not-applied", reason: "X" } as const;
      return events.map((event) => (event === ack ? refused : event));
    },
  ],
  [
    "receipt-mismatch",
    "a receipt names the next place",
    (events, choose) => {
      const reads = strongFinalReads(events);
      const read = reads[choose(reads.length)];
      if (read === undefined) return undefined;
      return events.map((event) =>
        event.type === "ack" && event.value === read.value
          ? { ...event, offset: event.offset + 1 }
          : event,
      );
    },
  ],
  [
    "replica-divergence",
    "one digest differs",
    (events) => {
      const last = events.findLast((event) => event.type === "digest");
      const count = events.filter((event) => event.type === "digest").length;
      if (last?.type !== "digest" || count < 2) return undefined;
      return events.map((event) => (event === last ? { ...last, digest: "other" } : event));
    },
  ],
  [
    "truncated-after-recovery",
    "the last bounds lack a strong record",
    (events) => {
      const read = strongFinalReads(events)[0];
      if (read === undefined) return undefined;
      return events.map((event, at) =>
        event.type === "bounds" && event.partition === read.partition && isLastBounds(events, at)
          ? { ...event, highWatermark: read.offset }
          : event,
      );
    },
  ],
  [
    "wrong-outcome",
    "a strong record is called lost",
    (events, choose) => {
      const strong = new Set(strongFinalReads(events).map(({ value }) => value));
      const answers = events.filter((event) => event.type === "outcome" && strong.has(event.value));
      const victim = answers[choose(answers.length)];
      if (victim?.type !== "outcome") return undefined;
      return events.map((event) => (event === victim ? { ...victim, outcome: "lost" } : event));
    },
  ],
];

describe("checker: spoiled histories", () => {
  it.each(SPOILS)("finds %s: %s", { timeout: 60_000 }, (kind, _, spoil) => {
    let spoiled = 0;
    for (const seed of seeds.slice(0, 100)) {
      const random = seededRandom(seed);
      const choose = (count: number): number => random.integer(0, Math.max(1, count));
      const events = spoil(new LittleLog(seed).run(STEPS).events, choose);
      if (events === undefined) continue;
      spoiled += 1;
      expect(Object.keys(checkHistory(events).counts), `seed ${seed}`).toContain(kind);
    }
    expect(spoiled).toBeGreaterThan(only === undefined ? 50 : -1);
  });
});

/** Final reads of acknowledged records of class all/sync, each at the place that its receipt names. */
function strongFinalReads(events: readonly HistoryEvent[]): RecordRead[] {
  const strong = new Set<string>();
  const promised = new Set<string>();
  for (const event of events) {
    if (event.type === "send" && event.durability === "all/sync") strong.add(event.value);
    if (event.type === "ack" && strong.has(event.value)) promised.add(event.value);
  }
  return events
    .filter((event) => event.type === "read")
    .filter(({ reader, value }) => reader === "final" && promised.has(value));
}

function isLastBounds(events: readonly HistoryEvent[], at: number): boolean {
  const event = events[at];
  return (
    event?.type === "bounds" &&
    !events.some(
      (other, later) =>
        later > at && other.type === "bounds" && other.partition === event.partition,
    )
  );
}
