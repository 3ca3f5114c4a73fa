// A dead letter as a filter sees it. Pure. Positions are those of the message that died: $topic, $partition and $offset say where
// it died first, $timestamp when. What the death itself is about has columns of its own, beginning with "dead_".
import type { MessageView } from "../filter/message-view.ts";
import type { DecodedRecord } from "../model/record-batch-decoder.ts";
import type { DeadFacts } from "./dead-letter-facts.ts";

export interface FoundLetter {
  readonly record: DecodedRecord;
  readonly facts: DeadFacts;
  /** When it came into the dead letter topic, ms since 1970. */
  readonly diedMs: number;
}

/** Columns of a filter over dead letters, besides the message's own headers. */
export const DEAD_COLUMNS = [
  "dead_reason",
  "dead_error",
  "dead_attempts",
  "dead_redriven",
  "dead_age_ms",
] as const;

/** @param nowMs wall clock, for `dead_age_ms` */
export function viewOf({ diedMs, facts, record }: FoundLetter, nowMs: number): MessageView {
  const columns: Readonly<Record<(typeof DEAD_COLUMNS)[number], string>> = {
    dead_reason: facts.reason,
    dead_error: facts.error,
    dead_attempts: `${facts.failed}`,
    dead_redriven: `${facts.redriven}`,
    dead_age_ms: `${Math.max(0, nowMs - diedMs)}`,
  };
  const known = new Map<string, string>(Object.entries(columns));
  const { origin } = facts;
  return {
    topic: origin.topic,
    partition: origin.partition,
    offset: origin.offset,
    timestampMs: diedMs,
    size: record.value?.length ?? 0,
    key: record.key?.toString("utf8"),
    header: (name) => {
      const column = known.get(name);
      if (column !== undefined) return column;
      const found = record.headers.find((header) => header.name === name);
      return found === undefined ? undefined : Buffer.from(found.value).toString("utf8");
    },
  };
}
