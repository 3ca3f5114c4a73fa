// Which brokers serve a consumer, and when it cannot go on: none can be reached for too long, the subscription is unknown
// to every broker, what arrives is damaged again and again, or a broker says so. Decides only; told of answers and ends by
// consumer-streams.ts.
import type { Cancel } from "../base/clock.ts";
import type { BrokerError, ErrorReason } from "../model/errors.ts";
import type { ConsumerStream } from "./consumer-stream.ts";
import { asFlotillaError, FlotillaError } from "./flotilla-error.ts";

export interface BrokerLink {
  readonly endpoint: string;
  stream: ConsumerStream | undefined;
  /** Failures since it last answered. */
  attempt: number;
  cancelOpen: Cancel | undefined;
  /** Since when it does not know the subscription. */
  unknownSinceMs: number | undefined;
  /** Batches in a row that arrived damaged. */
  damaged: number;
}

/** A subscription that was just created is known everywhere after this. */
const UNKNOWN_MS = 5000;
/** A stream that was not refused for so long is open, although the broker had nothing to say. */
const OPEN_MS = 2500;
const DAMAGED_MAX = 3;
/** These end the consumer. */
const FINAL: ReadonlySet<ErrorReason> = new Set([
  "FILTER_MISMATCH",
  "CONSUMER_REPLACED",
  "INVALID_REQUEST",
  "UNSUPPORTED_VERSION",
  "CLUSTER_MISMATCH",
]);

export function newLink(endpoint: string): BrokerLink {
  const nothing = { stream: undefined, cancelOpen: undefined, unknownSinceMs: undefined };
  return { endpoint, ...nothing, attempt: 0, damaged: 0 };
}

export class ConsumerReach {
  readonly #links: ReadonlyMap<string, BrokerLink>;
  readonly #unavailableTimeoutMs: number;
  /** When some broker was last known to serve. */
  #servedMs = 0;

  /** @param links those that there are, kept by the caller */
  constructor(links: ReadonlyMap<string, BrokerLink>, unavailableTimeoutMs: number) {
    this.#links = links;
    this.#unavailableTimeoutMs = unavailableTimeoutMs;
  }

  begins(nowMs: number): void {
    this.#servedMs = nowMs;
  }

  answered(stream: ConsumerStream, nowMs: number): void {
    this.#servedMs = nowMs;
    const link = this.#links.get(stream.endpoint);
    if (link?.stream !== stream) return;
    if (link.damaged === 0) link.attempt = 0;
    link.unknownSinceMs = undefined;
  }

  /** A delivery arrived sound. */
  accepted(stream: ConsumerStream): void {
    const link = this.#links.get(stream.endpoint);
    if (link?.stream === stream) link.damaged = 0;
  }

  /** The stream of a link ended; the link has none any more. @returns why the consumer cannot go on */
  ended(
    link: BrokerLink,
    stream: ConsumerStream,
    error: BrokerError,
    nowMs: number,
  ): FlotillaError | undefined {
    this.#noteEnd(link, stream, error, nowMs);
    return this.#finalFailure(link, error, nowMs);
  }

  /** Why the consumer cannot go on, when nobody could be reached for too long. */
  unreachable(error: BrokerError, nowMs: number): FlotillaError | undefined {
    const limitMs = this.#unavailableTimeoutMs;
    if (this.#isServed(nowMs) || nowMs - this.#servedMs < limitMs) return undefined;
    const text = `no broker could be reached for ${limitMs} ms: ${error.message}`;
    return new FlotillaError(error.reason, text, error.fields, "not-applied", { cause: error });
  }

  #noteEnd(link: BrokerLink, stream: ConsumerStream, error: BrokerError, nowMs: number): void {
    const isDamage = error.reason === "CORRUPT_BATCH" || error.reason === "MALFORMED_BATCH";
    if (isDamage) link.damaged += 1;
    const wasOpen = stream.hasAnswered || nowMs - stream.openedMs >= OPEN_MS;
    if (wasOpen) {
      this.#servedMs = nowMs;
      // What arrives damaged each time is not asked for without a pause.
      if (link.damaged === 0) link.attempt = 0;
    }
    if (error.reason !== "UNKNOWN_SUBSCRIPTION") link.unknownSinceMs = undefined;
    else if (wasOpen || link.unknownSinceMs === undefined) link.unknownSinceMs = nowMs;
  }

  #finalFailure(link: BrokerLink, error: BrokerError, nowMs: number): FlotillaError | undefined {
    if (FINAL.has(error.reason)) return asFlotillaError(error, "not-applied");
    if (link.damaged >= DAMAGED_MAX) return asFlotillaError(error, "not-applied");
    if (error.reason === "UNKNOWN_SUBSCRIPTION") {
      return this.#isUnknown(nowMs) ? asFlotillaError(error, "not-applied") : undefined;
    }
    return this.unreachable(error, nowMs);
  }

  /**
   * No broker in service knows the subscription. One alone may have joined with an empty disk, or be cut off from the others,
   * and not know it for long; those that are down may be the ones that do. They leave the links when they are out of service,
   * which takes a majority that knows everything.
   */
  #isUnknown(nowMs: number): boolean {
    if (this.#isServed(nowMs)) return false;
    return [...this.#links.values()].every(
      ({ unknownSinceMs }) => unknownSinceMs !== undefined && nowMs - unknownSinceMs >= UNKNOWN_MS,
    );
  }

  /** Some broker has taken the consumer in. */
  #isServed(nowMs: number): boolean {
    return [...this.#links.values()].some(
      ({ stream }) =>
        stream !== undefined && (stream.hasAnswered || nowMs - stream.openedMs >= OPEN_MS),
    );
  }
}
