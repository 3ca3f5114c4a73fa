// The SDK's copy of the cluster: brokers, controller and the topics in use. Asks any broker that answers, one question at
// a time, not more often than every few milliseconds. Producers, readers and admin calls find their way through it.
import { type Cancel, type Clock, sleep } from "../base/clock.ts";
import { deferred } from "../base/deferred.ts";
import type { Random } from "../base/random.ts";
import { BrokerError, isBrokerError } from "../model/errors.ts";
import { PAGE_SIZE_MAX, PROTOCOL_VERSION_MAX } from "../model/limits.ts";
import type { GetMetadataResponse } from "../rpc/generated/flotilla-v1.ts";
import { metadataService } from "../rpc/methods.ts";
import type { ConnectionPool } from "./connection-pool.ts";
import { TopicRoute } from "./topic-route.ts";

/** Two questions are at least so far apart. */
const INTERVAL_MS_MIN = 20;
/** One broker is given so long to answer. */
const ANSWER_TIMEOUT_MS = 2000;
/** After this the next one is asked as well: a broker that was cut off must not add its time to that of the election. */
const PATIENCE_MS = 300;
/** Topics remembered. Beyond: the oldest one that nobody goes by is forgotten. */
const TOPICS_MAX = 10_000;

export interface MetadataOptions {
  readonly bootstrap: readonly string[];
  readonly connections: ConnectionPool;
  readonly clock: Clock;
  readonly random: Random;
  /** Default: 10,000. */
  readonly topicsMax?: number | undefined;
}

export class MetadataCache {
  readonly #options: MetadataOptions;
  /** By name; undefined while nothing is known. */
  readonly #topics = new Map<string, TopicRoute | undefined>();
  #endpoints = new Map<number, string>();
  #fenced: ReadonlySet<number> = new Set();
  #clusterId = "";
  /** Of the newest answer. */
  #metadataIndex = 0;
  #controllerId = 0;
  #controllerHint: string | undefined;
  #turn: number;
  /** Topics that somebody waits for at the moment, and how many do. */
  readonly #sought = new Map<string, number>();
  /** Endpoints that do not answer, or not usefully, at the moment; the latest found so is the last. */
  readonly #suspects = new Set<string>();
  #running: Promise<void> | undefined;
  /** Topics asked for that the running question does not contain. */
  #next: Promise<void> | undefined;
  #lastMs = Number.NEGATIVE_INFINITY;
  readonly #abort = new AbortController();

  constructor(options: MetadataOptions) {
    this.#options = options;
    this.#turn = options.random.integer(0, Math.max(1, options.bootstrap.length));
  }

  get clusterId(): string {
    return this.#clusterId;
  }

  /** Where changes go; undefined when unknown. */
  get controllerEndpoint(): string | undefined {
    return this.#controllerHint ?? this.#endpoints.get(this.#controllerId);
  }

  /** Brokers that may lead something: those in service, as the newest answer says. */
  get brokersInService(): readonly string[] {
    return [...this.#endpoints].flatMap(([nodeId, endpoint]) =>
      this.#fenced.has(nodeId) ? [] : [endpoint],
    );
  }

  endpointOfNode(nodeId: number): string | undefined {
    return this.#endpoints.get(nodeId);
  }

  /** What is known of a topic now. */
  topic(name: string): TopicRoute | undefined {
    return this.#topics.get(name);
  }

  /** A broker named the controller; undefined: the one known is not it. */
  hintController(endpoint: string | undefined): void {
    this.#controllerHint = endpoint;
    if (endpoint === undefined) this.#controllerId = 0;
  }

  /** Endpoints in the order in which to ask them: known brokers and bootstrap, another one first each time. */
  candidates(): string[] {
    const all = [...new Set([...this.#endpoints.values(), ...this.#options.bootstrap])];
    const first = this.#turn % Math.max(1, all.length);
    const turned = [...all.slice(first), ...all.slice(0, first)];
    const sound = turned.filter((endpoint) => !this.#suspects.has(endpoint));
    return [...sound, ...[...this.#suspects].filter((endpoint) => all.includes(endpoint))];
  }

  /** That endpoint does not answer at the moment: it is asked last until it answers usefully again. */
  suspect(endpoint: string): void {
    this.#suspects.delete(endpoint);
    this.#suspects.add(endpoint);
  }

  /** That endpoint failed: begin with another one next time. */
  avoid(): void {
    this.#turn += 1;
  }

  /**
   * Asks the cluster for all topics in use, `name` included. Concurrent callers share one question.
   * @returns the topic, or undefined when the broker that answered does not know it
   * @throws BrokerError the failure of the broker asked last, when nobody answered
   */
  async refresh(name?: string): Promise<TopicRoute | undefined> {
    if (name === undefined) {
      await this.#ask();
      return undefined;
    }
    const isNew = !this.#topics.has(name);
    if (isNew) this.#remember(name);
    this.#sought.set(name, (this.#sought.get(name) ?? 0) + 1);
    try {
      await (isNew ? this.#askBehind() : this.#ask());
    } finally {
      const left = (this.#sought.get(name) ?? 1) - 1;
      if (left > 0) this.#sought.set(name, left);
      else this.#sought.delete(name);
    }
    return this.#topics.get(name);
  }

  /** As refresh(), unless somebody has asked within the last `ageMs`. */
  async refreshOlderThan(ageMs: number): Promise<void> {
    if (this.#options.clock.monotonicMs() - this.#lastMs >= ageMs) await this.refresh();
  }

  /** Calls under way end with CLOSED. */
  close(): void {
    this.#abort.abort(new BrokerError("CLOSED", "the client was closed"));
  }

  #remember(name: string): void {
    if (this.#topics.size >= (this.#options.topicsMax ?? TOPICS_MAX)) this.#forgetOne();
    this.#topics.set(name, undefined);
  }

  /** Whoever goes by a route would never hear of its leaders again. As many more are kept as are in use. */
  #forgetOne(): void {
    for (const [name, route] of this.#topics) {
      if (this.#sought.has(name) || (route?.holders ?? 0) > 0) continue;
      this.#topics.delete(name);
      return;
    }
  }

  /** For what the running question does not contain. */
  #askBehind(): Promise<void> {
    if (this.#running === undefined) return this.#ask();
    this.#next ??= this.#running
      .catch(() => undefined)
      .then(() => {
        this.#next = undefined;
        return this.#ask();
      });
    return this.#next;
  }

  #ask(): Promise<void> {
    this.#running ??= this.#askAll().finally(() => {
      this.#running = undefined;
      this.#lastMs = this.#options.clock.monotonicMs();
    });
    return this.#running;
  }

  async #askAll(): Promise<void> {
    const { clock } = this.#options;
    const pauseMs = this.#lastMs + INTERVAL_MS_MIN - clock.monotonicMs();
    if (pauseMs > 0) await sleep(clock, pauseMs, this.#abort.signal);
    await this.#askInTurn(this.candidates());
  }

  /** One broker after the other; while one keeps silent the next is asked as well, and the first answer counts. */
  #askInTurn(candidates: readonly string[]): Promise<void> {
    const { promise, reject, resolve } = deferred<void>();
    const { signal } = this.#abort;
    let failure: Error = new BrokerError("INVALID_REQUEST", "no bootstrap endpoint was given");
    let asked = 0;
    let waiting = 0;
    let isOver = false;
    let endPatience: Cancel | undefined;
    const end = (error?: Error): void => {
      isOver = true;
      endPatience?.();
      if (error === undefined) resolve();
      else reject(error);
    };
    const askNext = (): void => {
      endPatience?.();
      const endpoint = signal.aborted ? undefined : candidates[asked];
      if (endpoint === undefined) {
        if (waiting === 0) end(signal.aborted ? abortError(signal) : failure);
        return;
      }
      asked += 1;
      waiting += 1;
      endPatience = this.#options.clock.schedule(PATIENCE_MS, () => {
        this.suspect(endpoint);
        askNext();
      });
      this.#askOne(endpoint).then(
        (isMissing) => {
          this.#weigh(endpoint, isMissing);
          if (!isOver) end();
        },
        (error: unknown) => {
          waiting -= 1;
          if (isOver) return;
          if (!isBrokerError(error) || error.reason === "CLUSTER_MISMATCH") {
            end(error instanceof Error ? error : new Error(String(error)));
            return;
          }
          this.avoid();
          failure = error;
          askNext();
        },
      );
    };
    askNext();
    return promise;
  }

  /**
   * A broker that was cut off from the others answers, but does not learn who leads now, or what was created: others are
   * asked before it.
   */
  #weigh(endpoint: string, isMissing: boolean): void {
    if (!isMissing && !this.#isLeaderless()) {
      this.#suspects.delete(endpoint);
      return;
    }
    this.suspect(endpoint);
    this.avoid();
  }

  #isLeaderless(): boolean {
    for (const route of this.#topics.values()) if (route?.isLeaderless === true) return true;
    return false;
  }

  /** @returns whether somebody waits for a topic that it does not know */
  async #askOne(endpoint: string): Promise<boolean> {
    const names = [...this.#topics.keys()];
    // An empty list would ask for all topics; the name of nothing asks for brokers only.
    const parts = names.length === 0 ? [[""]] : chunks(names, PAGE_SIZE_MAX);
    const found = new Set<string>();
    let isCurrent = true;
    for (const topics of parts) {
      let pageToken = "";
      do {
        const answer = await this.#call(endpoint, topics, pageToken);
        isCurrent = this.#takeBrokers(answer);
        for (const info of answer.topics) {
          found.add(info.name);
          this.#takeTopic(info, isCurrent);
        }
        pageToken = answer.nextPageToken;
      } while (pageToken !== "");
    }
    // A broker that lags behind may not know a topic yet.
    if (isCurrent) this.#forget(names.filter((name) => !found.has(name)));
    return names.some((name) => this.#sought.has(name) && this.#topics.get(name) === undefined);
  }

  #forget(names: readonly string[]): void {
    for (const name of names) {
      const route = this.#topics.get(name);
      if (route === undefined) continue;
      route.isGone = true;
      this.#topics.set(name, undefined);
    }
  }

  #call(
    endpoint: string,
    topics: readonly string[],
    pageToken: string,
  ): Promise<GetMetadataResponse> {
    const connection = this.#options.connections.get(endpoint, "control");
    const request = {
      topics,
      pageSize: PAGE_SIZE_MAX,
      pageToken,
      protocolVersion: PROTOCOL_VERSION_MAX,
    };
    const { signal } = this.#abort;
    return connection.unary(metadataService.getMetadata, request, {
      timeoutMs: ANSWER_TIMEOUT_MS,
      signal,
    });
  }

  /** @returns false when the answer is older than one that was seen before */
  #takeBrokers(answer: GetMetadataResponse): boolean {
    const { clusterId } = answer;
    if (this.#clusterId !== "" && clusterId !== this.#clusterId) {
      throw new BrokerError("CLUSTER_MISMATCH", "the endpoint belongs to another cluster", {
        clusterId,
        expected: this.#clusterId,
      });
    }
    this.#clusterId = clusterId;
    if (answer.metadataIndex < this.#metadataIndex) return false;
    this.#metadataIndex = answer.metadataIndex;
    this.#endpoints = new Map(answer.brokers.map(({ nodeId, endpoint }) => [nodeId, endpoint]));
    this.#fenced = new Set(
      answer.brokers.flatMap(({ fenced, nodeId }) => (fenced ? [nodeId] : [])),
    );
    this.#controllerId = answer.controllerId;
    this.#controllerHint = undefined;
    return true;
  }

  #takeTopic(info: GetMetadataResponse["topics"][number], isCurrent: boolean): void {
    let route = this.#topics.get(info.name);
    if (route?.topicId !== info.topicId) {
      if (!isCurrent && route !== undefined) return;
      if (route !== undefined) route.isGone = true;
      route = new TopicRoute(info.name, info.topicId);
      this.#topics.set(info.name, route);
    }
    route.update(info, this.#endpoints);
    if (isCurrent) route.updateSettings(info.settings);
  }
}

function abortError({ reason }: AbortSignal): Error {
  return reason instanceof Error ? reason : new BrokerError("CLOSED", "the client was closed");
}

function chunks<T>(items: readonly T[], size: number): T[][] {
  const parts: T[][] = [];
  for (let from = 0; from < items.length; from += size) parts.push(items.slice(from, from + size));
  return parts;
}
