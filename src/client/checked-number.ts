// Numbers that applications give, and how they are refused. Called wherever options are taken.
import { BrokerError } from "../model/errors.ts";
import { asFlotillaError } from "./flotilla-error.ts";

/** The longest time that an application may wait for: some 24 days, ms. */
export const WAIT_MS_MAX = 2 ** 31 - 1;

/** @throws FlotillaError INVALID_REQUEST naming the field; both limits are allowed */
export function whole(field: string, value: number, min: number, max: number): number {
  if (Number.isInteger(value) && value >= min && value <= max) return value;
  throw invalid(field, `a whole number from ${min} to ${max}`);
}

export function invalid(field: string, limit: string): Error {
  return asFlotillaError(
    new BrokerError("INVALID_REQUEST", `${field} must be ${limit}`, { field, limit }),
  );
}
