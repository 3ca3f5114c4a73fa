// Carries out the faults of a plan at their times. Every fault is counted as begun, and as bitten when it demonstrably had
// an effect. Begun and stopped by simulate.ts.
import { seededRandom } from "../../../src/base/random.ts";
import { plainClient } from "../clients.ts";
import type { Deliveries } from "../delivery/deliveries.ts";
import type { FaultStep } from "../plan/seed-plan.ts";
import type { PublishClient } from "../publish-client.ts";
import type { SimBroker } from "../sim-broker.ts";
import type { SimCluster } from "../sim-cluster.ts";
import type { FaultContext } from "./fault.ts";
import { type FaultKind, isDamage, isOfConsumers } from "./kinds.ts";
import { FAULTS } from "./table.ts";

const POLL_MS = 100;

export class Faults {
  readonly begun = new Map<FaultKind, number>();
  readonly bitten = new Map<FaultKind, number>();
  readonly #cluster: SimCluster;
  readonly #steps: readonly FaultStep[];
  readonly #operator: PublishClient;
  readonly #deliveries: Deliveries;
  /** Ends what is under way. */
  readonly #active = new Set<() => void>();
  /** The same of what concerns consumers only. */
  readonly #ofConsumers = new Set<() => void>();
  #isStopped = false;
  #disturbedMs = 0;
  /** Under way, and no mere damage to a disk. */
  #disturbances = 0;

  constructor(cluster: SimCluster, steps: readonly FaultStep[], deliveries: Deliveries) {
    this.#cluster = cluster;
    this.#deliveries = deliveries;
    this.#steps = steps;
    this.#operator = plainClient(cluster);
    cluster.isDisturbed = () => this.#disturbances > 0;
  }

  start(): void {
    for (const step of this.#steps) {
      this.#cluster.world.schedule(step.atMs, () => {
        if (!this.#isStopped) FAULTS[step.kind](this.#context(step));
      });
    }
  }

  /** Everything is as it should be from here on; nodes that are down start, disks that failed are replaced. */
  stop(): void {
    this.#isStopped = true;
    for (const { storage } of this.#cluster.machines) storage.crashHook = undefined;
    this.#cluster.applied.clear();
    for (const end of [...this.#active, ...this.#ofConsumers]) end();
  }

  #context(step: FaultStep): FaultContext {
    const cluster = this.#cluster;
    const { kind, lastsMs } = step;
    const isQuiet = isOfConsumers(kind);
    const active = isQuiet ? this.#ofConsumers : this.#active;
    let nodes: number[] = [];
    let hasBitten = false;
    const weight = isQuiet || isDamage(kind) ? 0 : 1;
    return {
      cluster,
      step,
      operator: this.#operator,
      deliveries: this.#deliveries,
      random: seededRandom(step.draw),
      begin: (brokers: readonly SimBroker[]) => {
        nodes = brokers.map(({ nodeId }) => nodeId);
        add(this.begun, kind);
        if (!isQuiet) this.#disturbedMs = cluster.world.nowMs;
        cluster.fault(kind, "start", nodes);
      },
      bit: () => {
        if (hasBitten) return;
        hasBitten = true;
        add(this.bitten, kind);
        cluster.fault(kind, "bit", nodes);
      },
      lasting: (end) => {
        const once = (): void => {
          if (!active.delete(once)) return;
          this.#disturbances -= weight;
          if (!isQuiet) this.#disturbedMs = cluster.world.nowMs;
          cluster.fault(kind, "stop", nodes);
          end();
        };
        active.add(once);
        this.#disturbances += weight;
        cluster.world.schedule(lastsMs, once);
      },
      quietMs: () => (this.#active.size > 0 ? 0 : cluster.world.nowMs - this.#disturbedMs),
      when: (condition, limitMs, then) => this.#when(condition, limitMs, then),
    };
  }

  #when(condition: () => boolean, limitMs: number, then: () => void): void {
    if (this.#isStopped || limitMs <= 0) return;
    if (condition()) then();
    else {
      const again = (): void => this.#when(condition, limitMs - POLL_MS, then);
      this.#cluster.world.schedule(POLL_MS, again);
    }
  }
}

function add(counts: Map<FaultKind, number>, kind: FaultKind): void {
  counts.set(kind, (counts.get(kind) ?? 0) + 1);
}
