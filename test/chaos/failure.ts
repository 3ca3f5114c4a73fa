// What a client's error says, for the ledger and for the test of refusals.

/** Outcome as the error states it; "unknown" when it states nothing, which promises least. */
export function outcomeOf(error: unknown): "not-applied" | "unknown" {
  return field(error, "outcome") === "not-applied" ? "not-applied" : "unknown";
}

/** The typed reason with what was behind it, "DEADLINE (NOT_LEADER)"; "untyped: …" for an error that has none. */
export function reasonOf(error: unknown): string {
  const reason = field(error, "reason");
  const last = field(field(error, "fields"), "lastReason");
  if (typeof reason === "string" && reason !== "") {
    return typeof last === "string" ? `${reason} (${last})` : reason;
  }
  return `untyped: ${error instanceof Error ? `${error.name}: ${error.message}` : String(error)}`;
}

/** A reason that only reasonOf() makes up. */
export function isUntyped(reason: string): boolean {
  return reason.startsWith("untyped:");
}

function field(error: unknown, name: string): unknown {
  if (typeof error !== "object" || error === null) return undefined;
  return (error as Readonly<Record<string, unknown>>)[name];
}
