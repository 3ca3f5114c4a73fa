// A client that knows nothing but the protocol's unary calls, as one in another language would: plain messages with ids,
// retried with the same id until they are acknowledged or a deadline passes. Used by the workload and by the final reads.
import { type Clock, sleep } from "../../src/base/clock.ts";
import type { Random } from "../../src/base/random.ts";
import type { Acks, Flush } from "../../src/model/durability.ts";
import { BrokerError, isBrokerError } from "../../src/model/errors.ts";
import {
  FetchMessagesRequest,
  type FetchMessagesResponse,
  type Header,
  PublishMessage,
  PublishRequest,
  QueryOutcomeRequest,
  type Receipt,
} from "../../src/rpc/generated/flotilla-v1.ts";
import { adminService, fetchService, produceService } from "../../src/rpc/methods.ts";
import type { CallOptions, Connection, Connector, Method } from "../../src/rpc/ports.ts";
import { replicasOf, settingsOf, type TopicPlan } from "./plan/seed-plan.ts";

export interface PublishClientOptions {
  readonly connector: Connector;
  readonly bootstrap: readonly string[];
  readonly clock: Clock;
  readonly random: Random;
}

export interface PlainSend {
  readonly topic: string;
  readonly key: string;
  readonly value: string;
  readonly headers?: readonly Header[];
  readonly partition?: number | undefined;
  readonly acks?: Acks | undefined;
  readonly flush?: Flush | undefined;
  readonly deadlineMs: number;
}

interface Placed {
  readonly partition: number;
  readonly offset: number;
  readonly leaderEpoch: number;
}

/** How a send ended. */
export type SendOutcome =
  | { readonly receipt: Receipt }
  | { readonly outcome: "not-applied" | "unknown"; readonly reason: string };

const ATTEMPT_TIMEOUT_MS = 1500;
const MESSAGE_ID_CHARACTERS = 60;

export class PublishClient {
  readonly #options: PublishClientOptions;
  readonly #connections = new Map<string, Connection>();
  /** Where a key of a topic was accepted last, or is said to be. */
  readonly #routes = new Map<string, string>();

  constructor(options: PublishClientOptions) {
    this.#options = options;
  }

  async send(message: PlainSend): Promise<SendOutcome> {
    const request = PublishRequest.create({
      topic: message.topic,
      partition: message.partition,
      acks: message.acks,
      flush: message.flush,
      messages: [
        PublishMessage.create({
          key: Buffer.from(message.key),
          value: Buffer.from(message.value),
          ...(message.headers !== undefined && { headers: message.headers }),
          // Values begin with what makes them unique.
          messageId: message.value.slice(0, MESSAGE_ID_CHARACTERS),
        }),
      ],
    });
    let isUnknown = false;
    try {
      const route = `${message.topic}/${message.partition ?? message.key}`;
      const answer = await this.call(route, produceService.publish, request, {
        deadlineMs: message.deadlineMs,
        onFailure: (error) => {
          isUnknown ||= error.outcome === "unknown";
        },
      });
      const receipt = answer.receipts[0];
      if (receipt === undefined) throw new Error("a publish was answered without receipt");
      return { receipt };
    } catch (error) {
      if (!isBrokerError(error)) throw error;
      return { outcome: isUnknown ? "unknown" : "not-applied", reason: error.reason };
    }
  }

  /** Everything from `offset` on that is committed, a page at a time. */
  async fetch(
    topic: string,
    partition: number,
    offset: number,
    deadlineMs: number,
  ): Promise<FetchMessagesResponse> {
    const request = FetchMessagesRequest.create({ topic, partition, offset, messagesMax: 1000 });
    return this.call(`${topic}/${partition}`, fetchService.fetchMessages, request, {
      deadlineMs,
    });
  }

  /** What became of a record that was acknowledged at a place; undefined while nobody knows. */
  async outcomeOf(
    topicId: string,
    { leaderEpoch, offset, partition }: Placed,
    deadlineMs: number,
  ): Promise<"committed" | "lost" | undefined> {
    const request = QueryOutcomeRequest.create({ topicId, partition, offset, leaderEpoch });
    const route = `${topicId}/${partition}`;
    const answer = await this.call(route, produceService.queryOutcome, request, { deadlineMs });
    return answer.outcome === "unknown" ? undefined : answer.outcome;
  }

  async deleteTopic(name: string, deadlineMs: number): Promise<void> {
    try {
      await this.call("admin", adminService.deleteTopic, { name }, { deadlineMs });
    } catch (error) {
      // An attempt before this one may have done it.
      if (!isBrokerError(error, "UNKNOWN_TOPIC_OR_PARTITION")) throw error;
    }
  }

  async createTopic(topic: TopicPlan, deadlineMs: number): Promise<void> {
    const { name, partitions } = topic;
    const settings = settingsOf(topic);
    const replicationFactor = replicasOf(topic);
    const request = { name, partitions, settings, replicationFactor, validateOnly: false };
    try {
      await this.call("admin", adminService.createTopic, request, { deadlineMs });
    } catch (error) {
      if (!isBrokerError(error, "TOPIC_EXISTS")) throw error;
    }
  }

  /** Tries brokers until one answers. @throws BrokerError the last refusal */
  async call<Request, Response>(
    route: string,
    method: Method<Request, Response, "unary">,
    request: Request,
    { deadlineMs, onFailure }: CallLimits,
  ): Promise<Response> {
    const { clock, random } = this.#options;
    const endMs = clock.monotonicMs() + deadlineMs;
    for (;;) {
      const endpoint = this.#routes.get(route) ?? this.#anyEndpoint();
      const leftMs = endMs - clock.monotonicMs();
      const options: CallOptions = { timeoutMs: Math.min(leftMs, ATTEMPT_TIMEOUT_MS) };
      try {
        const answer = await this.#connection(endpoint).unary(method, request, options);
        this.#routes.set(route, endpoint);
        return answer;
      } catch (error) {
        if (!isBrokerError(error)) throw error;
        onFailure?.(error);
        this.#routes.delete(route);
        const hint = error.fields["leaderEndpoint"];
        if (typeof hint === "string") this.#routes.set(route, hint);
        if (!error.retryable || clock.monotonicMs() + 100 >= endMs) throw error;
        await sleep(clock, 10 + random.next() * 80);
      }
    }
  }

  #anyEndpoint(): string {
    const { bootstrap, random } = this.#options;
    const endpoint = bootstrap[random.integer(0, bootstrap.length)];
    if (endpoint === undefined) throw new BrokerError("INVALID_REQUEST", "no bootstrap endpoint");
    return endpoint;
  }

  #connection(endpoint: string): Connection {
    let connection = this.#connections.get(endpoint);
    if (connection === undefined) {
      connection = this.#options.connector.connect(endpoint, "control");
      this.#connections.set(endpoint, connection);
    }
    return connection;
  }
}

interface CallLimits {
  readonly deadlineMs: number;
  readonly onFailure?: (error: BrokerError) => void;
}
