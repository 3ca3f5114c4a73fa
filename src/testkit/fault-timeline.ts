// What was done to which node, and when: spans from the start of a fault to its stop. Answers what the promises and the
// checks ask: how many nodes lost their power in a window, was there a healthy majority, was an exit our own doing.
import type { FaultEffect, FaultEvent } from "./events.ts";
import { effectOf } from "./fault-effects.ts";
import type { Numbered } from "./numbered.ts";

interface Span {
  /** ALL: every node. */
  readonly node: number;
  readonly effect: FaultEffect;
  readonly fromMs: number;
  toMs: number;
}

/** A node lost what it had not flushed. */
interface Loss {
  readonly node: number;
  readonly ms: number;
  /** It may have lost what it was given from this time on. */
  readonly reachesMs: number;
}

interface Stretch {
  readonly fromMs: number;
  readonly toMs: number;
  /** Nodes that something was done to. */
  readonly disturbed: number;
}

const ALL = 0;
/** Between a signal and what the test notices of it. */
const EXIT_SLACK_MS = 2000;
/** Leaves every node able to work. */
const HARMLESS: readonly FaultEffect[] = ["blip", "unsafe"];
/** Unflushed writes may be gone. */
const FORGETFUL: readonly FaultEffect[] = ["power", "disk", "wipe"];
/** Whoever is not there, or slow, does not flush in time. */
const DELAYS_FLUSH: readonly FaultEffect[] = ["crash", "pause", "slow", "disk", "other"];
const ENDS_PROCESS: readonly FaultEffect[] = ["crash", "power", "wipe", "disk", "restart"];

export class FaultTimeline {
  readonly #spans: readonly Span[];
  /** By time. */
  readonly #losses: readonly Loss[];
  /** The longest time from something that was lost to its loss. */
  readonly #reachMsMax: number;
  readonly #stretches: readonly Stretch[];
  /** Asked for every record: number of disks → when so many were gone for the last time. */
  readonly #lastVoidMs = new Map<number, number>();
  /** End of the last fault; infinite while one has not stopped. */
  readonly lastMs: number;

  /** @param flushWindowMs a node that is left alone has flushed what it was given so long ago */
  constructor(faults: readonly Numbered<FaultEvent>[], flushWindowMs: number) {
    const events = faults.map(({ event }) => event).sort((a, b) => a.atMs - b.atMs);
    this.#spans = spansOf(events);
    this.#losses = lossesOf(events, this.#spans, flushWindowMs);
    this.#reachMsMax = Math.max(0, ...this.#losses.map(({ ms, reachesMs }) => ms - reachesMs));
    this.#stretches = stretchesOf(this.#spans);
    this.lastMs = Math.max(Number.NEGATIVE_INFINITY, ...this.#spans.map(({ toMs }) => toMs));
  }

  /** Something was still done, or done anew, at that time or later. */
  isDisturbedAfter(ms: number): boolean {
    return this.lastMs >= ms;
  }

  /** How many nodes may have lost what they were given between two times without flushing it. @param byMs until then */
  nodesThatForgot(fromMs: number, toMs: number, byMs = Number.POSITIVE_INFINITY): number {
    const nodes = new Set<number>();
    for (let at = firstNotBefore(this.#losses, fromMs); at < this.#losses.length; at += 1) {
      const loss = this.#losses[at];
      if (loss === undefined || loss.ms - this.#reachMsMax > toMs) break;
      if (loss.reachesMs > toMs || loss.ms > byMs) continue;
      if (loss.node === ALL) return Number.POSITIVE_INFINITY;
      nodes.add(loss.node);
    }
    return nodes.size;
  }

  /** The promises were given up later: the disks of so many nodes were gone at once, or somebody said so. */
  isVoidAfter(ms: number, disks: number): boolean {
    let last = this.#lastVoidMs.get(disks);
    if (last === undefined) {
      last = this.#voids(disks).at(-1)?.fromMs ?? Number.NEGATIVE_INFINITY;
      this.#lastVoidMs.set(disks, last);
    }
    return last >= ms;
  }

  /** As {@link isVoidAfter}, between two times. */
  isVoidWithin(fromMs: number, toMs: number, disks: number): boolean {
    return this.#voids(disks).some((span) => span.fromMs >= fromMs && span.fromMs <= toMs);
  }

  /** The longest time, in a time, with fewer disturbed nodes than `enough`, ms. */
  longestCalm(fromMs: number, toMs: number, enough: number): number {
    let longest = 0;
    let calmFrom = fromMs;
    for (const stretch of this.#stretches) {
      if (stretch.disturbed < enough || stretch.toMs <= fromMs) continue;
      if (stretch.fromMs >= toMs) break;
      longest = Math.max(longest, stretch.fromMs - calmFrom);
      calmFrom = Math.max(calmFrom, stretch.toMs);
    }
    return Math.max(longest, toMs - calmFrom);
  }

  /** For so long, between two times, some node stood still: its own time did not pass. */
  pausedMs(fromMs: number, toMs: number): number {
    let total = 0;
    let countedTo = fromMs;
    for (const span of this.#spans) {
      if (span.effect !== "pause" || span.toMs <= countedTo) continue;
      if (span.fromMs >= toMs) break;
      const from = Math.max(span.fromMs, countedTo);
      countedTo = Math.min(span.toMs, toMs);
      total += countedTo - from;
    }
    return total;
  }

  /** A fault of one of these effects was in force at some time between two times. */
  isTouched(effects: readonly FaultEffect[], fromMs: number, toMs: number): boolean {
    return this.#spans.some(
      (span) => effects.includes(span.effect) && span.fromMs <= toMs && span.toMs >= fromMs,
    );
  }

  /** The test itself ended this process about then, or took away what it cannot live without. */
  mayEnd(node: number, atMs: number): boolean {
    return this.#spans.some(
      (span) =>
        (span.node === node || span.node === ALL) &&
        ENDS_PROCESS.includes(span.effect) &&
        span.fromMs <= atMs + EXIT_SLACK_MS &&
        span.toMs >= atMs - EXIT_SLACK_MS,
    );
  }

  #voids(disks: number): readonly Span[] {
    return this.#spans.filter(
      ({ effect, fromMs }) =>
        effect === "unsafe" || (effect === "wipe" && this.#wipedAt(fromMs) >= disks),
    );
  }

  #wipedAt(ms: number): number {
    const wiped = this.#spans.filter(
      ({ effect, fromMs, toMs }) => effect === "wipe" && fromMs <= ms && ms <= toMs,
    );
    if (wiped.some(({ node }) => node === ALL)) return Number.POSITIVE_INFINITY;
    return new Set(wiped.map(({ node }) => node)).size;
  }
}

function nodesOf({ nodes }: FaultEvent): readonly number[] {
  return nodes.length === 0 ? [ALL] : nodes;
}

/** A fault that never stopped lasts for ever, unless it is over at once by its nature. */
function spansOf(events: readonly FaultEvent[]): Span[] {
  const open = new Map<string, Span>();
  const spans: Span[] = [];
  for (const event of events) {
    const effect = effectOf(event);
    for (const node of nodesOf(event)) {
      const name = `${event.name}|${node}`;
      const span = open.get(name);
      const isBlip = HARMLESS.includes(effect);
      if (event.phase === "stop") {
        if (span !== undefined) span.toMs = event.atMs;
        open.delete(name);
      } else if (span === undefined) {
        const toMs = isBlip ? event.atMs : Number.POSITIVE_INFINITY;
        const begun: Span = { node, effect, fromMs: event.atMs, toMs };
        spans.push(begun);
        open.set(name, begun);
      } else if (isBlip) span.toMs = event.atMs;
    }
  }
  return spans.sort((a, b) => a.fromMs - b.fromMs);
}

function lossesOf(
  events: readonly FaultEvent[],
  spans: readonly Span[],
  flushWindowMs: number,
): Loss[] {
  const forgetful = events.filter(
    (event) => event.phase !== "stop" && FORGETFUL.includes(effectOf(event)),
  );
  return forgetful.flatMap((event) =>
    nodesOf(event).map((node) => {
      const reachesMs = reachOf(node, event.atMs, spans, flushWindowMs);
      return { node, ms: event.atMs, reachesMs };
    }),
  );
}

/** Goes back from a loss until the node had been left alone for the whole window. */
function reachOf(node: number, ms: number, spans: readonly Span[], windowMs: number): number {
  let reachesMs = ms;
  let leftMs = windowMs;
  const delays = spans
    .filter((span) => DELAYS_FLUSH.includes(span.effect) && span.fromMs < ms)
    .filter((span) => span.node === node || span.node === ALL || node === ALL)
    .sort((a, b) => b.toMs - a.toMs);
  for (const { fromMs, toMs } of delays) {
    const calmMs = Math.max(0, reachesMs - toMs);
    if (calmMs >= leftMs) break;
    leftMs -= calmMs;
    reachesMs = Math.min(reachesMs, fromMs);
  }
  return reachesMs - leftMs;
}

/** The time line cut at every start and end. */
function stretchesOf(spans: readonly Span[]): Stretch[] {
  const serious = spans.filter(({ effect }) => !HARMLESS.includes(effect));
  const edges = serious.flatMap((span) => [
    { ms: span.fromMs, node: span.node, by: 1 },
    { ms: span.toMs, node: span.node, by: -1 },
  ]);
  edges.sort((a, b) => (a.ms === b.ms ? 0 : a.ms - b.ms));
  const active = new Map<number, number>();
  const stretches: Stretch[] = [];
  for (const [at, { ms, node, by }] of edges.entries()) {
    const count = (active.get(node) ?? 0) + by;
    if (count > 0) active.set(node, count);
    else active.delete(node);
    const toMs = edges[at + 1]?.ms ?? Number.POSITIVE_INFINITY;
    if (toMs <= ms) continue;
    const disturbed = active.has(ALL) ? Number.POSITIVE_INFINITY : active.size;
    stretches.push({ fromMs: ms, toMs, disturbed });
  }
  return stretches;
}

/** Position of the first loss at or after `ms`. */
function firstNotBefore(losses: readonly Loss[], ms: number): number {
  let low = 0;
  let high = losses.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((losses[middle]?.ms ?? 0) < ms) low = middle + 1;
    else high = middle;
  }
  return low;
}
