// What filters of subscriptions go by: the markers of sends, and which messages of a run carry which tags: those of topics that a subscription filters by tags, so that runs without one
// stay what they were. Batches differ in what their hints say: without tags, with tags that nobody wants, with several.
// Pure.
import { HEADER } from "../../../src/model/headers.ts";
import type { SeedPlan, SubscriptionPlan } from "../plan/seed-plan.ts";

/** What a filter wants, as markers of sends. Both filters want the same. */
export const MARKERS: readonly string[] = ["k0", "last"];
const SQL_FILTER = { kind: "sql", expression: "$key LIKE '%-k0' OR $key LIKE 'last-%'" } as const;
const TAGS_FILTER = { kind: "tags", tags: MARKERS } as const;
/** Nobody wants it by itself. */
const COMMON_TAG = "common";

/** Of a send: the end of its key. */
export function markerOf(key: string): string {
  return key.startsWith("last-") ? "last" : key.slice(-2);
}

export function filterOf({
  filtersByTags,
  isFiltered,
}: SubscriptionPlan): typeof SQL_FILTER | typeof TAGS_FILTER | undefined {
  if (!isFiltered) return undefined;
  return filtersByTags === true ? TAGS_FILTER : SQL_FILTER;
}

/** Headers of a message, as producers set them. Other than wanted ones go without tags when a plain client sends them. */
export function tagHeaders(
  { subscriptions = [] }: SeedPlan,
  topic: string,
  key: string,
): { readonly name: string; readonly value: Buffer }[] {
  const isTagged = subscriptions.some(
    ({ filtersByTags, topics }) => filtersByTags === true && topics.includes(topic),
  );
  const marker = markerOf(key);
  const isWanted = MARKERS.includes(marker);
  if (!isTagged || (!isWanted && key.startsWith("plain"))) return [];
  const tags = marker === "last" ? marker : `${COMMON_TAG}, ${marker}`;
  return [{ name: HEADER.TAGS, value: Buffer.from(tags) }];
}
