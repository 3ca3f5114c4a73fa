// One seed: a cluster, its workload and its faults, then calm – the cluster must recover, accept a last write everywhere
// and converge – then everything is read by a fresh client and judged. Called by run.ts and by the tests.
import { crc32c } from "../../src/base/crc32c.ts";
import { type Client, isBrokerError } from "../../src/client/index.ts";
import { type GroupId, METADATA_GROUP } from "../../src/model/ids.ts";
import { checkHistory, type History, headerOf } from "../../src/testkit/index.ts";
import { drawPlan, type FaultKind, Faults, isMassCut } from "./faults.ts";
import { askLeaders, noteObservations } from "./questions.ts";
import { SimCluster } from "./sim-cluster.ts";
import type { PlantedDefect } from "./sim-disk.ts";
import { type SimTopic, TOPICS } from "./topics.ts";
import { plainClient, sdkClient, sendBySdk, Workload } from "./workload.ts";

export interface SimulationOptions {
  readonly seed: number;
  /** Virtual time under faults. */
  readonly durationMs?: number;
  /** Instead of what the seed draws. */
  readonly kinds?: readonly FaultKind[] | undefined;
  readonly planted?: PlantedDefect | undefined;
  readonly onLine?: ((line: string) => void) | undefined;
}

export interface SimulationResult {
  readonly seed: number;
  readonly traceHash: string;
  readonly violations: readonly string[];
  /** Why the run proves nothing; empty when it counts. */
  readonly shortcomings: readonly string[];
  readonly virtualMs: number;
  readonly events: number;
  readonly begun: ReadonlyMap<FaultKind, number>;
  readonly bitten: ReadonlyMap<FaultKind, number>;
  readonly elections: number;
  readonly operations: number;
  readonly acks: number;
  readonly reads: number;
  readonly images: number;
  readonly rebuilds: number;
  /** What the judge saw. */
  readonly history: History;
}

const DURATION_MS = 60_000;
/** A run that did less proves nothing. */
const OPERATIONS_MIN = 300;
const BITTEN_MIN = 3;
const VIRTUAL_MS_MIN = 60_000;
/** Limits of the calm phase, virtual ms. */
const DRAIN_LIMIT_MS = 30_000;
const RECOVER_LIMIT_MS = 30_000;
const CONVERGE_LIMIT_MS = 30_000;
const CALL_LIMIT_MS = 20_000;
const PASSES_MAX = 3;

/** Runs one seed to its end. Violations are results; it throws only for defects of the harness. */
export async function simulate(options: SimulationOptions): Promise<SimulationResult> {
  const run = new Simulation(options);
  await run.execute();
  return run.result();
}

class Simulation {
  readonly #options: SimulationOptions;
  readonly #cluster: SimCluster;
  readonly #workload: Workload;
  readonly #faults: Faults;
  readonly #durationMs: number;
  readonly #willBlackout: boolean;
  /** Topic of each partition's group. */
  readonly #groups = new Map<GroupId, string>();
  #isLive = false;

  constructor(options: SimulationOptions) {
    this.#options = options;
    const { onLine, planted, seed } = options;
    this.#durationMs = options.durationMs ?? DURATION_MS;
    this.#cluster = new SimCluster({ seed, planted, onLine });
    const drawn = drawPlan(this.#cluster.world.random);
    const plan = { ...drawn, kinds: options.kinds ?? drawn.kinds };
    this.#workload = new Workload(this.#cluster);
    this.#faults = new Faults(this.#cluster, plan, () => this.#blackout());
    this.#willBlackout = plan.kinds.some(isMassCut);
    this.#cluster.history.header = headerOf(`simulation, seed ${seed}`);
    this.#cluster.line(`plan ${JSON.stringify(plan)}`);
  }

  async execute(): Promise<void> {
    const cluster = this.#cluster;
    try {
      await cluster.start();
      if (!cluster.fatal) await this.#createTopics();
      if (!cluster.fatal) await this.#disturb();
      if (!cluster.fatal) await this.#calm();
      if (!cluster.fatal) await this.#judge();
    } catch (error) {
      cluster.violation((error as Error).stack ?? String(error));
    }
  }

  result(): SimulationResult {
    const { counters, invariants, violations, world } = this.#cluster;
    const { bitten, begun } = this.#faults;
    return {
      seed: this.#options.seed,
      traceHash: world.traceHash(),
      violations,
      shortcomings: this.#shortcomings(),
      virtualMs: world.nowMs,
      events: world.eventCount,
      begun,
      bitten,
      elections: invariants.elections,
      operations: this.#workload.operations.sends,
      acks: this.#workload.operations.acks,
      reads: this.#workload.operations.reads,
      images: counters.get("images_installed") ?? 0,
      rebuilds: counters.get("state_rebuilds") ?? 0,
      history: this.#cluster.history,
    };
  }

  #shortcomings(): string[] {
    const { world } = this.#cluster;
    const { sends } = this.#workload.operations;
    const bites = [...this.#faults.bitten.values()].reduce((sum, count) => sum + count, 0);
    const short: string[] = [];
    if (sends < OPERATIONS_MIN) short.push(`only ${sends} sends`);
    if (bites < BITTEN_MIN) short.push(`only ${bites} faults bit`);
    if (world.nowMs < VIRTUAL_MS_MIN) short.push(`only ${Math.round(world.nowMs)} virtual ms`);
    if (!this.#isLive) short.push("the last phase was not reached");
    return short;
  }

  async #createTopics(): Promise<void> {
    const { brokers, clientHost, history, world } = this.#cluster;
    const plain = plainClient(this.#cluster);
    for (const { flush, isRolling, name, partitions, settings } of TOPICS) {
      const size = { partitions, replicas: brokers.length };
      const atMs = world.nowMs;
      history.add({ type: "topic", atMs, topic: name, ...size, flush, keepsAll: !isRolling });
      const create = (): Promise<void> =>
        plain.createTopic(name, partitions, settings, CALL_LIMIT_MS);
      await this.#cluster.complete(clientHost, create, CALL_LIMIT_MS * 2);
    }
    this.#learnGroups();
  }

  async #disturb(): Promise<void> {
    const { world } = this.#cluster;
    this.#workload.start((topic) => this.#willBlackout && topic.flush === "async");
    this.#faults.start();
    await world.runUntil(() => this.#cluster.fatal, this.#durationMs);
    this.#faults.stop();
    this.#workload.stop();
  }

  /** Power was lost on a majority at once: async topics may have lost what was acknowledged. */
  #blackout(): void {
    this.#cluster.invariants.forgive(this.#groupsOf((topic) => topic.flush === "async"));
  }

  async #calm(): Promise<void> {
    const cluster = this.#cluster;
    const { world } = cluster;
    cluster.line("calm");
    const groups = [METADATA_GROUP, ...this.#groupsOf(() => true)];
    const isDrained = (): boolean => cluster.fatal || this.#workload.isIdle;
    if (!(await world.runUntil(isDrained, DRAIN_LIMIT_MS))) {
      cluster.violation("clients still wait long after their deadlines");
    }
    const hasLeaders = (): boolean =>
      cluster.fatal || groups.every((group) => cluster.leaderOf(group) !== undefined);
    if (!(await world.runUntil(hasLeaders, RECOVER_LIMIT_MS))) {
      const without = groups.filter((group) => cluster.leaderOf(group) === undefined);
      cluster.violation(`no leader after all faults: groups ${without.join(", ")}`);
    }
    if (!cluster.fatal) await this.#lastWrites();
    const isConverged = (): boolean =>
      cluster.fatal || groups.every((group) => this.#lagOf(group) === undefined);
    if (!(await world.runUntil(isConverged, CONVERGE_LIMIT_MS))) {
      for (const group of groups) {
        const lag = this.#lagOf(group);
        if (lag !== undefined) cluster.violation(`not converged: group ${group}: ${lag}`);
      }
    }
    if (cluster.fatal) return;
    this.#compareReplicas(groups);
    this.#isLive = true;
  }

  /** One acknowledged send per partition, by a new producer, shows that the cluster works again. */
  async #lastWrites(): Promise<void> {
    const cluster = this.#cluster;
    const producer = sdkClient(cluster).producer({ deliveryTimeoutMs: CALL_LIMIT_MS });
    for (const topic of TOPICS) {
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
  }

  /** What a group still lacks; undefined when all three replicas hold and applied the same. */
  #lagOf(group: GroupId): string | undefined {
    const replicas = this.#cluster.replicas(group);
    if (replicas.length < this.#cluster.brokers.length) return "a replica is missing";
    const statuses = replicas.map((replica) => replica.status());
    const last = Math.max(...statuses.map(({ lastIndex }) => lastIndex));
    for (const [at, status] of statuses.entries()) {
      const { appliedIndex, commitIndex, lastIndex } = status;
      if (replicas[at]?.record.recovering === true) return `n${at + 1} is recovering`;
      if (lastIndex === last && commitIndex === last && appliedIndex === last) continue;
      return `n${at + 1} has last ${lastIndex}, commit ${commitIndex}, applied ${appliedIndex} of ${last}`;
    }
    return undefined;
  }

  #compareReplicas(groups: readonly GroupId[]): void {
    const cluster = this.#cluster;
    for (const group of groups) {
      cluster.invariants.compareLogs(
        cluster.brokers.flatMap(({ node, nodeId }) => {
          const replica = node?.replicas.get(group);
          return replica === undefined ? [] : [{ node: nodeId, replica }];
        }),
      );
      const states = cluster.brokers.map((broker) => stateOf(broker, group));
      if (new Set(states).size > 1) {
        cluster.violation(`state machines differ: group ${group}: ${states.join(" ")}`);
      }
    }
  }

  async #judge(): Promise<void> {
    const cluster = this.#cluster;
    const client = sdkClient(cluster);
    const { sdkHost } = cluster;
    noteObservations(cluster);
    await cluster.complete(sdkHost, () => askLeaders(cluster, client), CALL_LIMIT_MS * 10);
    await cluster.complete(sdkHost, () => this.#readAll(client), CALL_LIMIT_MS * 10);
    const { anomalies } = checkHistory(cluster.history.lines());
    for (const { detail, id, kind } of anomalies) cluster.violation(`${id} ${kind}: ${detail}`);
  }

  /** Every partition from its log start to its end, by a client that knows nothing yet. */
  async #readAll(client: Client): Promise<void> {
    for (const topic of TOPICS) {
      for (let pass = 1, isDone = false; !isDone; pass += 1) {
        try {
          await this.#readTopic(client, topic, pass);
          isDone = true;
        } catch (error) {
          // Retention may overtake a reader that has just begun.
          const isOvertaken = topic.isRolling && isBrokerError(error, "OFFSET_OUT_OF_RANGE");
          if (!isOvertaken || pass === PASSES_MAX) throw error;
        }
      }
    }
    await client.close();
  }

  async #readTopic(client: Client, topic: SimTopic, pass: number): Promise<void> {
    const { operations } = this.#workload;
    const { name, partitions } = topic;
    const reader = `final-${name}-${pass}`;
    const beganMs = this.#cluster.world.nowMs;
    const ranges = Array.from({ length: partitions }, (_, partition) => {
      return { partition, beganMs, from: Number.POSITIVE_INFINITY, to: 0 };
    });
    for await (const message of client.reader({ topic: name, until: "end" })) {
      operations.read(reader, name, message);
      const range = ranges[message.partition];
      if (range === undefined) continue;
      range.from = Math.min(range.from, message.offset);
      range.to = message.offset + 1;
    }
    // Nothing read: the log is taken to begin at 0, so that everything acknowledged is missed.
    for (const range of ranges) {
      operations.scanned(reader, name, { ...range, from: Math.min(range.from, range.to) });
    }
  }

  #groupsOf(suits: (topic: SimTopic) => boolean): GroupId[] {
    const wanted = new Set(TOPICS.filter(suits).map(({ name }) => name));
    return [...this.#groups].filter(([, name]) => wanted.has(name)).map(([group]) => group);
  }

  /** Asked once, of any node: groups keep their topics. */
  #learnGroups(): void {
    for (const { node } of this.#cluster.brokers) {
      for (const { name, topicId } of node?.view.image.topics.values() ?? []) {
        for (const { groupId } of node?.view.image.partitionsOf(topicId) ?? []) {
          this.#groups.set(groupId, name);
        }
      }
    }
  }
}

/** Size and hash of a partition's whole state on one node; of the metadata, its version. */
function stateOf({ node }: SimCluster["brokers"][number], group: GroupId): string {
  if (node === undefined) return "down";
  if (group === METADATA_GROUP) return `version ${node.view.image.version}`;
  const pairs = [...(node.partitions.get(group)?.state.pairs() ?? [])];
  pairs.sort(([a], [b]) => (a < b ? -1 : 1));
  let hash = 0;
  for (const [key, value] of pairs) hash = crc32c(value, crc32c(Buffer.from(key), hash));
  return `${pairs.length} pairs ${hash.toString(16)}`;
}
