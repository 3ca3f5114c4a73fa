// What every fault works with: its own random numbers, so that leaving one out changes no other; the cluster; a place to
// say that it began, that it bit and when it ends. Made by faults.ts for each step of a plan.
import type { Random } from "../../../src/base/random.ts";
import type { Deliveries } from "../delivery/deliveries.ts";
import type { FaultStep } from "../plan/seed-plan.ts";
import type { PublishClient } from "../publish-client.ts";
import type { SimBroker } from "../sim-broker.ts";
import type { SimCluster } from "../sim-cluster.ts";

export interface FaultContext {
  readonly cluster: SimCluster;
  readonly step: FaultStep;
  /** Gives orders to brokers, as the command line does. */
  readonly operator: PublishClient;
  readonly deliveries: Deliveries;
  readonly random: Random;
  /** It does something from now on, to these nodes. */
  begin(brokers: readonly SimBroker[]): void;
  /** It had an effect. Counted once. */
  bit(): void;
  /** `end` runs once, when the fault's time is over or all faults stop. */
  lasting(end: () => void): void;
  /** Since the last fault ended, ms; 0 while one is under way. */
  quietMs(): number;
  /** Runs `then` when `condition` holds; never when it does not within `limitMs`, or when all faults stop before. */
  when(condition: () => boolean, limitMs: number, then: () => void): void;
}

/** @returns false when it is not possible now */
export type Fault = (context: FaultContext) => boolean;

/** The node that the plan names, or one of those that suit. */
export function pickBroker(
  { cluster, random, step }: FaultContext,
  suits: (broker: SimBroker) => boolean,
): SimBroker | undefined {
  const fit = cluster.brokers.filter((broker) => {
    const isNamed = step.nodes === undefined || step.nodes.includes(broker.nodeId);
    return isNamed && suits(broker);
  });
  return fit[random.integer(0, fit.length)];
}

/** Two times in three the leader of some group: it is where most depends on. */
export function pickVictim(
  context: FaultContext,
  suits: (broker: SimBroker) => boolean,
): SimBroker | undefined {
  const { cluster, random } = context;
  const groups = cluster.groups;
  const group = groups[random.integer(0, groups.length)];
  const leader = group === undefined ? undefined : cluster.leaderOf(group);
  const wantsLeader = random.next() < 2 / 3;
  if (wantsLeader && leader !== undefined) {
    const found = pickBroker(context, (broker) => broker === leader && suits(broker));
    if (found !== undefined) return found;
  }
  return pickBroker(context, suits);
}

export function isRunning({ host }: SimBroker): boolean {
  return host.isUp && !host.isPaused;
}
