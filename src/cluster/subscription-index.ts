// All subscriptions as one image sees them, and which of them want a topic. Immutable for its readers; a change makes a new
// index that takes over what it does not touch. Lists per topic are made when they are first asked for, so that a leader can
// look them up for nothing afterwards. Made by metadata-table.ts.
import { compileTopicsOf, type TopicTest } from "../filter/topic-selection.ts";
import { REDRIVE_PREFIX, type SubscriptionRow } from "../model/subscription.ts";

type Rows = readonly SubscriptionRow[];

const NONE: Rows = [];

/** What an index is made of. */
interface Parts {
  readonly rows: Map<string, SubscriptionRow>;
  readonly byName: Map<string, SubscriptionRow>;
  /** Those that select topics by name, by the topic's name: found without a test of each. */
  readonly named: Map<string, Rows>;
  /** Those that select by patterns or an expression, by id. */
  readonly broad: Map<string, TopicTest>;
  /** Who wants a topic, by its name, in order of creation; as far as somebody asked. */
  readonly wanted: Map<string, Rows>;
}

export class SubscriptionIndex {
  static readonly EMPTY: SubscriptionIndex = new SubscriptionIndex({
    rows: new Map(),
    byName: new Map(),
    named: new Map(),
    broad: new Map(),
    wanted: new Map(),
  });

  readonly #parts: Parts;
  /** Sorted on first use: most images are replaced before anybody lists subscriptions. */
  #sortedNames: readonly string[] | undefined;

  private constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** The index after changes. @param changes the new row of each id that changed; undefined: deleted */
  with(changes: Iterable<readonly [string, SubscriptionRow | undefined]>): SubscriptionIndex {
    const { broad, byName, named, rows, wanted } = this.#parts;
    const parts = {
      rows: new Map(rows),
      byName: new Map(byName),
      named: new Map(named),
      broad: new Map(broad),
      wanted: new Map(wanted),
    };
    for (const [id, row] of changes) change(parts, id, row);
    return new SubscriptionIndex(parts);
  }

  /** By id. */
  get rows(): ReadonlyMap<string, SubscriptionRow> {
    return this.#parts.rows;
  }

  /** In code unit order. */
  get names(): readonly string[] {
    this.#sortedNames ??= [...this.#parts.byName.keys()].sort();
    return this.#sortedNames;
  }

  /** Topics whose list is kept. */
  get kept(): number {
    return this.#parts.wanted.size;
  }

  byName(name: string): SubscriptionRow | undefined {
    return this.#parts.byName.get(name);
  }

  /** Its topics, compiled. */
  testOf(row: SubscriptionRow): TopicTest {
    const { broad, rows } = this.#parts;
    const known = rows.get(row.subscriptionId) === row ? broad.get(row.subscriptionId) : undefined;
    return known ?? testOfRow(row);
  }

  /** Those that want the topic of that name, the oldest first. Kept until the topic is forgotten: only for topics that exist. */
  of(topic: string): Rows {
    const { wanted } = this.#parts;
    const known = wanted.get(topic);
    if (known !== undefined) return known;
    const found = this.#find(topic);
    wanted.set(topic, found);
    return found;
  }

  /** How many want the topic of that name, which need not exist. */
  countOf(topic: string): number {
    return (this.#parts.wanted.get(topic) ?? this.#find(topic)).length;
  }

  #find(topic: string): Rows {
    const { broad, byName, named, rows } = this.#parts;
    if (topic.startsWith(REDRIVE_PREFIX)) {
      const row = byName.get(topic.slice(REDRIVE_PREFIX.length));
      return row === undefined ? NONE : [row];
    }
    const list = [...(named.get(topic) ?? NONE)];
    for (const [id, wants] of broad) {
      const row = wants(topic) ? rows.get(id) : undefined;
      if (row !== undefined) list.push(row);
    }
    return list.length === 0 ? NONE : list.sort(byCreation);
  }

  /** A topic of that name is gone: its list is not kept any more. */
  forget(topic: string): void {
    this.#parts.wanted.delete(topic);
  }
}

function change(parts: Parts, id: string, row: SubscriptionRow | undefined): void {
  const { broad, byName, rows, wanted } = parts;
  const before = rows.get(id);
  const wantsBefore = before === undefined ? undefined : testOf(parts, before);
  if (before !== undefined) {
    rows.delete(id);
    byName.delete(before.definition.name);
    rename(parts, before, (list) => list.filter((one) => one !== before));
    broad.delete(id);
  }
  const wants = row === undefined ? undefined : compiled(row, before, wantsBefore);
  if (row !== undefined && wants !== undefined) {
    rows.set(id, row);
    byName.set(row.definition.name, row);
    rename(parts, row, (list) => [...list, row]);
    if (row.definition.topics.kind !== "names") broad.set(id, wants);
  }
  for (const [topic, list] of wanted) {
    const was = wantsBefore?.(topic) === true ? before : undefined;
    const is = wants?.(topic) === true ? row : undefined;
    if (was !== is) wanted.set(topic, patched(list, was, is));
  }
}

function testOf({ broad }: Parts, row: SubscriptionRow): TopicTest {
  return broad.get(row.subscriptionId) ?? testOfRow(row);
}

function testOfRow({ definition }: SubscriptionRow): TopicTest {
  return compileTopicsOf(definition.name, definition.topics);
}

/** A change of anything but the topics keeps what was compiled. */
function compiled(
  row: SubscriptionRow,
  before: SubscriptionRow | undefined,
  wantsBefore: TopicTest | undefined,
): TopicTest {
  const { topics } = row.definition;
  const isSame = JSON.stringify(before?.definition.topics) === JSON.stringify(topics);
  return isSame && wantsBefore !== undefined ? wantsBefore : testOfRow(row);
}

/** Changes the lists of the topics that a subscription names. */
function rename({ named }: Parts, row: SubscriptionRow, renamed: (list: Rows) => Rows): void {
  const { topics } = row.definition;
  if (topics.kind !== "names") return;
  for (const topic of new Set(topics.names)) {
    const list = renamed(named.get(topic) ?? NONE);
    if (list.length === 0) named.delete(topic);
    else named.set(topic, list);
  }
}

/** The list with `is` in the place of `was`; both are the same subscription. */
function patched(
  list: Rows,
  was: SubscriptionRow | undefined,
  is: SubscriptionRow | undefined,
): Rows {
  if (is === undefined) return list.filter((row) => row !== was);
  if (was !== undefined) return list.map((row) => (row === was ? is : row));
  return [...list, is].sort(byCreation);
}

function byCreation(a: SubscriptionRow, b: SubscriptionRow): number {
  return a.createdIndex - b.createdIndex;
}
