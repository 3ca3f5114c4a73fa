// Tags: words in one header, separated by commas. Their hashes may stand beside a batch (model/batch-hints.ts), so that a batch
// in which no message can match is skipped unread.
import { tagWords } from "../model/batch-hints.ts";
import { HEADER } from "../model/headers.ts";
import { isTooLong, type MessageTest } from "./message-view.ts";

/** The tags of a message; empty words are none, and a header that is too long has none. */
export function tagsOf(header: string | undefined): string[] {
  if (header === undefined || isTooLong(header)) return [];
  return tagWords(header);
}

export function tagsFilter(tags: readonly string[]): MessageTest {
  const wanted = new Set(tags);
  return (message) => tagsOf(message.header(HEADER.TAGS)).some((tag) => wanted.has(tag));
}
