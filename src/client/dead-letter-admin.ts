// Dead letters: listed, looked at, and sent back to the subscription that they died in. Each partition of the dead letter topic
// is asked of its leader, a bounded part per call. docs/adr/0016 says what a redrive is.
import type { Filter } from "../model/filter.ts";
import { PAGE_SIZE_MAX } from "../model/limits.ts";
import { redriveTopicOf } from "../model/subscription.ts";
import type { DeadLetter } from "../rpc/generated/flotilla-v1.ts";
import { adminService, deadLetterService } from "../rpc/methods.ts";
import type { ClientDeps } from "./client-deps.ts";
import { DeadLetterCanary } from "./dead-letter-canary.ts";
import { DeadLetterRedrive, type RedriveCalls, type RedriveReport } from "./dead-letter-redrive.ts";
import { asFlotillaError, cancelled, FlotillaError } from "./flotilla-error.ts";
import type { SubscriptionAdmin } from "./subscription-admin.ts";
import { filterToWire } from "./subscription-definition.ts";
import type { CallSettings, UnaryCaller } from "./unary-caller.ts";

export interface DeadLetterOfPartition extends DeadLetter {
  /** Topic of the dead letters. */
  readonly topic: string;
  readonly partition: number;
}

export interface ListDeadLettersOptions extends CallSettings {
  /** Sees the message's headers and keys as always; $topic, $partition, $offset of where it died first, dead_reason, dead_age_ms … */
  readonly filter?: Filter | string | undefined;
  /** Only this partition of the dead letter topic. */
  readonly partition?: number | undefined;
  readonly fromOffset?: number | undefined;
  /** Those that were redriven or acknowledged as well; default: only what is open. */
  readonly all?: boolean | undefined;
  /** With values; default: sizes only. */
  readonly withValues?: boolean | undefined;
  /** Letters per question, 1 to 1000; default 1000. */
  readonly pageSize?: number | undefined;
}

export interface RedriveOptions extends CallSettings {
  readonly filter?: Filter | string | undefined;
  readonly partition?: number | undefined;
  /** Messages per second; default: as fast as it goes. */
  readonly ratePerSecond?: number | undefined;
  /** Only count. */
  readonly dryRun?: boolean | undefined;
  /** So many first; the rest only when the subscription has settled all of them. */
  readonly canary?: number | undefined;
  /** How long the canaries may take, ms; default a minute. */
  readonly canaryTimeoutMs?: number | undefined;
  /** Told after each call, with what was done so far. */
  readonly onProgress?: ((report: RedriveReport) => void) | undefined;
}

const CANARY_TIMEOUT_MS = 60_000;

export class DeadLetterAdmin {
  readonly #deps: ClientDeps;
  readonly #caller: UnaryCaller;
  readonly #subscriptions: SubscriptionAdmin;

  constructor(deps: ClientDeps, caller: UnaryCaller, subscriptions: SubscriptionAdmin) {
    this.#deps = deps;
    this.#caller = caller;
    this.#subscriptions = subscriptions;
  }

  /**
   * Dead letters of a subscription, partition after partition, each in the order of the deaths.
   * @throws FlotillaError UNKNOWN_SUBSCRIPTION; INVALID_REQUEST (it has no dead letters, the filter)
   */
  async *list(
    subscription: string,
    options: ListDeadLettersOptions = {},
  ): AsyncGenerator<DeadLetterOfPartition> {
    const { all = false, fromOffset = 0, pageSize = PAGE_SIZE_MAX, withValues = false } = options;
    const calls = await this.#calls(subscription, options);
    const wish = { openOnly: !all, withValues, limit: pageSize };
    for (const partition of calls.partitions) {
      let next = fromOffset;
      for (;;) {
        const page = await calls.list(partition, { ...wish, fromOffset: next });
        for (const letter of page.letters) yield { topic: calls.topic, partition, ...letter };
        next = page.nextOffset;
        if (next >= page.highWatermark) break;
      }
    }
  }

  /**
   * One of them, with its value.
   * @throws FlotillaError as list(); INVALID_REQUEST when there is no dead letter of the subscription
   */
  async get(
    subscription: string,
    { offset, partition }: { readonly partition: number; readonly offset: number },
    settings: CallSettings = {},
  ): Promise<DeadLetterOfPartition> {
    const calls = await this.#calls(subscription, { ...settings, partition });
    const wish = { openOnly: false, withValues: true, limit: 1, fromOffset: offset };
    const { letters } = await calls.list(partition, wish);
    const [letter] = letters;
    if (letter?.offset === offset) return { topic: calls.topic, partition, ...letter };
    const text = `${calls.topic}/${partition} has no dead letter of "${subscription}" at offset ${offset}`;
    throw new FlotillaError("INVALID_REQUEST", text, {
      field: "offset",
      limit: "of a dead letter of the subscription that is still kept",
    });
  }

  /**
   * Sends open dead letters back to the subscription, and to no other one: their copies stand in the topic "redrive/" and its
   * name. An interrupted call is simply repeated; what was sent is not sent again.
   *
   * @returns what was done; `outcome` says whether the canaries stopped it
   * @throws FlotillaError as list(); CANCELLED, DEADLINE (some may be sent)
   */
  async redrive(subscription: string, options: RedriveOptions = {}): Promise<RedriveReport> {
    const { canary = 0, canaryTimeoutMs = CANARY_TIMEOUT_MS, dryRun = false } = options;
    checkWhole("canary", canary, 0);
    if (options.ratePerSecond !== undefined) checkPositive("ratePerSecond", options.ratePerSecond);
    const calls = await this.#calls(subscription, options);
    try {
      if (!dryRun) await this.#prepare(subscription, options);
      const run = new DeadLetterRedrive(calls, this.#deps.clock, options);
      await run.begin();
      if (canary === 0 || dryRun) {
        await run.take(Number.POSITIVE_INFINITY);
        return run.report(dryRun ? "dry-run" : "done");
      }
      const sent = await run.take(canary);
      const watch = new DeadLetterCanary(calls, this.#deps.clock, run.ends);
      const verdict = await watch.wait(sent, canaryTimeoutMs, options.signal);
      if (verdict.died + verdict.parked > 0) return run.report("canary-died", verdict);
      if (verdict.waiting > 0) return run.report("canary-waiting", verdict);
      await run.take(Number.POSITIVE_INFINITY);
      return run.report("done", verdict);
    } catch (error) {
      if (options.signal?.aborted === true) throw cancelled(options.signal, "unknown");
      throw asFlotillaError(error);
    }
  }

  async #prepare(subscription: string, settings: CallSettings): Promise<void> {
    await this.#caller.call({
      ...settingsOf(settings),
      method: deadLetterService.prepareRedrive,
      target: { kind: "controller" },
      isSlow: true,
      request: () => ({ subscription }),
    });
  }

  /** Everything that is asked about the dead letters of one subscription. */
  async #calls(
    subscription: string,
    options: CallSettings & Pick<RedriveOptions, "filter" | "partition">,
  ): Promise<RedriveCalls> {
    const settings = settingsOf(options);
    const described = await this.#subscriptions.describe(subscription, settings);
    const topic = described.subscription.deadLetterTopic;
    if (topic === undefined) throw noDeadLetters(subscription);
    const filter = options.filter === undefined ? "" : filterToWire(options.filter);
    const place = (partition: number) => {
      const topicId = this.#deps.metadata.topic(topic)?.topicId ?? "";
      return { subscription, topicId, partition, filter };
    };
    const redriveTopic = redriveTopicOf(subscription);
    return {
      topic,
      partitions: await this.#partitionsOf(topic, options),
      list: (partition, wish) =>
        this.#caller.call({
          ...settings,
          method: deadLetterService.listDeadLetters,
          target: { kind: "leader", topic, partition },
          request: () => ({ ...place(partition), ...wish }),
        }),
      redrive: (partition, wish) =>
        this.#caller.call({
          ...settings,
          method: deadLetterService.redriveDeadLetters,
          target: { kind: "leader", topic, partition },
          isSlow: true,
          request: () => ({ ...place(partition), ...wish }),
        }),
      fateOf: async (partition, offset) => {
        const message = { topic: redriveTopic, partition, offset };
        const plain = { ...settings, deadLetters: false };
        return (await this.#subscriptions.explain(subscription, message, plain)).fate ?? "";
      },
    };
  }

  async #partitionsOf(
    name: string,
    { partition, ...settings }: CallSettings & Pick<RedriveOptions, "partition">,
  ): Promise<readonly number[]> {
    const { topic } = await this.#caller.call({
      ...settingsOf(settings),
      method: adminService.describeTopic,
      target: { kind: "any" },
      request: () => ({ name }),
    });
    const count = topic?.partitions ?? 0;
    if (partition === undefined) return Array.from({ length: count }, (_, number) => number);
    if (partition < count) return [partition];
    const text = `${name} has ${count} partitions, from 0`;
    throw new FlotillaError("UNKNOWN_TOPIC_OR_PARTITION", text, { topic: name, partition });
  }
}

function settingsOf({ signal, timeoutMs }: CallSettings): CallSettings {
  return { signal, timeoutMs };
}

function noDeadLetters(subscription: string): FlotillaError {
  const text = `subscription "${subscription}" has no dead letter topic`;
  const limit = "a subscription that has a dead letter topic";
  return new FlotillaError("INVALID_REQUEST", text, { field: "subscription", limit });
}

function checkWhole(field: string, value: number, min: number): void {
  if (Number.isSafeInteger(value) && value >= min) return;
  const limit = `a whole number from ${min}`;
  throw new FlotillaError("INVALID_REQUEST", `${field} must be ${limit}`, { field, limit });
}

function checkPositive(field: string, value: number): void {
  if (Number.isFinite(value) && value > 0) return;
  const limit = "a number above 0";
  throw new FlotillaError("INVALID_REQUEST", `${field} must be ${limit}`, { field, limit });
}
