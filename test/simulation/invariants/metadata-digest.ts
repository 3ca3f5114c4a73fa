// The whole of a metadata image as one number, and as text when two of them differ. Rows never change and are shared between
// images, so each is looked at once; an image costs little more than the rows that are new in it. Used by metadata-checks.ts
// and the calm phase.
import { crc32c } from "../../../src/base/crc32c.ts";
import type { MetadataImage } from "../../../src/cluster/metadata-image.ts";

type Table = ReadonlyMap<unknown, object>;

const rowHashes = new WeakMap<object, number>();
const tableHashes = new WeakMap<Table, number>();

/** Equal for equal images, in whatever order their tables were filled. */
export function digestOf(image: MetadataImage): number {
  let sum = hashOf(headOf(image));
  for (const [name, table] of tablesOf(image)) sum += hashOfTable(name, table);
  return sum;
}

/** The first thing in which two images differ; undefined when they are the same. */
export function differenceOf(one: MetadataImage, other: MetadataImage): string | undefined {
  const rows = rowsOf(other);
  for (const [key, text] of rowsOf(one)) {
    const there = rows.get(key);
    rows.delete(key);
    if (there !== text) return `${key} is ${text}, there ${there ?? "nothing"}`;
  }
  const [more] = rows;
  return more === undefined ? undefined : `${more[0]} is nothing, there ${more[1]}`;
}

/** With the lists that are derived from the rows: asked for seldom. */
export function summaryOf(image: MetadataImage): string {
  const { subscriptions, topicNames, version } = image;
  const names = canonical([topicNames, subscriptions.names]);
  return `version ${version}, ${digestOf(image).toString(16)}, names ${hashOf(names).toString(16)}`;
}

/** JSON whose objects name their fields in order: a row that was read back may have them in another one. */
export function canonical(value: unknown): string {
  return JSON.stringify(value, (_, inner: unknown) => {
    if (typeof inner !== "object" || inner === null || Array.isArray(inner)) return inner;
    return Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)));
  });
}

function rowsOf(image: MetadataImage): Map<string, string> {
  const rows = new Map([["head", headOf(image)]]);
  for (const [name, table] of tablesOf(image)) {
    for (const [key, row] of table) rows.set(`${name} ${String(key)}`, canonical(row));
  }
  return rows;
}

function headOf({ featureLevel, metadataVoters, version }: MetadataImage): string {
  return canonical({ featureLevel, metadataVoters, version });
}

function tablesOf(image: MetadataImage): readonly (readonly [string, Table])[] {
  const { deletedTopics, nodes, partitions, removedNodes, subscriptions, topics } = image;
  return [
    ["node", nodes],
    ["removed node", removedNodes],
    ["topic", topics],
    ["partition", partitions],
    ["deleted topic", deletedTopics],
    ["subscription", subscriptions.rows],
  ];
}

function hashOfTable(name: string, table: Table): number {
  let sum = tableHashes.get(table);
  if (sum !== undefined) return sum;
  sum = 0;
  for (const [key, row] of table) sum += hashOfRow(`${name} ${String(key)}`, row);
  tableHashes.set(table, sum);
  return sum;
}

/** A row stands in one table only, under the key that it contains. */
function hashOfRow(name: string, row: object): number {
  let hash = rowHashes.get(row);
  if (hash === undefined) {
    hash = hashOf(`${name} ${canonical(row)}`);
    rowHashes.set(row, hash);
  }
  return hash;
}

function hashOf(text: string): number {
  return crc32c(Buffer.from(text));
}
