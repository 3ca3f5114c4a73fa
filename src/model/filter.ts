// What a subscription's filter may be, as data: it stands in definitions as JSON. The filter room checks and compiles it.

/** Conditions of a `headers` exchange: the header's text, or null when it only has to be there. */
export type HeaderConditions = Readonly<Record<string, string | null>>;

export type Filter =
  | { readonly kind: "all" }
  /** Any of these tags. */
  | { readonly kind: "tags"; readonly tags: readonly string[] }
  | { readonly kind: "sql"; readonly expression: string }
  | { readonly kind: "fanout" }
  /** The routing key is one of these. */
  | { readonly kind: "direct"; readonly keys: readonly string[] }
  /** The routing key matches one of these patterns of words. */
  | { readonly kind: "topic"; readonly patterns: readonly string[] }
  | { readonly kind: "headers"; readonly match: "all" | "any"; readonly headers: HeaderConditions };
