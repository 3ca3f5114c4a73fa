// How an error travels inside a stream's answer: the reason by name and its fields as texts, as ErrorInfo has them.
import { BrokerError, isBrokerError } from "../model/errors.ts";
import { PROTOCOL_VERSION_MAX, PROTOCOL_VERSION_MIN } from "../model/limits.ts";

export interface Refusal {
  readonly reason: string;
  readonly message: string;
  readonly metadata: Readonly<Record<string, string>>;
}

export function refusalOf(error: BrokerError): Refusal {
  const metadata: Record<string, string> = {};
  for (const [name, value] of Object.entries(error.fields)) metadata[name] = String(value);
  return { reason: error.reason, message: error.message, metadata };
}

/** Expected failures stay as they are; anything else is a defect, whose outcome nobody knows. */
export function asBrokerError(error: unknown): BrokerError {
  if (isBrokerError(error)) return error;
  return new BrokerError("INTERNAL", "unexpected failure", {}, { cause: error });
}

/** @throws BrokerError UNSUPPORTED_VERSION */
export function checkProtocolVersion(version: number): void {
  if (version >= PROTOCOL_VERSION_MIN && version <= PROTOCOL_VERSION_MAX) return;
  throw new BrokerError("UNSUPPORTED_VERSION", `protocol version ${version} is not spoken here`, {
    versionMin: PROTOCOL_VERSION_MIN,
    versionMax: PROTOCOL_VERSION_MAX,
  });
}

export function unknownPartition(topicId: string, partition: number): BrokerError {
  return new BrokerError(
    "UNKNOWN_TOPIC_OR_PARTITION",
    `this broker holds no partition ${partition} of topic ${topicId.slice(0, 80)}`,
  );
}
