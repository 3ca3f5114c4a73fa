// Unary calls that find the right broker: any one, the controller, a partition's leader, or a given node. Repeats what may
// be repeated, with pauses, until the caller's deadline. Used by admin calls, producer sessions and readers.
import { sleep } from "../base/clock.ts";
import { BrokerError, isBrokerError } from "../model/errors.ts";
import type { Method } from "../rpc/ports.ts";
import { backoffMs, LOAD_PAUSE_MS_MAX, ROUTING_PAUSE_MS_MAX } from "./backoff.ts";
import type { ClientDeps } from "./client-deps.ts";
import { asFlotillaError, cancelled } from "./flotilla-error.ts";

/** Default of every unary call's deadline. */
export const CALL_TIMEOUT_MS_DEFAULT = 30_000;
/** One attempt waits at most this long, unless the call says that the broker may take longer. */
const ATTEMPT_TIMEOUT_MS = 5000;
/** Repetitions while a topic or subscription is unknown; with their pauses 0.3 s and more. */
const LAG_ATTEMPTS = 4;

export type Target =
  | { readonly kind: "any" }
  | { readonly kind: "controller" }
  | { readonly kind: "leader"; readonly topic: string; readonly partition: number }
  | { readonly kind: "node"; readonly nodeId: number };

export interface CallSettings {
  /** Until a definite answer, ms; default 30000. */
  readonly timeoutMs?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface CallWish<Request, Response> extends CallSettings {
  readonly method: Method<Request, Response, "unary">;
  readonly target: Target;
  /** Made anew for each attempt, when the target is known. */
  readonly request: () => Request;
  /** The broker may take as long as the whole deadline, e.g. to wait for leaders. */
  readonly isSlow?: boolean;
}

export class UnaryCaller {
  readonly #deps: ClientDeps;

  constructor(deps: ClientDeps) {
    this.#deps = deps;
  }

  /**
   * Calls until there is a definite answer.
   *
   * @param onUnknown told of each failed attempt that may have taken effect
   * @throws FlotillaError the refusal; DEADLINE with the last failure as its cause; CANCELLED
   */
  async call<Request, Response>(
    wish: CallWish<Request, Response>,
    onUnknown: () => void = () => undefined,
  ): Promise<Response> {
    const { clock } = this.#deps;
    const { signal } = wish;
    const isAborted = (): boolean => signal?.aborted === true;
    const deadlineMs = clock.monotonicMs() + (wish.timeoutMs ?? CALL_TIMEOUT_MS_DEFAULT);
    let isUnknown = false;
    let lags = 0;
    for (let attempt = 0; ; attempt += 1) {
      if (isAborted()) throw cancelled(signal, outcomeOf(isUnknown));
      try {
        return await this.#attempt(wish, deadlineMs - clock.monotonicMs(), attempt);
      } catch (error) {
        if (!isBrokerError(error)) throw error;
        if (mayHaveApplied(error)) {
          isUnknown = true;
          onUnknown();
        }
        if (isAborted()) throw cancelled(signal, outcomeOf(isUnknown));
        if (!isWorthRepeating(error, wish.target, lags))
          throw asFlotillaError(error, unknownOr(error, isUnknown));
        if (isUnknownName(error)) lags += 1;
        this.#learn(wish.target, error);
        const pauseMs = this.#pauseMs(error, attempt);
        if (clock.monotonicMs() + pauseMs >= deadlineMs) {
          throw this.#deadline(error, isUnknown, wish.method.path);
        }
        await this.#pause(pauseMs, signal, isUnknown);
      }
    }
  }

  async #attempt<Request, Response>(
    wish: CallWish<Request, Response>,
    remainingMs: number,
    attempt: number,
  ): Promise<Response> {
    const { connections } = this.#deps;
    const endpoint = await this.#find(wish.target, attempt);
    const timeoutMs =
      wish.isSlow === true ? remainingMs : Math.min(remainingMs, ATTEMPT_TIMEOUT_MS);
    if (timeoutMs <= 0) throw new BrokerError("LEADER_UNKNOWN", "no time left for the call");
    const options = wish.signal === undefined ? { timeoutMs } : { timeoutMs, signal: wish.signal };
    try {
      return await connections.get(endpoint, "control").unary(wish.method, wish.request(), options);
    } catch (error) {
      if (isBrokerError(error) && isBroken(error)) this.#leave(wish.target, endpoint);
      throw error;
    }
  }

  async #find(target: Target, attempt: number): Promise<string> {
    const { metadata } = this.#deps;
    switch (target.kind) {
      case "any": {
        const [first] = metadata.candidates();
        if (first === undefined) throw new BrokerError("INVALID_REQUEST", "no bootstrap endpoint");
        return first;
      }
      case "controller": {
        if (metadata.controllerEndpoint === undefined) await metadata.refresh();
        return required(metadata.controllerEndpoint, "no controller is known right now");
      }
      case "leader": {
        let route = metadata.topic(target.topic);
        if (route?.leaderOf(target.partition) === undefined || attempt > 2) {
          route = await metadata.refresh(target.topic);
        }
        if (route === undefined) {
          throw new BrokerError("UNKNOWN_TOPIC_OR_PARTITION", `no topic "${target.topic}"`);
        }
        if (target.partition < 0 || target.partition >= route.partitionCount) {
          throw new BrokerError("INVALID_REQUEST", "no such partition", {
            field: "partition",
            limit: route.partitionCount - 1,
          });
        }
        return required(route.leaderOf(target.partition)?.endpoint, "no leader is known right now");
      }
      case "node": {
        if (metadata.endpointOfNode(target.nodeId) === undefined) await metadata.refresh();
        const endpoint = metadata.endpointOfNode(target.nodeId);
        if (endpoint !== undefined) return endpoint;
        throw new BrokerError("INVALID_REQUEST", `no node ${target.nodeId}`, { field: "nodeId" });
      }
    }
  }

  /** Takes the hints of a refusal. */
  #learn(target: Target, error: BrokerError): void {
    const { metadata } = this.#deps;
    // It may be behind: another one is asked next.
    if (target.kind === "any" && isUnknownName(error)) metadata.avoid();
    if (error.reason !== "NOT_LEADER" && error.reason !== "LEADER_UNKNOWN") return;
    const { leaderEndpoint, leaderEpoch } = error.fields;
    const endpoint = typeof leaderEndpoint === "string" ? leaderEndpoint : undefined;
    const epoch = typeof leaderEpoch === "number" ? leaderEpoch : 0;
    if (target.kind === "controller") metadata.hintController(endpoint);
    if (target.kind !== "leader") return;
    const route = metadata.topic(target.topic);
    const known = route?.leaderOf(target.partition)?.endpoint;
    if (known !== undefined) route?.disown(target.partition, known);
    if (endpoint !== undefined) route?.hint(target.partition, endpoint, epoch);
  }

  /** That broker does not answer. */
  #leave(target: Target, endpoint: string): void {
    const { metadata } = this.#deps;
    // Last for now: turning alone would come back to it when all others are suspects.
    if (target.kind === "any") metadata.suspect(endpoint);
    if (target.kind === "controller") metadata.hintController(undefined);
    if (target.kind === "leader") metadata.topic(target.topic)?.disown(target.partition, endpoint);
  }

  #pauseMs(error: BrokerError, attempt: number): number {
    const { random } = this.#deps;
    const { retryAfterMs } = error.fields;
    if (typeof retryAfterMs === "number") return retryAfterMs;
    // A hint is followed at once, but two brokers that name each other are not asked for ever.
    if (error.reason === "NOT_LEADER" && attempt < 3) return 0;
    const isRouting = error.retry === "reroute" || error.reason === "LEADER_UNKNOWN";
    return backoffMs(random, attempt, isRouting ? ROUTING_PAUSE_MS_MAX : LOAD_PAUSE_MS_MAX);
  }

  async #pause(ms: number, signal: AbortSignal | undefined, isUnknown: boolean): Promise<void> {
    if (ms <= 0) return;
    try {
      await sleep(this.#deps.clock, ms, signal);
    } catch {
      throw cancelled(signal, outcomeOf(isUnknown));
    }
  }

  #deadline(error: BrokerError, isUnknown: boolean, path: string): Error {
    const text = `${path} was not answered in time; last: ${error.reason}: ${error.message}`;
    const deadline = new BrokerError(
      "DEADLINE",
      text,
      { lastReason: error.reason },
      { cause: error },
    );
    return asFlotillaError(deadline, outcomeOf(isUnknown));
  }
}

function required(endpoint: string | undefined, message: string): string {
  if (endpoint === undefined) throw new BrokerError("LEADER_UNKNOWN", message);
  return endpoint;
}

function outcomeOf(isUnknown: boolean): "unknown" | "not-applied" {
  return isUnknown ? "unknown" : "not-applied";
}

function unknownOr(error: BrokerError, isUnknown: boolean): "unknown" | "not-applied" {
  return isUnknown ? "unknown" : error.outcome;
}

/** A refused connection carried nothing. */
export function mayHaveApplied(error: BrokerError): boolean {
  return error.outcome === "unknown" && error.fields["refused"] !== true;
}

function isBroken(error: BrokerError): boolean {
  return error.reason === "UNREACHABLE" || error.reason === "DEADLINE";
}

function isUnknownName({ reason }: BrokerError): boolean {
  return reason === "UNKNOWN_TOPIC_OR_PARTITION" || reason === "UNKNOWN_SUBSCRIPTION";
}

/** What was just created may not be known yet on every broker; a version that is over does not come back. */
function isWorthRepeating(error: BrokerError, target: Target, lags: number): boolean {
  if (isUnknownName(error)) return target.kind !== "controller" && lags < LAG_ATTEMPTS;
  return error.reason !== "VERSION_CONFLICT" && error.retryable;
}
