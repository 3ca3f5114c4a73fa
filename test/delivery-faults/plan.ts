// Which messages fail, and how often: decided by the message alone, so that a message fails in the same way wherever it is
// handed out. And how keys and values are written in the history.
import { keyOf, sendNumberOf, slotOf } from "../chaos/payload.ts";

export const ATTEMPTS_MAX = 6;
/** Delays after failures, ms. */
export const DELAYS_MS: readonly number[] = [20, 50, 100];
/** One message in so many fails the first time. */
const FAILS_ONCE_EVERY = 97;
/** One message in so many always fails, and ends in the dead letters. */
const FAILS_EVERY = 1999;

export function verdictFor(value: string, attempt: number): "ack" | "nack" {
  const n = Number(value);
  if (!Number.isSafeInteger(n)) return "ack";
  if (isPoison(n)) return "nack";
  return n % FAILS_ONCE_EVERY === 1 && attempt === 1 ? "nack" : "ack";
}

export function isPoison(n: number): boolean {
  return n % FAILS_EVERY === 7;
}

/** As run-history.ts writes them down. */
export function valueTextOf(value: Uint8Array | undefined): string {
  const n = sendNumberOf(value);
  if (n !== undefined) return String(n);
  return `strange:${Buffer.from(value ?? [])
    .subarray(0, 32)
    .toString("hex")}`;
}

export function keyTextOf(key: Uint8Array | undefined): string | undefined {
  const slot = slotOf(key);
  if (slot >= 0) return keyOf(slot).toString();
  return key === undefined ? undefined : Buffer.from(key).toString();
}
