// Three simulated brokers, the network between them and the machines of their clients; what goes wrong is collected as
// violations. Built once per seed by simulate.ts.

import type { GroupId, NodeId } from "../../src/model/ids.ts";
import type { Term } from "../../src/model/positions.ts";
import type { Replica } from "../../src/replica/replica.ts";
import type { ReplicaCounter } from "../../src/replica/replica-metrics.ts";
import type { FaultEvent } from "../../src/testkit/index.ts";
import { History } from "../../src/testkit/index.ts";
import { Invariants } from "./invariants.ts";
import { clientEndpoint, SimBroker } from "./sim-broker.ts";
import type { PlantedDefect } from "./sim-disk.ts";
import { SimNetwork } from "./sim-network.ts";
import { type SimHost, World } from "./world.ts";

export interface ClusterOptions {
  readonly seed: number;
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

const NODES = [1, 2, 3] as NodeId[];
const VIOLATIONS_MAX = 20;
const START_LIMIT_MS = 20_000;

export class SimCluster {
  readonly world: World;
  readonly network: SimNetwork;
  readonly brokers: readonly SimBroker[];
  /** Where the SDK runs, and where everything else does that talks to brokers. */
  readonly sdkHost: SimHost;
  readonly clientHost: SimHost;
  readonly history = new History();
  readonly leaderships: Leadership[] = [];
  readonly violations: string[] = [];
  readonly invariants: Invariants;
  readonly counters = new Map<ReplicaCounter, number>();
  readonly #options: ClusterOptions;

  constructor(options: ClusterOptions) {
    this.#options = options;
    const world = new World(options.seed);
    this.world = world;
    this.network = new SimNetwork(world);
    this.network.onDefect = (host, error) => this.#defect(host.name, error);
    this.invariants = new Invariants(
      (problem) => this.violation(problem),
      (node, group, term) => this.leaderships.push({ atMs: world.nowMs, node, group, term }),
    );
    const clusterId = world.random.uuid();
    this.brokers = NODES.map((nodeId) => this.#broker(nodeId, clusterId));
    this.sdkHost = world.host("sdk");
    this.clientHost = world.host("client");
    const byHost = new Map(this.brokers.map((broker) => [broker.host, broker]));
    world.afterEachEvent((host) => {
      const broker = host === undefined ? undefined : byHost.get(host);
      if (broker !== undefined) this.invariants.check(broker);
    });
  }

  get bootstrap(): string[] {
    return NODES.map(clientEndpoint);
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
      await this.complete(broker.host, () => broker.format(), START_LIMIT_MS);
      this.world.schedule(0, () => broker.boot());
    }
    const isStarted = (): boolean =>
      this.brokers.every((broker) => broker.node?.isRegistered === true);
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

  broker(nodeId: number): SimBroker {
    const broker = this.brokers[nodeId - 1];
    if (broker === undefined) throw new Error(`no node ${nodeId}`);
    return broker;
  }

  /** Replicas of a group on the nodes that are up. */
  replicas(group: GroupId): Replica[] {
    return this.brokers.flatMap(({ node }) => node?.replicas.get(group) ?? []);
  }

  leaderOf(group: GroupId): SimBroker | undefined {
    return this.brokers.find(({ node }) => node?.replicas.get(group)?.isLeaderReady === true);
  }

  violation(problem: string): void {
    this.line(`VIOLATION ${problem}`);
    if (this.violations.length < VIOLATIONS_MAX) {
      this.violations.push(`${(this.world.nowMs / 1000).toFixed(3)} s: ${problem}`);
    }
  }

  fault(name: string, phase: FaultEvent["phase"], nodes: readonly number[]): void {
    const atMs = this.world.nowMs;
    this.history.add({ type: "fault", atMs, name, phase, nodes });
    this.line(`fault ${name} ${phase} ${nodes.map((node) => `n${node}`).join(" ")}`);
  }

  /** A line of the story: part of the trace, shown when somebody listens. */
  line(text: string): void {
    this.world.trace(text);
    this.#options.onLine?.(`${(this.world.nowMs / 1000).toFixed(3).padStart(8)} ${text}`);
  }

  #broker(nodeId: NodeId, clusterId: string): SimBroker {
    const { world } = this;
    return new SimBroker(
      world,
      this.network,
      {
        nodeId,
        nodeIds: NODES,
        clusterId,
        seed: world.random.integer(0, 2 ** 32),
        storage: {
          observer: {
            onSegment: (group, first) => this.invariants.segmentBegun(nodeId, group, first),
            onFrame: (group, frame) => this.invariants.frameWritten(nodeId, group, frame),
          },
          planted: this.#options.planted,
        },
        counters: this.counters,
      },
      {
        onFailure: (broker, error) => this.#defect(`n${broker.nodeId}`, error),
        onLog: (broker, level, fields, message) => {
          if (level === "info") return;
          this.line(`n${broker.nodeId} ${level}: ${message} ${describe(fields)}`);
        },
        onBoot: (broker) => this.invariants.booted(broker),
      },
    );
  }

  #defect(name: string, error: unknown): void {
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
    this.violation(`${name} failed: ${text}`);
  }
}

function describe(fields: object): string {
  return JSON.stringify(fields, (_, value: unknown) =>
    value instanceof Error ? describeError(value) : value,
  );
}

/** With its causes: the reason often stands in the innermost one. */
function describeError(error: Error): string {
  const text = error.stack ?? error.message;
  return error.cause instanceof Error ? `${text}, because ${describeError(error.cause)}` : text;
}
