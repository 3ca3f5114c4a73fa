// Topics that a producer was asked to send to and whose metadata is not known yet: asks until it is, or until it is clear
// that there is no such topic; keeps their messages meanwhile.
import { isBrokerError } from "../model/errors.ts";
import { checkTopicName } from "../model/topic-name.ts";
import { backoffMs, ROUTING_PAUSE_MS_MAX } from "./backoff.ts";
import type { ClientDeps } from "./client-deps.ts";
import { asFlotillaError, FlotillaError } from "./flotilla-error.ts";
import type { OutgoingMessage, SendClass } from "./producer-topic.ts";
import type { SendCallback } from "./send-batch.ts";
import type { TopicRoute } from "./topic-route.ts";
import { type WaitingMessage, WaitingTopic } from "./waiting-topic.ts";

export interface LoaderHost {
  /** Bytes of waiting messages are free. */
  onFreed(bytes: number): void;
  /** A topic is known; its messages in their order. */
  onLoaded(route: TopicRoute, messages: readonly WaitingMessage[]): void;
}

export interface LoaderOptions {
  readonly deliveryTimeoutMs: number;
  /** A topic that no broker knows fails its messages after this time. */
  readonly unknownTopicTimeoutMs: number;
}

export class TopicLoader {
  readonly #deps: ClientDeps;
  readonly #options: LoaderOptions;
  readonly #host: LoaderHost;
  readonly #waiting = new Map<string, WaitingTopic>();
  #lastError: unknown;

  constructor(deps: ClientDeps, options: LoaderOptions, host: LoaderHost) {
    this.#deps = deps;
    this.#options = options;
    this.#host = host;
  }

  get isEmpty(): boolean {
    return this.#waiting.size === 0;
  }

  /**
   * Keeps a message until its topic is known. @returns bytes to charge to the buffer
   * @throws BrokerError INVALID_REQUEST for a name that no topic can have
   */
  add(message: OutgoingMessage, send: SendClass, atMs: number, done: SendCallback): number {
    const nowMs = this.#deps.clock.monotonicMs();
    const times = { atMs, deadlineMs: nowMs + this.#options.deliveryTimeoutMs };
    const known = this.#waiting.get(message.topic);
    if (known !== undefined) return known.add(message, send, times, done);
    checkTopicName(message.topic, "topic");
    const waiting = new WaitingTopic(message.topic, nowMs);
    this.#waiting.set(message.topic, waiting);
    const bytes = waiting.add(message, send, times, done);
    this.#load(waiting);
    return bytes;
  }

  /** One promise per waiting topic: nothing waits for it any more. */
  emptied(): Promise<void>[] {
    return [...this.#waiting.values()].map(
      (waiting) =>
        new Promise<void>((resolve) => {
          waiting.onEmpty.push(resolve);
        }),
    );
  }

  expire(nowMs: number): void {
    for (const waiting of this.#waiting.values()) {
      this.#host.onFreed(waiting.expire(nowMs, () => this.#tooLate(waiting.name)));
      if (waiting.isEmpty) this.#waiting.delete(waiting.name);
    }
  }

  failAll(error: FlotillaError): void {
    for (const waiting of [...this.#waiting.values()]) this.#fail(waiting, error);
  }

  #load(waiting: WaitingTopic): void {
    this.#deps.metadata.refresh(waiting.name).then(
      (route) => {
        if (route === undefined) this.#again(waiting, undefined);
        else this.#loaded(waiting, route);
      },
      (error: unknown) => this.#again(waiting, error),
    );
  }

  #loaded(waiting: WaitingTopic, route: TopicRoute): void {
    if (this.#waiting.get(waiting.name) !== waiting) return;
    this.#waiting.delete(waiting.name);
    this.#host.onFreed(waiting.bytes);
    this.#host.onLoaded(route, waiting.take());
    waiting.tellEmpty();
  }

  /** @param error undefined: the cluster answered, but does not know the topic */
  #again(waiting: WaitingTopic, error: unknown): void {
    if (this.#waiting.get(waiting.name) !== waiting) return;
    const { clock, random } = this.#deps;
    const waitedMs = clock.monotonicMs() - waiting.sinceMs;
    const isUnknown = error === undefined && waitedMs >= this.#options.unknownTopicTimeoutMs;
    const isFinal = error !== undefined && !(isBrokerError(error) && error.retryable);
    if (isUnknown || isFinal) {
      this.#fail(waiting, error ?? unknownTopic(waiting.name));
      return;
    }
    this.#lastError = error;
    waiting.attempts += 1;
    const pauseMs = backoffMs(random, waiting.attempts, ROUTING_PAUSE_MS_MAX);
    clock.schedule(pauseMs, () => {
      if (this.#waiting.get(waiting.name) === waiting) this.#load(waiting);
    });
  }

  #fail(waiting: WaitingTopic, error: unknown): void {
    this.#waiting.delete(waiting.name);
    const failure = asFlotillaError(error, "not-applied");
    this.#host.onFreed(waiting.expire(Number.POSITIVE_INFINITY, () => failure));
  }

  #tooLate(topic: string): FlotillaError {
    const cause = this.#lastError;
    const why = cause instanceof Error ? `: ${cause.message}` : "";
    const text = `no metadata of topic "${topic}" in time${why}`;
    return new FlotillaError("DEADLINE", text, { topic }, "not-applied", { cause });
  }
}

function unknownTopic(topic: string): FlotillaError {
  const text = `no topic is called "${topic}"`;
  return new FlotillaError("UNKNOWN_TOPIC_OR_PARTITION", text, { topic });
}
