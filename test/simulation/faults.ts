// What goes wrong, and when: each seed draws the kinds of faults it uses and how often they come (a swarm: some runs see
// only power cuts, others everything at once). Every fault is counted as begun, and as bitten when it demonstrably had an
// effect. Begun and stopped by simulate.ts.
import { type Random, seededRandom } from "../../src/base/random.ts";
import { isBrokerError } from "../../src/model/errors.ts";
import type { SimBroker } from "./sim-broker.ts";
import type { SimCluster } from "./sim-cluster.ts";
import { FAST_DISK, SLOW_DISK } from "./sim-disk.ts";
import { CALM_NETWORK } from "./sim-network.ts";

export const FAULT_KINDS = [
  "kill",
  "power cut",
  "blackout",
  "double cut",
  "pause",
  "partition",
  "one-way cut",
  "reset",
  "latency",
  "transfer",
  "slow disk",
  "clock skew",
] as const;
export type FaultKind = (typeof FAULT_KINDS)[number];

export function isFaultKind(text: string): text is FaultKind {
  return FAULT_KINDS.some((kind) => kind === text);
}

/** May take what all/async has acknowledged. */
export function isMassCut(kind: FaultKind): boolean {
  return MASS_CUTS.includes(kind);
}

/** What one seed does to its cluster. */
export interface FaultPlan {
  readonly kinds: readonly FaultKind[];
  /** Between two faults, ms, at most. */
  readonly pauseMsMax: number;
  /** How long one lasts, ms, at most. */
  readonly lastsMsMax: number;
}

const PROBABILITY = 0.45;
/** Several nodes lose power at once: only sync topics must survive that. */
const MASS_CUTS: readonly FaultKind[] = ["blackout", "double cut"];
const MASS_CUT_PROBABILITY = 0.3;
/** Only when asked for: replicas that lost unflushed entries vote as if they had not (architecture §7.11). */
const NOT_DRAWN: readonly FaultKind[] = ["double cut"];
const KINDS_MIN = 3;
/** All nodes were up, connected and caught up for so long before one loses power: no lazy entry is on one disk only. */
const SETTLED_MS = 1500;
const RETRY_MS = 500;

export function drawPlan(random: Random): FaultPlan {
  const drawable = FAULT_KINDS.filter((kind) => !NOT_DRAWN.includes(kind));
  const kinds = drawable.filter(
    (kind) => random.next() < (MASS_CUTS.includes(kind) ? MASS_CUT_PROBABILITY : PROBABILITY),
  );
  while (kinds.length < KINDS_MIN) {
    const kind = drawable[random.integer(0, drawable.length)];
    if (kind !== undefined && !kinds.includes(kind)) kinds.push(kind);
  }
  return {
    kinds,
    pauseMsMax: random.integer(500, 5000),
    lastsMsMax: random.integer(500, 8000),
  };
}

export class Faults {
  readonly begun = new Map<FaultKind, number>();
  readonly bitten = new Map<FaultKind, number>();
  readonly #cluster: SimCluster;
  readonly #plan: FaultPlan;
  readonly #random: Random;
  readonly #onBlackout: () => void;
  /** Ends what is under way. */
  readonly #active = new Set<() => void>();
  #disturbedMs = 0;
  #isStopped = false;

  constructor(cluster: SimCluster, plan: FaultPlan, onBlackout: () => void) {
    this.#cluster = cluster;
    this.#plan = plan;
    this.#random = seededRandom(cluster.world.random.integer(0, 2 ** 32));
    this.#onBlackout = onBlackout;
  }

  start(): void {
    this.#cluster.world.schedule(this.#random.next() * this.#plan.pauseMsMax, () => this.#next());
  }

  /** Everything is as it should be from here on; nodes that are down start. */
  stop(): void {
    this.#isStopped = true;
    for (const end of [...this.#active]) end();
  }

  #next(): void {
    if (this.#isStopped) return;
    const { kinds, pauseMsMax } = this.#plan;
    const kind = kinds[this.#random.integer(0, kinds.length)];
    const isBegun = kind !== undefined && this.#begin(kind);
    const delayMs = isBegun ? this.#random.next() * pauseMsMax : RETRY_MS;
    this.#cluster.world.schedule(delayMs, () => this.#next());
  }

  /** @returns false when it is not possible now */
  #begin(kind: FaultKind): boolean {
    switch (kind) {
      case "kill":
        return this.#crash(kind, "process");
      case "power cut":
        return this.#isSettled() && this.#crash(kind, "power");
      case "blackout":
      case "double cut":
        return this.#blackout(kind);
      case "pause":
        return this.#pause();
      case "partition":
        return this.#partition();
      case "one-way cut":
        return this.#oneWayCut();
      case "reset":
        return this.#reset();
      case "latency":
        return this.#latency();
      case "transfer":
        return this.#transfer();
      case "slow disk":
        return this.#slowDisk();
      case "clock skew":
        return this.#clockSkew();
    }
  }

  #crash(kind: FaultKind, how: "process" | "power"): boolean {
    const broker = this.#pick((candidate) => candidate.host.isUp);
    if (broker === undefined) return false;
    const wasServing = broker.node?.isRegistered === true;
    this.#started(kind, [broker]);
    broker.kill(how);
    if (wasServing) this.#bit(kind, [broker]);
    this.#lasting(kind, [broker], () => broker.boot());
    return true;
  }

  /** Power is lost on all three nodes, or on two while the third goes on. */
  #blackout(kind: "blackout" | "double cut"): boolean {
    const up = this.#cluster.brokers.filter(({ host }) => host.isUp);
    if (up.length < 2) return false;
    const spared = this.#random.integer(0, up.length);
    const victims = kind === "blackout" ? up : up.filter((_, at) => up.length < 3 || at !== spared);
    this.#started(kind, victims);
    for (const broker of victims) broker.kill("power");
    this.#onBlackout();
    this.#bit(kind, victims);
    for (const broker of victims) this.#lasting(kind, [broker], () => broker.boot());
    return true;
  }

  #pause(): boolean {
    const broker = this.#pick(({ host }) => host.isUp && !host.isPaused);
    if (broker === undefined) return false;
    const { host } = broker;
    const { generation } = host;
    this.#started("pause", [broker]);
    host.pause();
    this.#lasting("pause", [broker], () => {
      if (host.generation === generation && host.resume() > 0) this.#bit("pause", [broker]);
    });
    return true;
  }

  /** One machine alone, clients included or not; or two brokers that do not hear each other. */
  #partition(): boolean {
    const { network } = this.#cluster;
    const dice = this.#random.next();
    const broker = this.#pick(() => true);
    const other = this.#pick((candidate) => candidate !== broker);
    if (broker === undefined || other === undefined) return false;
    const a = broker.host.name;
    const isPair = dice < 0.4;
    const others = isPair
      ? [other.host.name]
      : this.#cluster.brokers.map(({ host }) => host.name).filter((name) => name !== a);
    if (dice > 0.7) others.push(this.#cluster.clientHost.name, this.#cluster.sdkHost.name);
    this.#cuts("partition", isPair ? [broker, other] : [broker], () => {
      for (const name of others) {
        network.cut(a, name);
        network.cut(name, a);
      }
    });
    return true;
  }

  #oneWayCut(): boolean {
    const { network } = this.#cluster;
    const broker = this.#pick(() => true);
    if (broker === undefined) return false;
    const isDeaf = this.#random.next() < 0.5;
    const others = this.#cluster.brokers.filter((candidate) => candidate !== broker);
    const cut = this.#random.next() < 0.5 ? others : others.slice(0, 1);
    this.#cuts("one-way cut", [broker], () => {
      for (const { host } of cut) {
        if (isDeaf) network.cut(host.name, broker.host.name);
        else network.cut(broker.host.name, host.name);
      }
    });
    return true;
  }

  #cuts(kind: FaultKind, brokers: readonly SimBroker[], cut: () => void): void {
    const { network } = this.#cluster;
    const heldBefore = network.messagesHeld;
    this.#started(kind, brokers);
    cut();
    this.#lasting(kind, brokers, () => {
      if (network.messagesHeld > heldBefore) this.#bit(kind, brokers);
      network.heal();
    });
  }

  #reset(): boolean {
    const { brokers, clientHost, network, sdkHost } = this.#cluster;
    const machines = [...brokers.map(({ host }) => host), clientHost, sdkHost];
    const broker = this.#pick(({ host }) => host.isUp);
    const other = machines[this.#random.integer(0, machines.length)];
    if (broker === undefined || other === undefined || other === broker.host) return false;
    const before = network.streamsBroken;
    this.#started("reset", [broker]);
    network.reset(broker.host, other);
    if (network.streamsBroken > before) this.#bit("reset", [broker]);
    return true;
  }

  #latency(): boolean {
    const { network } = this.#cluster;
    if (network.timing !== CALM_NETWORK) return false;
    const latencyMsMax = this.#random.integer(20, 600);
    const before = network.messagesDelivered;
    this.#started("latency", []);
    network.timing = { latencyMsMin: 0.05, latencyMsMax };
    this.#lasting("latency", [], () => {
      network.timing = CALM_NETWORK;
      if (network.messagesDelivered > before) this.#bit("latency", []);
    });
    return true;
  }

  #transfer(): boolean {
    const groups = this.#cluster.groups;
    const group = groups[this.#random.integer(0, groups.length)];
    const leader = group === undefined ? undefined : this.#cluster.leaderOf(group);
    if (group === undefined || leader === undefined || leader.host.isPaused) return false;
    const target = this.#pick((candidate) => candidate !== leader);
    if (target === undefined) return false;
    this.#started("transfer", [leader, target]);
    const transfer = async (): Promise<void> => {
      try {
        await leader.node?.replicas.get(group)?.transferLeadership(target.nodeId);
        this.#bit("transfer", [leader, target]);
      } catch (error) {
        if (!isBrokerError(error)) throw error;
      }
    };
    this.#cluster.world.schedule(
      0,
      () => {
        transfer().catch((error: unknown) => this.#cluster.violation(`transfer: ${String(error)}`));
      },
      leader.host,
    );
    return true;
  }

  #slowDisk(): boolean {
    const broker = this.#pick(({ storage }) => storage.timing === FAST_DISK);
    if (broker === undefined) return false;
    const { storage } = broker;
    const before = storage.syncs;
    this.#started("slow disk", [broker]);
    storage.timing = SLOW_DISK;
    this.#lasting("slow disk", [broker], () => {
      storage.timing = FAST_DISK;
      if (storage.syncs > before) this.#bit("slow disk", [broker]);
    });
    return true;
  }

  #clockSkew(): boolean {
    const broker = this.#pick(() => true);
    if (broker === undefined) return false;
    this.#started("clock skew", [broker]);
    broker.host.wallSkewMs = this.#random.integer(-20_000, 20_001);
    this.#bit("clock skew", [broker]);
    this.#lasting("clock skew", [broker], () => {
      broker.host.wallSkewMs = 0;
    });
    return true;
  }

  /** Everybody has everything, on disk: the next power cut is one node's alone. */
  #isSettled(): boolean {
    const { brokers, groups, world } = this.#cluster;
    if (this.#active.size > 0 || world.nowMs - this.#disturbedMs < SETTLED_MS) return false;
    for (const { bootedAtMs, node } of brokers) {
      if (node === undefined || world.nowMs - bootedAtMs < SETTLED_MS) return false;
      if (node.replicas.all().some(({ record }) => record.recovering)) return false;
      if (node.replicas.all().length < groups.length) return false;
    }
    return groups.every((group) => {
      const behind = this.#cluster.replicas(group).map((replica) => replica.status());
      const last = Math.max(...behind.map(({ lastIndex }) => lastIndex));
      return behind.every(({ flushedIndex }) => flushedIndex >= last - 5);
    });
  }

  #pick(suits: (broker: SimBroker) => boolean): SimBroker | undefined {
    const fit = this.#cluster.brokers.filter(suits);
    return fit[this.#random.integer(0, fit.length)];
  }

  #started(kind: FaultKind, brokers: readonly SimBroker[]): void {
    add(this.begun, kind);
    this.#disturbedMs = this.#cluster.world.nowMs;
    this.#cluster.fault(kind, "start", ids(brokers));
  }

  #bit(kind: FaultKind, brokers: readonly SimBroker[]): void {
    add(this.bitten, kind);
    this.#cluster.fault(kind, "bit", ids(brokers));
  }

  /** Ends after a while, or with stop(). */
  #lasting(kind: FaultKind, brokers: readonly SimBroker[], end: () => void): void {
    const once = (): void => {
      if (!this.#active.delete(once)) return;
      this.#disturbedMs = this.#cluster.world.nowMs;
      this.#cluster.fault(kind, "stop", ids(brokers));
      end();
    };
    this.#active.add(once);
    this.#cluster.world.schedule(this.#random.next() * this.#plan.lastsMsMax, once);
  }
}

function ids(brokers: readonly SimBroker[]): number[] {
  return brokers.map(({ nodeId }) => nodeId);
}

function add(counts: Map<FaultKind, number>, kind: FaultKind): void {
  counts.set(kind, (counts.get(kind) ?? 0) + 1);
}
