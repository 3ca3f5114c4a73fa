// Simulated brokers, the network between them and the machines of their clients; what goes wrong is collected as
// violations. Built once per seed by simulate.ts.
import type { MetadataImage } from "../../src/cluster/metadata-image.ts";
import { isBrokerError } from "../../src/model/errors.ts";
import { type GroupId, METADATA_GROUP, type NodeId, type TopicId } from "../../src/model/ids.ts";
import type { Term } from "../../src/model/positions.ts";
import type { Replica } from "../../src/replica/replica.ts";
import type { ReplicaCounter } from "../../src/replica/replica-metrics.ts";
import type { FaultEvent } from "../../src/testkit/index.ts";
import { History } from "../../src/testkit/index.ts";
import { damagedLeaders } from "./damaged-leaders.ts";
import { EFFECTS, type FaultKind, isOfConsumers } from "./faults/kinds.ts";
import { Invariants } from "./invariants/invariants.ts";
import type { SeedPlan, TopicPlan } from "./plan/seed-plan.ts";
import { clientEndpoint, type LogLevel, SimBroker, type SimBrokerOptions } from "./sim-broker.ts";
import type { DiskTiming, PlantedDefect } from "./sim-disk.ts";
import { SimNetwork } from "./sim-network.ts";
import { type SimHost, World } from "./world.ts";

export interface ClusterOptions {
  readonly seed: number;
  readonly plan: SeedPlan;
  readonly planted?: PlantedDefect | undefined;
  /** Each line of the story, as it happens. */
  readonly onLine?: ((line: string) => void) | undefined;
}

/** A node that led a group in a term. */
export interface Leadership {
  readonly atMs: number;
  readonly node: NodeId;
  readonly group: GroupId;
  readonly term: Term;
}

const VIOLATIONS_MAX = 20;
/** As src/replica/repairer.ts says it. */
const DAMAGE_FOUND = "entries are damaged on this disk";
const START_LIMIT_MS = 20_000;
const DAMAGE_POLL_MS = 250;

export class SimCluster {
  readonly world: World;
  readonly plan: SeedPlan;
  readonly network: SimNetwork;
  readonly diskTiming: DiskTiming;
  /** All machines that may have a broker. */
  readonly machines: readonly SimBroker[];
  /** Those that belong to the cluster, as their operator sees it: not those that did not join yet or left for good. */
  brokers: readonly SimBroker[];
  /** Where the SDK runs, and where everything else does that talks to brokers. */
  readonly sdkHost: SimHost;
  readonly clientHost: SimHost;
  readonly history = new History();
  readonly violations: string[] = [];
  readonly invariants: Invariants;
  readonly counters = new Map<ReplicaCounter, number>();
  readonly leaderships: Leadership[] = [];
  /** Somebody new leads the group. */
  onLeader: (group: GroupId) => void = () => undefined;
  /** Told when a replica of a partition has applied something; only in runs with subscriptions. */
  readonly applied = new Set<(broker: SimBroker, group: GroupId) => void>();
  /** A fault is under way that keeps sound replicas from leading: another one than damage. */
  isDisturbed: () => boolean = () => false;
  /** Nodes that left for good. */
  departures = 0;
  readonly #options: ClusterOptions;
  /** Topic of each partition's group, as far as they were learnt. */
  readonly #topics = new Map<GroupId, TopicPlan>();
  readonly #groupsByPlace = new Map<string, GroupId>();
  readonly #topicIds = new Map<string, TopicId>();

  constructor(options: ClusterOptions) {
    this.#options = options;
    const { plan, seed } = options;
    const world = new World(seed, plan.lookMs);
    const { random } = world;
    const { bufferBytes, latencyMsMax } = plan.network;
    this.world = world;
    this.plan = plan;
    const timing = { latencyMsMin: 0.05, latencyMsMax };
    this.network = new SimNetwork(world, { timing, bufferBytes, seed: random.integer(0, 2 ** 32) });
    this.diskTiming = { syncMsMin: 0.1, syncMsMax: plan.syncMsMax };
    this.network.onDefect = (host, error) => this.#defect(host.name, error);
    this.invariants = new Invariants({
      report: (problem) => this.violation(problem),
      eventCount: () => world.eventCount,
      onLeader: (node, group, term) => {
        this.leaderships.push({ atMs: world.nowMs, node, group, term });
        this.onLeader(group);
      },
      replicaOf: ({ groupId, node, replicaId }) => {
        const replica = this.broker(node).node?.replicas.get(groupId);
        return replica?.replicaId === replicaId ? replica : undefined;
      },
    });
    const clusterId = random.uuid();
    const count = plan.nodes + (plan.spareNodes ?? 0);
    const nodeIds = Array.from({ length: count }, (_, at) => (at + 1) as NodeId);
    const founders = nodeIds.slice(0, plan.nodes);
    const identity = { founders, machines: nodeIds, clusterId };
    this.machines = nodeIds.map((nodeId) => this.#broker({ nodeId, ...identity }));
    this.brokers = this.machines.slice(0, plan.nodes);
    this.sdkHost = world.host("sdk");
    this.clientHost = world.host("client");
    this.#watch();
  }

  get bootstrap(): string[] {
    return this.machines.map(({ nodeId }) => clientEndpoint(nodeId));
  }

  get groups(): readonly GroupId[] {
    const ids = new Set<GroupId>();
    for (const { node } of this.brokers) {
      for (const replica of node?.replicas.all() ?? []) ids.add(replica.groupId);
    }
    return [...ids].sort((a, b) => a - b);
  }

  get fatal(): boolean {
    return this.violations.length > 0;
  }

  /** Formats and boots all nodes, and waits until they are registered. */
  async start(): Promise<void> {
    for (const broker of this.brokers) {
      await this.complete(broker.host, () => broker.format(false), START_LIMIT_MS);
      this.world.schedule(0, () => broker.boot());
    }
    const isStarted = (): boolean => this.brokers.every(({ isServing }) => isServing);
    if (await this.world.runUntil(() => this.fatal || isStarted(), START_LIMIT_MS)) return;
    this.violation("the brokers did not register in time");
  }

  /** Runs the world until `run`, begun on a host, has settled. @throws what it throws, or an Error after `limitMs` */
  async complete<T>(host: SimHost, run: () => Promise<T>, limitMs: number): Promise<T> {
    let result: { readonly value: T } | { readonly error: unknown } | undefined;
    this.world.schedule(
      0,
      () => {
        run().then(
          (value) => {
            result = { value };
          },
          (error: unknown) => {
            result = { error };
          },
        );
      },
      // A machine that is down still formats.
      host.isUp ? host : undefined,
    );
    await this.world.runUntil(() => result !== undefined, limitMs);
    if (result === undefined) throw new Error(`not done after ${limitMs} virtual ms`);
    if ("error" in result) throw result.error;
    return result.value;
  }

  /** Begins something on a host that goes on by itself; what it throws is a violation. */
  run(host: SimHost, name: string, run: () => Promise<void>): void {
    const { generation } = host;
    const begin = (): void => {
      run().catch((error: unknown) => {
        if (generation === host.generation) this.#defect(`${name} on ${host.name}`, error);
      });
    };
    this.world.schedule(0, begin, host);
  }

  broker(nodeId: number): SimBroker {
    const broker = this.machines[nodeId - 1];
    if (broker === undefined) throw new Error(`no node ${nodeId}`);
    return broker;
  }

  /** Replicas of a group on the nodes that are up. */
  replicas(group: GroupId): Replica[] {
    return this.brokers.flatMap(({ node }) => node?.replicas.get(group) ?? []);
  }

  /** The metadata of whoever leads its group; undefined while nobody does. */
  get metadata(): MetadataImage | undefined {
    return this.leaderOf(METADATA_GROUP)?.node?.view.image;
  }

  /** An empty machine joins: a new node, or one that left before. */
  admit(broker: SimBroker): void {
    this.brokers = this.machines.filter((one) => one === broker || this.brokers.includes(one));
    this.#install(broker);
  }

  leaderOf(group: GroupId): SimBroker | undefined {
    return this.brokers.find(({ node }) => node?.replicas.get(group)?.isLeaderReady === true);
  }

  /** Notes which group is which partition of a topic. Groups keep their topics. */
  learnTopic(topic: TopicPlan): void {
    for (const { node } of this.brokers) {
      const image = node?.view.image;
      for (const { name, topicId } of image?.topics.values() ?? []) {
        if (name !== topic.name) continue;
        this.#topicIds.set(name, topicId);
        for (const { groupId, partition } of image?.partitionsOf(topicId) ?? []) {
          this.#topics.set(groupId, topic);
          this.#groupsByPlace.set(`${name}/${partition}`, groupId);
          if (topic.flush === "sync") this.invariants.declareSync(groupId);
        }
      }
    }
  }

  /** @returns ends it */
  whenApplied(listener: (broker: SimBroker, group: GroupId) => void): () => void {
    this.applied.add(listener);
    return () => void this.applied.delete(listener);
  }

  topicIdOf(name: string): TopicId | undefined {
    return this.#topicIds.get(name);
  }

  groupOf(topic: string, partition: number): GroupId | undefined {
    return this.#groupsByPlace.get(`${topic}/${partition}`);
  }

  groupsOf(suits: (topic: TopicPlan) => boolean): GroupId[] {
    return [...this.#topics].filter(([, topic]) => suits(topic)).map(([group]) => group);
  }

  /** May the topic have lost what was acknowledged in class all/async: did a majority of a partition's replicas forget it? */
  mayLack(topic: TopicPlan): boolean {
    return this.groupsOf(({ name }) => name === topic.name).some((group) => {
      return this.invariants.isForgiven(group);
    });
  }

  /** What an operator does when the cause of a failure is over: start it again, on an empty disk if need be. */
  remedy(broker: SimBroker): void {
    const { excuse, isAiling } = broker;
    broker.excuse = undefined;
    broker.isAiling = false;
    if (!isAiling || excuse === undefined) return;
    if (excuse.remedy === "replace" && broker.mayLeave && this.#isLeftDead(broker)) return;
    this.line(`n${broker.nodeId}: operator will ${excuse.remedy} after ${excuse.reason}`);
    if (excuse.remedy === "restart") {
      if (broker.host.isUp) broker.kill({ kind: "process" });
      broker.boot();
      return;
    }
    this.#install(broker);
  }

  /** An empty disk, and a broker that joins with it. */
  #install(broker: SimBroker): void {
    broker.replaceDisk().then(
      () => this.world.schedule(0, () => broker.boot()),
      (error: unknown) => this.#defect(`n${broker.nodeId}`, error),
    );
  }

  /** Its disk is lost and it is to leave anyhow, or nobody knows yet: it gets no other one before the metadata says so. */
  #isLeftDead(broker: SimBroker): boolean {
    if (broker.host.isUp) broker.kill({ kind: "process" });
    const image = this.metadata;
    const row = image?.nodes.get(broker.nodeId);
    if (image !== undefined && row === undefined) {
      this.#retire(broker);
      return true;
    }
    const stays = row !== undefined && row.decommission === undefined && broker.orders === 0;
    if (stays) return false;
    broker.storage.replace();
    broker.excuse = { reason: "a lost disk while leaving", remedy: "replace" };
    broker.isAiling = true;
    return true;
  }

  #retire(broker: SimBroker): void {
    this.line(`n${broker.nodeId} left the cluster`);
    this.departures += 1;
    broker.retire();
    this.brokers = this.brokers.filter((one) => one !== broker);
  }

  /** @param error where it was made is shown, but is no part of the trace */
  violation(problem: string, error?: unknown): void {
    const shown = error === undefined ? problem : `${problem}: ${describeError(error)}`;
    this.line(`VIOLATION ${problem}`, shown);
    if (this.violations.length < VIOLATIONS_MAX) {
      this.violations.push(`${(this.world.nowMs / 1000).toFixed(3)} s: ${shown}`);
    }
  }

  fault(name: FaultKind, phase: FaultEvent["phase"], nodes: readonly number[]): void {
    const atMs = this.world.nowMs;
    // Consumers' histories say what was done to them; as a fault of the cluster it would excuse too much.
    if (!isOfConsumers(name)) {
      this.history.add({ type: "fault", atMs, name, phase, nodes, effect: EFFECTS[name] });
    }
    this.line(`fault ${name} ${phase} ${nodes.map((node) => `n${node}`).join(" ")}`);
  }

  /** A line of the story: part of the trace, shown, with its details, when somebody listens. */
  line(text: string, details = text): void {
    this.world.trace(text);
    this.#options.onLine?.(`${(this.world.nowMs / 1000).toFixed(3).padStart(8)} ${details}`);
  }

  #watch(): void {
    const byHost = new Map(this.machines.map((broker) => [broker.host, broker]));
    this.world.afterEachEvent((host) => {
      const broker = host === undefined ? undefined : byHost.get(host);
      const replicas = broker?.node?.replicas.all();
      if (broker !== undefined && replicas !== undefined) {
        this.#checkDeliveries(broker, this.invariants.check(broker.nodeId, replicas));
      }
    });
    this.#lookForDamage();
    this.network.onPeerEnvelope = (from, envelope) => {
      const broker = byHost.get(from);
      if (broker !== undefined) this.invariants.sent(broker.nodeId, envelope);
    };
  }

  #lookForDamage(): void {
    const { damage } = this.invariants;
    damage.check(this.world.nowMs, damagedLeaders(this, this.isDisturbed()));
    this.world.schedule(DAMAGE_POLL_MS, () => this.#lookForDamage());
  }

  #checkDeliveries(broker: SimBroker, replicas: readonly Replica[]): void {
    const { node, nodeId } = broker;
    if (this.plan.subscriptions === undefined || node === undefined) return;
    for (const { groupId, watermarks } of replicas) {
      if (!this.invariants.deliveries.hasMoved(nodeId, groupId, watermarks.appliedIndex)) continue;
      for (const listener of [...this.applied]) listener(broker, groupId);
      const partition = node.partitions.get(groupId);
      if (partition === undefined) continue;
      const deliveries = node.partitions.delivery.get(partition.topicId, partition.partition);
      const state = deliveries?.partition.deliveries;
      if (state === undefined) continue;
      this.invariants.deliveries.check(nodeId, groupId, watermarks.appliedIndex, state);
    }
  }

  #broker(
    identity: Pick<SimBrokerOptions, "nodeId" | "founders" | "machines" | "clusterId">,
  ): SimBroker {
    const { world } = this;
    const { nodeId } = identity;
    return new SimBroker(
      world,
      this.network,
      {
        ...identity,
        seed: world.random.integer(0, 2 ** 32),
        storage: {
          view: this.invariants.diskOf(nodeId),
          timing: this.diskTiming,
          planted: this.#options.planted,
        },
        counters: this.counters,
      },
      {
        onFailure: (broker, error) => this.#nodeFailed(broker, error),
        onLog: (broker, level, fields, message) => this.#logged(broker, level, fields, message),
        onBoot: (broker) => this.invariants.booted(broker.nodeId),
        onOpened: ({ view }) => {
          this.invariants.metadata(nodeId, view.image);
          view.onChange((image) => this.invariants.metadata(nodeId, image));
        },
      },
    );
  }

  /** A broker that ends for the reason that a fault gave it waits for its operator. */
  #nodeFailed(broker: SimBroker, error: Error): void {
    if (broker.mayLeave && isRetirement(error)) {
      this.#retire(broker);
      return;
    }
    if (broker.excuse === undefined) {
      this.#defect(`n${broker.nodeId}`, error);
      return;
    }
    this.line(`n${broker.nodeId} ends: ${error.message}`);
    broker.isAiling = true;
    broker.kill({ kind: "process" });
  }

  #logged(broker: SimBroker, level: LogLevel, fields: object, message: string): void {
    if (level === "info") return;
    const text = `n${broker.nodeId} ${level}: ${message}`;
    this.line(text, `${text} ${describe(fields)}`);
    if (level === "warn") {
      if (message === DAMAGE_FOUND) this.#countDamage(broker, fields);
      // Repaired in silence, a log that was recovered wrongly would pass for a good one.
      if (message !== DAMAGE_FOUND || broker.excuse !== undefined) return;
      this.violation(`damage without a fault: on n${broker.nodeId} ${describe(fields)}`);
      return;
    }
    if (broker.mayLeave && "error" in fields && isRetirement(fields.error)) return;
    if (broker.excuse !== undefined) broker.isAiling = true;
    else this.#unexcused(broker, fields, message);
  }

  #countDamage({ node }: SimBroker, fields: object): void {
    const groupId = "groupId" in fields ? (fields.groupId as GroupId) : undefined;
    const replica = groupId === undefined ? undefined : node?.replicas.get(groupId);
    if (replica?.status().role === "leader") this.invariants.damagedLeaders += 1;
  }

  /**
   * A broker whose metadata lags behind its own journal (it was started again) asks for a replica that was removed, until
   * it knows better. An async group that lost what it had acknowledged may meet a log that contradicts its own. */
  #unexcused(broker: SimBroker, fields: object, message: string): void {
    if ("err" in fields && isBrokerError(fields.err, "STALE_REPLICA")) return;
    const groupId = "groupId" in fields ? (fields.groupId as GroupId) : undefined;
    const mayContradict =
      groupId !== undefined && this.isAsync(groupId) && this.invariants.isForgiven(groupId);
    if (mayContradict) {
      broker.excuse = { reason: "lost acknowledged entries", remedy: "restart" };
      broker.isAiling = true;
    } else this.violation(`n${broker.nodeId} logs an error: ${message}`, describe(fields));
  }

  isAsync(groupId: GroupId): boolean {
    return this.#topics.get(groupId)?.flush === "async";
  }

  #defect(name: string, error: unknown): void {
    this.violation(`${name} failed`, error);
  }
}

/** "You were decommissioned": a broker ends with it. */
function isRetirement(error: unknown): boolean {
  return isBrokerError(error, "NODE_FENCED") && error.fields["cause"] === "retired-directory";
}

function describe(fields: object): string {
  return JSON.stringify(fields, (_, value: unknown) =>
    value instanceof Error ? describeError(value) : value,
  );
}

/** With its causes: the reason often stands in the innermost one. */
function describeError(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const text = error.stack ?? error.message;
  return error.cause instanceof Error ? `${text}, because ${describeError(error.cause)}` : text;
}
