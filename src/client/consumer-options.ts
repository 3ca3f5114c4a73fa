// What a consumer is told, and the defaults.
import type { Filter } from "../model/filter.ts";
import { SUBSCRIPTION_LIMITS } from "../model/subscription.ts";
import { invalid, WAIT_MS_MAX, whole } from "./checked-number.ts";
import type { Serializer } from "./serializer.ts";

export interface ConsumerOptions<T = Buffer | undefined> {
  /** Name of the subscription. */
  readonly subscription: string;
  /** The same for all brokers, 1 to 128 characters; a later consumer of this id ends this one. Default: drawn. */
  readonly consumerId?: string | undefined;
  /** What may be received and not taken by a handler yet, all brokers together; default 2048 messages, 8 MiB. */
  readonly prefetch?: Partial<{ readonly messages: number; readonly bytes: number }> | undefined;
  /** The filter that the application relies on: another one ends the consumer with FILTER_MISMATCH. */
  readonly expectedFilter?: Filter | string | undefined;
  /** Gives messages their `data`; default: the value's bytes. */
  readonly serializer?: Serializer<T> | undefined;
  /** For loops: false leaves every message to be settled by the application. Default true. */
  readonly autoAck?: boolean | undefined;
  /** The consumer extends the lease of what it works on for so long, ms; default 3600000, 0: never. */
  readonly extendMaxMs?: number | undefined;
  /** Default true. */
  readonly verifyChecksums?: boolean | undefined;
  /** No broker reachable for so long ends the consumer with an error, ms; default 120000. */
  readonly unavailableTimeoutMs?: number | undefined;
}

export interface CheckedOptions {
  readonly prefetch: { readonly messages: number; readonly bytes: number };
  readonly expectedFilter: string;
  readonly isAutoAck: boolean;
  readonly extendMaxMs: number;
  readonly isVerified: boolean;
  readonly unavailableTimeoutMs: number;
}

/** @throws FlotillaError INVALID_REQUEST naming the field */
export function checkedOptions<T>(options: ConsumerOptions<T>): CheckedOptions {
  const { expectedFilter = "", prefetch = {}, subscription } = options;
  if (subscription === "") throw invalid("subscription", "a name");
  const { consumerId } = options;
  const idMax = SUBSCRIPTION_LIMITS.consumerIdCharacters;
  if (consumerId !== undefined && (consumerId === "" || consumerId.length > idMax)) {
    throw invalid("consumerId", `1 to ${idMax} characters`);
  }
  const messages = whole("prefetch.messages", prefetch.messages ?? 2048, 1, 1_000_000);
  const bytes = whole("prefetch.bytes", prefetch.bytes ?? 8 * 1024 * 1024, 1, 1 << 30);
  return {
    prefetch: { messages, bytes },
    expectedFilter:
      typeof expectedFilter === "string" ? expectedFilter : JSON.stringify(expectedFilter),
    isAutoAck: options.autoAck ?? true,
    extendMaxMs: whole("extendMaxMs", options.extendMaxMs ?? 3_600_000, 0, WAIT_MS_MAX),
    isVerified: options.verifyChecksums ?? true,
    unavailableTimeoutMs: whole(
      "unavailableTimeoutMs",
      options.unavailableTimeoutMs ?? 120_000,
      0,
      WAIT_MS_MAX,
    ),
  };
}
