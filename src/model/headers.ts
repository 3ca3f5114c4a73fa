// Header names with a meaning to the product. Names that begin with the prefix are reserved: producers may set those
// listed here, any other is refused, so that a later version can give it a meaning.

export const RESERVED_HEADER_PREFIX = "flotilla-";

export const HEADER = {
  /** Idempotency key of a plain message, 1 to 64 bytes. */
  MESSAGE_ID: "flotilla-message-id",
  /** Comma-separated tags, for subscriptions by tag. */
  TAGS: "flotilla-tags",
  /** Routing key of the exchange forms. */
  ROUTING_KEY: "flotilla-routing-key",
  /** Ties a reply to its request. */
  CORRELATION_ID: "flotilla-correlation-id",
  /** Topic where a reply is wanted. */
  REPLY_TOPIC: "flotilla-reply-topic",
  /** Time to live from the append, milliseconds in decimal. */
  TTL_MS: "flotilla-ttl-ms",
  /** Not to be delivered before, milliseconds since 1970 in decimal. */
  DUE_TIME_MS: "flotilla-due-time-ms",
} as const;

/**
 * Why a message is in a dead letter topic. Brokers set them; producers may not. A message that was redriven keeps those of
 * its origin and its history.
 */
export const DEAD_HEADER = {
  TOPIC: "flotilla-dead-topic",
  /** Decimal. */
  PARTITION: "flotilla-dead-partition",
  /** Decimal. */
  OFFSET: "flotilla-dead-offset",
  SUBSCRIPTION: "flotilla-dead-subscription",
  /** "attempts" (failed too often), "rejected" or "skipped" (by whoever released its key). */
  REASON: "flotilla-dead-reason",
  /** What the consumer said last; empty when it said nothing. */
  ERROR: "flotilla-dead-error",
  /** How often it failed, decimal. */
  ATTEMPTS: "flotilla-dead-attempts",
  /** JSON: [{"timeMs", "cause", "error"}], the newest failures, newest last. */
  HISTORY: "flotilla-dead-history",
  /** Time of the original message, ms since 1970, decimal. */
  TIMESTAMP_MS: "flotilla-dead-timestamp-ms",
  /** How often it was redriven, decimal; absent: never. */
  REDRIVEN: "flotilla-dead-redriven",
  /**
   * What did not fit and is not whole: "key", "headers", "value", with commas between; "batch": the message could not be
   * decoded, the letter of its batch's first message has the batch as it is stored. Absent: nothing.
   */
  CUT: "flotilla-dead-cut",
} as const;

const KNOWN: ReadonlySet<string> = new Set(Object.values(HEADER));

/** True for a reserved name that this version does not know. */
export function isForbiddenHeader(name: string): boolean {
  return name.startsWith(RESERVED_HEADER_PREFIX) && !KNOWN.has(name);
}
