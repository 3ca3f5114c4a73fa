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

const KNOWN: ReadonlySet<string> = new Set(Object.values(HEADER));

/** True for a reserved name that this version does not know. */
export function isForbiddenHeader(name: string): boolean {
  return name.startsWith(RESERVED_HEADER_PREFIX) && !KNOWN.has(name);
}
