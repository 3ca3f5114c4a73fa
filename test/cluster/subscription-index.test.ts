import { expect, test } from "vitest";
import { type Random, seededRandom } from "../../src/base/random.ts";
import { SubscriptionIndex } from "../../src/cluster/subscription-index.ts";
import { compileTopicsOf } from "../../src/filter/topic-selection.ts";
import type { SubscriptionRow, TopicSelection } from "../../src/model/subscription.ts";
import { definition } from "./support.ts";

const TOPICS = ["a", "b", "a/b", "a/c", "a/b/c", "dlq/a", "redrive/s1", "redrive/s2"];

function pick<T>(random: Random, items: readonly T[]): T {
  const item = items[random.integer(0, items.length)];
  if (item === undefined) throw new Error("nothing to pick from");
  return item;
}

function anySelection(random: Random): TopicSelection {
  switch (random.integer(0, 3)) {
    case 0:
      return { kind: "names", names: [pick(random, TOPICS), pick(random, TOPICS)] };
    case 1:
      return { kind: "patterns", patterns: [pick(random, ["#", "a/*", "a/#", "b", "*/c"])] };
    default:
      return { kind: "regex", regex: pick(random, ["a.*", "[ab]", ".*c", "b"]) };
  }
}

test("index: says of every topic what a test of all subscriptions says (random changes, older indexes too)", () => {
  const seed = Number(process.env["SEED"] ?? 4711);
  console.info(`seed=${seed}`);
  const random = seededRandom(seed);
  const rows = new Map<string, SubscriptionRow>();
  const past: { readonly index: SubscriptionIndex; readonly rows: typeof rows }[] = [];
  let index = SubscriptionIndex.EMPTY;
  for (let step = 1; step <= 600; step += 1) {
    const id = `s${random.integer(0, 12)}`;
    const before = rows.get(id);
    if (before !== undefined && random.next() < 0.3) rows.delete(id);
    else {
      const isRetold = before !== undefined && random.next() < 0.5;
      const topics = isRetold ? before.definition.topics : anySelection(random);
      const createdIndex = before?.createdIndex ?? step;
      const row = { subscriptionId: id, createdIndex, version: step };
      rows.set(id, { ...row, definition: definition(id, { topics }) });
    }
    index = index.with([[id, rows.get(id)]]);
    if (random.next() < 0.1) index.forget(pick(random, TOPICS));
    past.push({ index, rows: new Map(rows) });
    const seen = random.next() < 0.8 ? past.at(-1) : pick(random, past);
    if (seen === undefined) continue;
    const topic = pick(random, TOPICS);
    const wanting = [...seen.rows.values()]
      .filter((row) => compileTopicsOf(row.definition.name, row.definition.topics)(topic))
      .sort((a, b) => a.createdIndex - b.createdIndex);
    expect(seen.index.countOf(topic), `step ${step}, ${topic}`).toBe(wanting.length);
    expect(seen.index.of(topic), `step ${step}, ${topic}`).toEqual(wanting);
    expect(seen.index.names).toEqual([...seen.rows.keys()].sort());
    for (const row of seen.rows.values())
      expect(seen.index.testOf(row)(topic)).toBe(wanting.includes(row));
  }
});
