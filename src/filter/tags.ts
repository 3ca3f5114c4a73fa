// Tags: words in one header, separated by commas. Their hashes may stand beside a batch, so that a batch in which no
// message can match is skipped unread.
import { HEADER } from "../model/headers.ts";
import { isTooLong, type MessageTest } from "./message-view.ts";

/** The tags of a message; empty words are none, and a header that is too long has none. */
export function tagsOf(header: string | undefined): string[] {
  if (header === undefined || isTooLong(header)) return [];
  const words = header.split(",").map((word) => word.trim());
  return words.filter((word) => word !== "");
}

export function tagsFilter(tags: readonly string[]): MessageTest {
  const wanted = new Set(tags);
  return (message) => tagsOf(message.header(HEADER.TAGS)).some((tag) => wanted.has(tag));
}

/** FNV-1a over UTF-16 units, 32 bits unsigned. Part of the format of hints: never changed. */
export function tagHash(tag: string): number {
  let hash = 0x811c9dc5;
  for (let at = 0; at < tag.length; at += 1) {
    hash = Math.imul(hash ^ tag.charCodeAt(at), 0x01000193);
  }
  return hash >>> 0;
}
