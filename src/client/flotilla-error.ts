// The error of every SDK call: a BrokerError whose outcome is known better than its reason alone tells, because the SDK
// remembers what it sent. Made wherever a call of the public interface fails.
import {
  BrokerError,
  ERROR_TABLE,
  type ErrorFields,
  type ErrorReason,
  isBrokerError,
  type Outcome,
} from "../model/errors.ts";

export class FlotillaError extends BrokerError {
  readonly #outcome: Outcome;

  constructor(
    reason: ErrorReason,
    message: string,
    fields: ErrorFields = {},
    outcome: Outcome = ERROR_TABLE[reason].outcome,
    options?: ErrorOptions,
  ) {
    super(reason, message, fields, options);
    this.#outcome = outcome;
  }

  /**
   * "unknown": the request may have taken effect (it was sent at least once and no answer excludes it).
   * "not-applied": it certainly has not, and never will.
   */
  override get outcome(): Outcome {
    return this.#outcome;
  }
}

/** The same failure as a FlotillaError. @param outcome when the caller knows better than the reason */
export function asFlotillaError(error: unknown, outcome?: Outcome): FlotillaError {
  if (error instanceof FlotillaError && (outcome === undefined || outcome === error.outcome)) {
    return error;
  }
  if (isBrokerError(error)) {
    const { reason, message, fields } = error;
    return new FlotillaError(reason, message, fields, outcome ?? error.outcome, { cause: error });
  }
  const text = error instanceof Error ? error.message : String(error);
  return new FlotillaError("INTERNAL", text, {}, outcome ?? "unknown", { cause: error });
}

/** What a call throws whose signal was aborted. */
export function cancelled(signal: AbortSignal | undefined, outcome: Outcome): FlotillaError {
  const cause: unknown = signal?.reason;
  return new FlotillaError("CANCELLED", "the caller gave up", {}, outcome, { cause });
}
