// One seed: a cluster, its workload and its faults, then calm (calm.ts) – the cluster must recover, accept a last write
// everywhere, converge and stay quiet – then everything is read by a fresh client and judged (judge.ts). Called by the
// workers of run.ts, the shrinker and the tests.
import { seededRandom } from "../../src/base/random.ts";
import { type History, headerOf } from "../../src/testkit/index.ts";
import { Calm } from "./calm.ts";
import { plainClient } from "./clients.ts";
import { Deliveries } from "./delivery/deliveries.ts";
import type { Examined } from "./examined.ts";
import { Faults } from "./faults/faults.ts";
import { type FaultKind, isOfConsumers } from "./faults/kinds.ts";
import { declare, judge } from "./judge.ts";
import { drawPlan } from "./plan/draw-plan.ts";
import type { SeedPlan } from "./plan/seed-plan.ts";
import { SimCluster } from "./sim-cluster.ts";
import type { PlantedDefect } from "./sim-disk.ts";
import { Workload } from "./workload.ts";

export interface SimulationOptions {
  readonly seed: number;
  /** Instead of what the seed draws. */
  readonly plan?: SeedPlan | undefined;
  /** Virtual time under faults, of a drawn plan. */
  readonly durationMs?: number | undefined;
  /** Kinds of faults of a drawn plan, instead of what the seed draws. */
  readonly kinds?: readonly FaultKind[] | undefined;
  /** A drawn plan may have subscriptions and consumers; false: it has none. */
  readonly consumers?: boolean | undefined;
  readonly planted?: PlantedDefect | undefined;
  readonly onLine?: ((line: string) => void) | undefined;
  /** Given what the judge saw, when something was violated. */
  readonly onHistory?: ((history: History) => void) | undefined;
}

/** Plain data: workers send it to their parent. */
export interface SimulationResult {
  readonly seed: number;
  readonly traceHash: string;
  readonly violations: readonly string[];
  /** Why the run proves nothing; empty when it counts. */
  readonly shortcomings: readonly string[];
  readonly counts: Readonly<Record<Counted, number>>;
  readonly begun: Readonly<Partial<Record<FaultKind, number>>>;
  readonly bitten: Readonly<Partial<Record<FaultKind, number>>>;
  /** From the end of the faults until every group had a leader again. */
  readonly leaderlessMs: number;
  /** How many facts the judge looked at, by kind of anomaly. */
  readonly examined: Examined;
}

export const COUNTED = [
  "virtualMs",
  "events",
  "sends",
  "acks",
  "reads",
  "verdicts",
  "subscriptions",
  "deliveries",
  "settlements",
  "redeliveries",
  "staleSettlements",
  "deadLetters",
  "leadersWithLeasesOut",
  "consumingSeeds",
  "provenConsumingSeeds",
  "elections",
  "truncations",
  "boots",
  "imagesSaved",
  "imagesInstalled",
  "rebuilds",
  "metadataCompared",
  "damagedLeaders",
  "forcedLeaders",
  "changesCompared",
  "divergences",
] as const;
export type Counted = (typeof COUNTED)[number];

/** A run that did less proves nothing. */
const NODES_MIN = 3;
const OPERATIONS_MIN = 300;
const BITTEN_MIN = 3;
const VIRTUAL_MS_MIN = 60_000;
/** Of a run that consumes; it may count for the brokers nevertheless. */
const SETTLEMENTS_MIN = 100;
const CREATE_LIMIT_MS = 20_000;

/** The plan that a seed draws. */
export function planOf(options: SimulationOptions): SeedPlan {
  const { consumers, durationMs, kinds, plan, seed } = options;
  return plan ?? drawPlan(seededRandom(seed), { consumers, durationMs, kinds });
}

/** Runs one seed to its end. Violations are results; it throws only for defects of the harness. */
export async function simulate(options: SimulationOptions): Promise<SimulationResult> {
  const run = new Simulation(options);
  const traces = Error.stackTraceLimit;
  // Refusals are many, and where they were made is asked for only by who looks at one run.
  if (options.onLine === undefined) Error.stackTraceLimit = 0;
  try {
    await run.execute();
  } finally {
    Error.stackTraceLimit = traces;
  }
  const result = run.result();
  if (result.violations.length > 0) options.onHistory?.(run.history);
  return result;
}

class Simulation {
  readonly #options: SimulationOptions;
  readonly #cluster: SimCluster;
  readonly #workload: Workload;
  readonly #deliveries: Deliveries;
  readonly #faults: Faults;
  readonly #calm: Calm;
  #examined: Examined = {};

  constructor(options: SimulationOptions) {
    this.#options = options;
    const { onLine, planted, seed } = options;
    const plan = planOf(options);
    this.#cluster = new SimCluster({ seed, plan, planted, onLine });
    this.#workload = new Workload(this.#cluster);
    this.#deliveries = new Deliveries(this.#cluster, seed);
    this.#faults = new Faults(this.#cluster, plan.faults, this.#deliveries);
    this.#calm = new Calm(this.#cluster, this.#workload, this.#deliveries);
    this.#cluster.history.header = headerOf(`simulation, seed ${seed}`);
    this.#cluster.line(`plan ${JSON.stringify(plan)}`);
  }

  get history(): History {
    return this.#cluster.history;
  }

  async execute(): Promise<void> {
    const cluster = this.#cluster;
    const phases = [
      () => cluster.start(),
      () => this.#createTopics(),
      () => this.#deliveries.create(),
      () => this.#disturb(),
      () => this.#calm.run(),
      async () => {
        this.#examined = await judge(cluster, this.#workload, this.#deliveries);
      },
    ];
    try {
      for (const phase of phases) if (!cluster.fatal) await phase();
    } catch (error) {
      cluster.violation("the run failed", error);
    }
    this.#deliveries.write();
  }

  result(): SimulationResult {
    const { world, violations } = this.#cluster;
    return {
      seed: this.#options.seed,
      traceHash: world.traceHash(),
      violations,
      shortcomings: this.#shortcomings(),
      counts: this.#counts(),
      begun: Object.fromEntries(this.#faults.begun),
      bitten: Object.fromEntries(this.#faults.bitten),
      leaderlessMs: this.#calm.leaderlessMs,
      examined: this.#examined,
    };
  }

  #counts(): Record<Counted, number> {
    const { brokers, counters, invariants, world } = this.#cluster;
    const { acks, reads, sends, verdicts } = this.#workload.operations;
    const { deadLetters, leadersWithLeasesOut, redelivered } = this.#deliveries;
    const { confirmed, delivered, refused } = this.#deliveries.recorder;
    const isConsuming = this.#deliveries.subscriptions.length > 0;
    return {
      virtualMs: world.nowMs,
      events: world.eventCount,
      sends,
      acks,
      reads,
      verdicts,
      subscriptions: this.#deliveries.subscriptions.length,
      deliveries: delivered,
      settlements: confirmed,
      redeliveries: redelivered,
      staleSettlements: refused,
      deadLetters,
      leadersWithLeasesOut,
      consumingSeeds: isConsuming ? 1 : 0,
      provenConsumingSeeds: isConsuming && confirmed >= SETTLEMENTS_MIN ? 1 : 0,
      elections: invariants.elections,
      truncations: invariants.truncations,
      boots: brokers.reduce((sum, { boots }) => sum + boots, 0),
      imagesSaved: counters.get("images_saved") ?? 0,
      imagesInstalled: counters.get("images_installed") ?? 0,
      rebuilds: counters.get("state_rebuilds") ?? 0,
      metadataCompared: invariants.metadataCompared,
      damagedLeaders: invariants.damagedLeaders,
      forcedLeaders: this.#calm.forcedLeaders,
      changesCompared: invariants.changesCompared,
      divergences: this.#workload.divergences,
    };
  }

  #shortcomings(): string[] {
    const { brokers, world } = this.#cluster;
    const { sends } = this.#workload.operations;
    const bites = [...this.#faults.bitten]
      .filter(([kind]) => !isOfConsumers(kind))
      .reduce((sum, [, count]) => sum + count, 0);
    const short: string[] = [];
    if (brokers.length < NODES_MIN) short.push(`only ${brokers.length} nodes`);
    if (sends < OPERATIONS_MIN) short.push(`only ${sends} sends`);
    if (bites < BITTEN_MIN) short.push(`only ${bites} faults bit`);
    if (world.nowMs < VIRTUAL_MS_MIN) short.push(`only ${Math.round(world.nowMs)} virtual ms`);
    if (!this.#calm.isPassed) short.push("the last phase was not reached");
    return short;
  }

  async #createTopics(): Promise<void> {
    const cluster = this.#cluster;
    const client = plainClient(cluster);
    for (const topic of cluster.plan.topics) {
      declare(cluster, topic);
      const create = (): Promise<void> => client.createTopic(topic, CREATE_LIMIT_MS);
      await cluster.complete(cluster.clientHost, create, CREATE_LIMIT_MS * 2);
      cluster.learnTopic(topic);
    }
  }

  async #disturb(): Promise<void> {
    const { plan, world } = this.#cluster;
    this.#workload.start();
    this.#deliveries.start();
    this.#faults.start();
    await world.runUntil(() => this.#cluster.fatal, plan.durationMs);
    this.#faults.stop();
    this.#workload.stop();
  }
}
