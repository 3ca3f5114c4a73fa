// What refusals mean for the batches of a lane, and the errors that their callers get. Used by producer-lane.ts only.
import { type BrokerError, ERROR_TABLE, type Outcome } from "../model/errors.ts";
import { FlotillaError } from "./flotilla-error.ts";
import type { TopicRoute } from "./topic-route.ts";

/** Whether what was sent may be stored after this refusal. */
export function leavesUnknown({ reason }: BrokerError): boolean {
  // These two say that the batches behind were discarded; what became of earlier attempts is marked already.
  if (reason === "UNKNOWN_PRODUCER" || reason === "DUPLICATE_OUT_OF_WINDOW") return false;
  return ERROR_TABLE[reason].outcome === "unknown";
}

export function fenced({ reason, message, fields }: BrokerError): FlotillaError {
  return new FlotillaError(reason, message, fields);
}

export function goneError({ name: topic }: TopicRoute): FlotillaError {
  const text = `topic "${topic}" was deleted`;
  return new FlotillaError("UNKNOWN_TOPIC_OR_PARTITION", text, { topic }, "not-applied");
}

export function deadlineError(
  where: string,
  last: BrokerError | undefined,
  outcome: Outcome,
): FlotillaError {
  const why = last === undefined ? "no answer yet" : `last: ${last.reason}: ${last.message}`;
  const text = `${where} did not acknowledge in time (${why})`;
  const fields = last === undefined ? {} : { lastReason: last.reason };
  return new FlotillaError("DEADLINE", text, fields, outcome, { cause: last });
}
