// All subscriptions as one image sees them, and which of them want a topic. Immutable for its readers; lists per topic are
// made when they are first asked for, and those that a change does not touch go over into the next index. Made by
// metadata-table.ts.
import { compileTopicSelection, type TopicTest } from "../filter/topic-selection.ts";
import type { SubscriptionRow } from "../model/subscription.ts";

interface Compiled {
  readonly row: SubscriptionRow;
  readonly wants: TopicTest;
}

const NONE: readonly SubscriptionRow[] = [];

export class SubscriptionIndex {
  static readonly EMPTY: SubscriptionIndex = new SubscriptionIndex(new Map(), new Map());

  readonly rows: ReadonlyMap<string, SubscriptionRow>;
  readonly #byName: ReadonlyMap<string, Compiled>;
  /** By topic name, in order of creation. */
  readonly #wanted: Map<string, readonly SubscriptionRow[]>;
  /** Sorted on first use: most images are replaced before anybody lists subscriptions. */
  #sortedNames: readonly string[] | undefined;

  private constructor(
    byName: ReadonlyMap<string, Compiled>,
    wanted: Map<string, readonly SubscriptionRow[]>,
  ) {
    this.#byName = byName;
    this.rows = new Map([...byName.values()].map(({ row }) => [row.subscriptionId, row]));
    this.#wanted = wanted;
  }

  /** The index of these rows. @param before what did not change is taken from it */
  static of(rows: Iterable<SubscriptionRow>, before: SubscriptionIndex): SubscriptionIndex {
    const byName = new Map<string, Compiled>();
    for (const row of rows) {
      const known = before.#byName.get(row.definition.name);
      byName.set(row.definition.name, known?.row === row ? known : compiled(row, known));
    }
    const gone = [...before.#byName.values()].filter(
      ({ row }) => byName.get(row.definition.name)?.row !== row,
    );
    const fresh = [...byName.values()].filter(
      ({ row }) => before.#byName.get(row.definition.name)?.row !== row,
    );
    const wanted = new Map<string, readonly SubscriptionRow[]>();
    for (const [topic, list] of before.#wanted)
      wanted.set(topic, changed(topic, list, gone, fresh));
    return new SubscriptionIndex(byName, wanted);
  }

  /** In code unit order. */
  get names(): readonly string[] {
    this.#sortedNames ??= [...this.#byName.keys()].sort();
    return this.#sortedNames;
  }

  byName(name: string): SubscriptionRow | undefined {
    return this.#byName.get(name)?.row;
  }

  /** Its topics, compiled. */
  testOf(row: SubscriptionRow): TopicTest {
    const known = this.#byName.get(row.definition.name);
    return known?.row === row ? known.wants : compileTopicSelection(row.definition.topics);
  }

  /** Those that want the topic of that name, the oldest first. */
  of(topic: string): readonly SubscriptionRow[] {
    const known = this.#wanted.get(topic);
    if (known !== undefined) return known;
    const all = [...this.#byName.values()];
    const list = inOrder(all.filter(({ wants }) => wants(topic)).map(({ row }) => row));
    this.#wanted.set(topic, list);
    return list;
  }

  /** A topic of that name is gone: its list is not kept any more. */
  forget(topic: string): void {
    this.#wanted.delete(topic);
  }
}

/** A change of anything but the topics keeps what was compiled. */
function compiled(row: SubscriptionRow, known: Compiled | undefined): Compiled {
  const { topics } = row.definition;
  const isSame = JSON.stringify(known?.row.definition.topics) === JSON.stringify(topics);
  const wants = known !== undefined && isSame ? known.wants : compileTopicSelection(topics);
  return { row, wants };
}

function changed(
  topic: string,
  list: readonly SubscriptionRow[],
  gone: readonly Compiled[],
  fresh: readonly Compiled[],
): readonly SubscriptionRow[] {
  const added = fresh.filter(({ wants }) => wants(topic)).map(({ row }) => row);
  if (added.length === 0 && !gone.some(({ row }) => list.includes(row))) return list;
  const rows = gone.map(({ row }) => row);
  return inOrder([...list.filter((row) => !rows.includes(row)), ...added]);
}

function inOrder(rows: SubscriptionRow[]): readonly SubscriptionRow[] {
  if (rows.length === 0) return NONE;
  return rows.sort((a, b) => a.createdIndex - b.createdIndex);
}
