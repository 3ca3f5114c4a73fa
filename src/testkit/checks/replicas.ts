// A26 and A27: what several nodes say about one thing must agree: the bytes of a range of a log, and metadata at an index.
import type { Numbered } from "../numbered.ts";
import { type Check, type Found, located } from "./check.ts";

export const replicaCheck: Check = {
  kinds: ["replica-divergence"],
  run: ({ facts }, found) => {
    disagreements(
      facts.digests,
      (event) => `${event.topic}/${event.partition}|${event.firstIndex}|${event.lastIndex}`,
      (event) => event.digest,
      (a, b) => {
        const { firstIndex, lastIndex, partition, topic } = a.event;
        const where = `${topic}/${partition}, entries ${firstIndex} … ${lastIndex}`;
        found("replica-divergence", () => ({
          message: `${where}: ${a.event.digest} on node ${a.event.node}, ${b.event.digest} on node ${b.event.node}`,
          ...located(facts, facts.places.numberOf(topic, partition)),
          events: [a.number, b.number],
        }));
      },
    );
    return facts.digests.length;
  },
};

export const metadataCheck: Check = {
  kinds: ["metadata-split"],
  run: ({ facts }, found) => {
    disagreements(
      facts.metadata,
      (event) => `${event.index}|${event.subject}`,
      (event) => event.state,
      (a, b) => splitFound(a, b, found),
    );
    return facts.metadata.length;
  },
};

interface Seen {
  readonly node: number;
  readonly index: number;
  readonly subject: string;
  readonly state: string;
}

function splitFound(a: Numbered<Seen>, b: Numbered<Seen>, found: Found): void {
  const { index, subject } = a.event;
  found("metadata-split", () => ({
    message: `${subject} at metadata index ${index}: "${a.event.state}" on node ${a.event.node}, "${b.event.state}" on node ${b.event.node}`,
    value: subject,
    events: [a.number, b.number],
  }));
}

/** Compares each event with the first of its name; one report per name. */
function disagreements<E>(
  events: readonly Numbered<E>[],
  nameOf: (event: E) => string,
  stateOf: (event: E) => string,
  report: (first: Numbered<E>, other: Numbered<E>) => void,
): void {
  const firsts = new Map<string, Numbered<E>>();
  const reported = new Set<string>();
  for (const numbered of events) {
    const name = nameOf(numbered.event);
    const first = firsts.get(name);
    if (first === undefined) firsts.set(name, numbered);
    else if (stateOf(first.event) !== stateOf(numbered.event) && !reported.has(name)) {
      reported.add(name);
      report(first, numbered);
    }
  }
}
