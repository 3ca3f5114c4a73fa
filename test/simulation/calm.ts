// The liveness phase: all faults have stopped, so everything that waits must end, every group must have its leader and all
// its members, a last write must succeed everywhere, all replicas must become equal, and then nothing may happen any more,
// not even elections when a machine is cut off for a moment (steadiness.ts). Run by simulate.ts.
import { crc32c } from "../../src/base/crc32c.ts";
import { type GroupId, METADATA_GROUP } from "../../src/model/ids.ts";
import type { MemoryPurpose } from "../../src/model/memory-budget.ts";
import { sdkClient, sendBySdk } from "./clients.ts";
import type { Deliveries } from "./delivery/deliveries.ts";
import { describeGroup, lackOf, memberLackOf } from "./health.ts";
import { summaryOf } from "./invariants/metadata-digest.ts";
import { forceLeader } from "./operator.ts";
import type { TopicPlan } from "./plan/seed-plan.ts";
import type { SimBroker } from "./sim-broker.ts";
import type { SimCluster } from "./sim-cluster.ts";
import { checkSteadiness } from "./steadiness.ts";
import { problemOfStored, storedMetadataOf } from "./stored-state.ts";
import type { Workload } from "./workload.ts";

/** Limits, virtual ms. */
const DRAIN_LIMIT_MS = 30_000;
const RECOVER_LIMIT_MS = 30_000;
const CONVERGE_LIMIT_MS = 60_000;
const CALL_LIMIT_MS = 20_000;
/** So long the operator waits for a leader of an async partition before he forces one. */
const PATIENCE_MS = 15_000;
/** The questions about the cluster's health are dear. */
const POLL_MS = 20;
/** Brokers notice dead connections between them within 4 s of silence, and wait at most 1 s before they dial. */
const SETTLE_MS = 6000;
const QUIET_MS = 5000;
const QUIET_LIMIT_MS = 40_000;
/** Messages between brokers while nothing happens, per second and follower: heartbeats, status, commit news. */
const IDLE_MESSAGES_MAX = 30;
/** Of the metadata. */
const FOLLOWERS = 2;
/** And per second and way from one broker to another: two lanes that say nothing but that they work. */
const SIGNS_OF_LIFE = 2;
/** What is taken only while something is under way. */
const HELD_IN_USE: ReadonlySet<MemoryPurpose> = new Set(["read", "delivery"]);
const RELEASE_LIMIT_MS = 2000;

export class Calm {
  isPassed = false;
  /** From the end of the faults, or from an operator's force, until every group had a leader again. */
  leaderlessMs = 0;
  /** Groups that an operator had to force, because what they wait for is gone for good. */
  forcedLeaders = 0;
  readonly #cluster: SimCluster;
  readonly #workload: Workload;
  readonly #deliveries: Deliveries;
  #beganMs = 0;
  #topics: readonly TopicPlan[] = [];
  #groups: readonly GroupId[] = [];

  constructor(cluster: SimCluster, workload: Workload, deliveries: Deliveries) {
    this.#cluster = cluster;
    this.#workload = workload;
    this.#deliveries = deliveries;
  }

  async run(): Promise<void> {
    const cluster = this.#cluster;
    cluster.line("calm");
    this.#beganMs = cluster.world.nowMs;
    this.#learn();
    this.#deliveries.calm();
    const steps = [
      () => this.#recover(),
      () => this.#drain(),
      () => this.#lastWrites(),
      () => this.#deliveries.rest(),
      () => this.#converge(),
      () => this.#stayQuiet(),
      () => checkSteadiness(cluster, this.#groups),
      () => this.#deliveries.close(),
      () => this.#converge(),
      () => this.#released(),
      () => this.#compare(),
    ];
    for (const step of steps) {
      if (cluster.fatal) return;
      await step();
    }
    this.isPassed = !cluster.fatal;
  }

  /** L1. */
  async #recover(): Promise<void> {
    const { world } = this.#cluster;
    let startMs = world.nowMs;
    const without = (): GroupId[] =>
      this.#groups.filter((group) => this.#cluster.leaderOf(group) === undefined);
    const isLed = (): boolean => without().length === 0;
    if (!(await this.#until(isLed, PATIENCE_MS))) {
      const waiting = without();
      for (const group of waiting) {
        if (await forceLeader(this.#cluster, group)) this.forcedLeaders += 1;
      }
      // Who waits without needing force is late by all of it.
      if (this.forcedLeaders === waiting.length) startMs = world.nowMs;
    }
    const isDone = await this.#until(isLed, RECOVER_LIMIT_MS);
    this.leaderlessMs = world.nowMs - startMs;
    if (isDone) return;
    for (const group of without()) {
      const state = describeGroup(this.#cluster, group);
      this.#cluster.violation(`no leader after all faults: group ${group}: ${state}`);
    }
  }

  /** L4, as far as clients can tell. */
  async #drain(): Promise<void> {
    if (!(await this.#until(() => this.#workload.isIdle, DRAIN_LIMIT_MS))) {
      this.#cluster.violation("clients still wait long after their deadlines");
    }
    this.#learn();
  }

  /** One acknowledged send per partition, by a new producer, shows that the cluster works again. */
  async #lastWrites(): Promise<void> {
    const cluster = this.#cluster;
    const producer = sdkClient(cluster).producer({ deliveryTimeoutMs: CALL_LIMIT_MS });
    for (const topic of this.#topics) {
      for (let partition = 0; partition < topic.partitions; partition += 1) {
        const key = `last-${partition}`;
        const plan = { producer: "last", topic, key, partition, acks: "all" } as const;
        const send = (): Promise<boolean> =>
          new Promise((resolve) => {
            sendBySdk(this.#workload.operations, producer, plan, resolve);
          });
        const isAcked = await cluster.complete(cluster.sdkHost, send, CALL_LIMIT_MS * 2);
        if (!isAcked) cluster.violation(`the last write to ${topic.name}/${partition} failed`);
      }
    }
    await cluster.complete(cluster.sdkHost, () => producer.close(), CALL_LIMIT_MS);
  }

  /** L5. A replica that met a log which contradicts what it had acknowledged is started again by its operator. */
  async #converge(): Promise<void> {
    const cluster = this.#cluster;
    const lacks = (): string[] => {
      const members = memberLackOf(cluster);
      if (members !== undefined) return [members];
      return this.#groups.flatMap((group) => {
        const lack = lackOf(cluster, group);
        return lack === undefined ? [] : [`group ${group}: ${lack}`];
      });
    };
    const isConverged = (): boolean => {
      for (const broker of cluster.brokers) if (broker.isAiling) cluster.remedy(broker);
      return lacks().length === 0;
    };
    if (!(await this.#until(isConverged, CONVERGE_LIMIT_MS))) {
      for (const lack of lacks()) cluster.violation(`not converged: ${lack}`);
    }
    for (const name of this.#workload.passing.leftOvers()) {
      cluster.violation(`the deleted topic ${name} is still there`);
    }
  }

  /** L2, L6 and L8: leaderships may be balanced, but nobody campaigns, nobody probes, and few messages go. */
  async #stayQuiet(): Promise<void> {
    const cluster = this.#cluster;
    const { invariants, network, world } = cluster;
    // A connection that is gone on one side only outlives its fault; until it is noticed, a node hears no leader and asks.
    await this.#until(() => world.nowMs >= this.#beganMs + SETTLE_MS, SETTLE_MS * 2);
    const campaigns = invariants.campaigns;
    let elections = invariants.elections;
    let sinceMs = world.nowMs;
    let delivered = network.messagesDelivered;
    const isQuiet = (): boolean => {
      if (invariants.elections !== elections) {
        elections = invariants.elections;
        sinceMs = world.nowMs;
        delivered = network.messagesDelivered;
      }
      return world.nowMs - sinceMs >= QUIET_MS;
    };
    if (!(await this.#until(isQuiet, QUIET_LIMIT_MS))) {
      cluster.violation("leaderships keep moving although all is calm");
    }
    if (invariants.campaigns > campaigns) {
      cluster.violation(`${invariants.campaigns - campaigns} campaigns although all is calm`);
    }
    const perSecond = ((network.messagesDelivered - delivered) * 1000) / (world.nowMs - sinceMs);
    const ways = cluster.brokers.length * (cluster.brokers.length - 1);
    const followers = this.#groups.reduce((sum, group) => sum + this.#followersOf(group), 0);
    if (perSecond > IDLE_MESSAGES_MAX * followers + SIGNS_OF_LIFE * ways) {
      cluster.violation(`${Math.round(perSecond)} messages per second although all is calm`);
    }
    for (const group of this.#groups) this.#requireReplicating(group);
  }

  #followersOf(group: GroupId): number {
    const row = this.#cluster.metadata?.partitions.get(group);
    return row === undefined ? FOLLOWERS : row.replicas.length - 1;
  }

  #requireReplicating(group: GroupId): void {
    const leader = this.#cluster.leaderOf(group)?.node?.replicas.get(group);
    for (const { replicaId, state } of leader?.status().progress ?? []) {
      if (state === "replicate") continue;
      this.#cluster.violation(`group ${group}: the progress of ${replicaId} stays in ${state}`);
    }
  }

  /** L7: nobody reads or consumes any more, so nothing is held for it. */
  async #released(): Promise<void> {
    const held = (): string[] =>
      this.#cluster.brokers.flatMap(({ node, nodeId }) =>
        (node?.memory.uses() ?? [])
          .filter(({ purpose, usedBytes }) => HELD_IN_USE.has(purpose) && usedBytes !== 0)
          .map(({ purpose, usedBytes }) => `n${nodeId} holds ${usedBytes} bytes: ${purpose}`),
      );
    if (await this.#until(() => held().length === 0, RELEASE_LIMIT_MS)) return;
    for (const text of held()) this.#cluster.violation(`memory is kept: ${text}`);
  }

  /** Equal logs, equal states, in memory and stored. */
  async #compare(): Promise<void> {
    const cluster = this.#cluster;
    for (const group of this.#groups) {
      cluster.invariants.compareLogs(group, cluster.replicas(group));
      const states = cluster.brokers.flatMap((broker) => stateOf(broker, group) ?? []);
      if (new Set(states).size > 1) {
        cluster.violation(`state machines differ: group ${group}: ${states.join(" ")}`);
      }
      for (const broker of cluster.brokers) {
        const problem = await problemOfStored(broker, group);
        if (problem !== undefined) cluster.violation(`stored state: group ${group}: ${problem}`);
      }
    }
    const stored = await Promise.all(cluster.brokers.map(storedMetadataOf));
    if (new Set(stored.filter((text) => text !== undefined)).size > 1) {
      cluster.violation(`stored metadata differ: ${describeDifference(stored)}`);
    }
  }

  /** Which topics and groups there are; some topics may have been made at the last moment. */
  #learn(): void {
    const cluster = this.#cluster;
    for (const topic of this.#workload.passing.kept) cluster.learnTopic(topic);
    this.#topics = [...cluster.plan.topics, ...this.#workload.passing.kept];
    const all = [...this.#topics, ...this.#deliveries.deadLetterTopics];
    const places = all.flatMap(({ name, partitions }) =>
      Array.from({ length: partitions }, (_, at) => cluster.groupOf(name, at)),
    );
    this.#groups = [METADATA_GROUP, ...places.filter((group) => group !== undefined)];
  }

  /** @returns whether it came true in time; true as well when something else went wrong meanwhile */
  async #until(condition: () => boolean, limitMs: number): Promise<boolean> {
    const { world } = this.#cluster;
    let nextMs = 0;
    const isDone = (): boolean => {
      if (this.#cluster.fatal) return true;
      if (world.nowMs < nextMs) return false;
      nextMs = world.nowMs + POLL_MS;
      return condition();
    };
    return (await world.runUntil(isDone, limitMs)) || condition();
  }
}

/** Size and hash of a group's whole state on one node; undefined when it has no replica of it. */
function stateOf({ node }: SimBroker, group: GroupId): string | undefined {
  if (node === undefined) return "down";
  if (group === METADATA_GROUP) return summaryOf(node.view.image);
  const partition = node.partitions.get(group);
  if (partition === undefined) return undefined;
  const pairs = [...partition.state.pairs()];
  pairs.sort(([a], [b]) => (a < b ? -1 : 1));
  let hash = 0;
  for (const [key, value] of pairs) hash = crc32c(value, crc32c(Buffer.from(key), hash));
  return `${pairs.length} pairs ${hash.toString(16)}`;
}

/** Lines that some have and others have not. */
function describeDifference(texts: readonly (string | undefined)[]): string {
  const sets = texts.map((text) => new Set(text?.split("\n")));
  const all = new Set(sets.flatMap((set) => [...set]));
  const isOdd = (line: string): boolean => sets.some((set) => set.size > 0 && !set.has(line));
  return [...all].filter(isOdd).join("; ");
}
