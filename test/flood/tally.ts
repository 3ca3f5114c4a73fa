// What an attack did and what it got, as plain numbers that travel between processes and add up.
import { isBrokerError } from "../../src/model/errors.ts";

export interface Tally {
  /** Connections that stood. */
  connected: number;
  /** Calls, streams, messages or frames that were sent, whatever the attack counts. */
  sent: number;
  /** Served as if nothing were wrong. */
  answered: number;
  /** Connections and streams that the broker ended. */
  cut: number;
  /** Typed refusals: the reason, with the limit where there is one. */
  refused: Record<string, number>;
  /** What failed in any other way. */
  failed: Record<string, number>;
}

export function newTally(): Tally {
  return { connected: 0, sent: 0, answered: 0, cut: 0, refused: {}, failed: {} };
}

export function addTally(into: Tally, from: Tally): void {
  into.connected += from.connected;
  into.sent += from.sent;
  into.answered += from.answered;
  into.cut += from.cut;
  for (const [name, count] of Object.entries(from.refused)) bump(into.refused, name, count);
  for (const [name, count] of Object.entries(from.failed)) bump(into.failed, name, count);
}

export function bump(counts: Record<string, number>, name: string, by = 1): void {
  counts[name] = (counts[name] ?? 0) + by;
}

export function sumOf(counts: Readonly<Record<string, number>>): number {
  return Object.values(counts).reduce((total, count) => total + count, 0);
}

/** Counts how a call or stream ended badly. */
export function countError(tally: Tally, error: unknown): void {
  if (!isBrokerError(error)) {
    bump(tally.failed, error instanceof Error ? error.message.slice(0, 60) : "unknown");
    return;
  }
  // Our own doing: the attack ended, or begins anew.
  if (error.reason === "CANCELLED" && / here$/.test(error.message)) return;
  countReason(tally, error.reason, error.fields["limit"]);
}

export function countReason(tally: Tally, reason: string, limit: unknown): void {
  const name = typeof limit === "string" ? `${reason} ${limit}` : reason;
  if (reason === "UNREACHABLE" || reason === "CANCELLED") tally.cut += 1;
  else if (reason === "DEADLINE" || reason === "INTERNAL") bump(tally.failed, name);
  else bump(tally.refused, name);
}
