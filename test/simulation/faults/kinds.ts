// The kinds of faults, by name, and what must be known of each before a run begins. What they do is in the other files of
// this folder.

import type { FaultEffect } from "../../../src/testkit/index.ts";

export const BROKER_FAULT_KINDS = [
  // The process and the machine.
  "kill",
  "kill all",
  "restart",
  "pause",
  "transfer",
  "clock jump",
  // Power: what was not synced is lost.
  "power cut",
  "quiet power cut",
  "lost cache",
  "torn write",
  "double cut",
  "blackout",
  "crash point",
  "power point",
  // The network.
  "partition",
  "isolated leader",
  "one-way cut",
  "bridge",
  "reset",
  "half-open",
  "stall",
  "latency",
  "message loss",
  "duplication",
  "reordering",
  // The disk.
  "slow disk",
  "hung disk",
  "full disk",
  "fsync error",
  "bit flip",
  "rotten segment",
  "misdirected write",
  "lost disk",
  // Orders of an operator: who belongs to the cluster, and who holds what.
  "move",
  "cancelled move",
  "rebalance",
  "grow",
  "shrink",
  "cancelled shrink",
  "metadata voters",
] as const;
/** What happens to consumers, and what operators do to subscriptions. */
export const CONSUMER_FAULT_KINDS = [
  "consumer kill",
  "consumer pause",
  "consumer deaf",
  "consumer zombie",
  "subscription pause",
  "subscription seek",
] as const;
/** Faults of brokers that come where subscriptions are hurt most. */
export const AIMED_FAULT_KINDS = ["dead letter kill"] as const;
/** Kinds that only runs have where partitions have five replicas. */
export const MINORITY_FAULT_KINDS = ["leading minority"] as const;
/** Kinds that only runs with subscriptions have. */
export const DELIVERY_FAULT_KINDS = [...CONSUMER_FAULT_KINDS, ...AIMED_FAULT_KINDS] as const;
export const FAULT_KINDS = [
  ...BROKER_FAULT_KINDS,
  ...MINORITY_FAULT_KINDS,
  ...DELIVERY_FAULT_KINDS,
] as const;
export type FaultKind = (typeof FAULT_KINDS)[number];

export function isFaultKind(text: string): text is FaultKind {
  return FAULT_KINDS.some((kind) => kind === text);
}

/** Brokers and the network are as before: it excuses nothing of theirs. */
export function isOfConsumers(kind: FaultKind): boolean {
  return CONSUMER_FAULT_KINDS.some((one) => one === kind);
}

/** May take what all/async has acknowledged: the page cache of a machine is lost, and a replica that lost its end votes. */
export function losesPageCache(kind: FaultKind): boolean {
  return LOSES_PAGE_CACHE.has(kind);
}

/** A disk is given up and another one takes its place: seldom, and never two at a time. */
export function endsDisk(kind: FaultKind): boolean {
  return ENDS_DISK.has(kind);
}

/** What stands on a disk is wrong: nothing else is. */
export function isDamage(kind: FaultKind): boolean {
  return kind === "rotten segment" || kind === "misdirected write";
}

/** Needs more nodes than a partition has replicas. */
export function needsMoreNodes(kind: FaultKind): boolean {
  return NEEDS_MORE_NODES.has(kind);
}

/** What the judge of the history takes it for. */
export const EFFECTS: Readonly<Record<FaultKind, FaultEffect>> = {
  kill: "crash",
  "kill all": "crash",
  restart: "restart",
  pause: "pause",
  transfer: "blip",
  "clock jump": "blip",
  "power cut": "power",
  "quiet power cut": "power",
  "lost cache": "power",
  "torn write": "power",
  "double cut": "power",
  blackout: "power",
  "crash point": "crash",
  "power point": "power",
  partition: "cut",
  "isolated leader": "cut",
  "one-way cut": "cut",
  bridge: "cut",
  "leading minority": "cut",
  reset: "blip",
  "half-open": "cut",
  stall: "cut",
  latency: "slow",
  "message loss": "slow",
  duplication: "slow",
  reordering: "slow",
  "slow disk": "slow",
  "hung disk": "slow",
  "full disk": "disk",
  "fsync error": "wipe",
  "bit flip": "disk",
  "rotten segment": "wipe",
  "misdirected write": "wipe",
  "lost disk": "wipe",
  move: "blip",
  "cancelled move": "blip",
  rebalance: "blip",
  grow: "blip",
  shrink: "blip",
  "cancelled shrink": "blip",
  "metadata voters": "blip",
  "consumer kill": "other",
  "consumer pause": "other",
  "consumer deaf": "other",
  "consumer zombie": "other",
  "subscription pause": "other",
  "subscription seek": "other",
  "dead letter kill": "crash",
};

const LOSES_PAGE_CACHE: ReadonlySet<FaultKind> = new Set<FaultKind>([
  "power cut",
  "lost cache",
  "torn write",
  "double cut",
  "blackout",
  "power point",
]);

const ENDS_DISK: ReadonlySet<FaultKind> = new Set<FaultKind>([
  "fsync error",
  "rotten segment",
  "misdirected write",
  "lost disk",
]);

const NEEDS_MORE_NODES: ReadonlySet<FaultKind> = new Set<FaultKind>([
  "move",
  "cancelled move",
  "rebalance",
  "grow",
  "shrink",
  "cancelled shrink",
  "metadata voters",
]);
