// Everything that one run is made of: the cluster, its topics, who sends what, and which faults come when. A seed draws a
// plan (draw-plan.ts); a scenario keeps one as JSON; the shrinker takes faults out of one. Equal seed and equal plan give
// equal runs.
import type { Acks, Flush } from "../../../src/model/durability.ts";
import type { FailurePolicy, SubscriptionMode } from "../../../src/model/subscription.ts";
import type { FaultKind } from "../faults/kinds.ts";

const REPLICAS = 3;

export interface SeedPlan {
  /** With which the cluster begins. */
  readonly nodes: 3 | 5;
  /** Empty machines that may join later. */
  readonly spareNodes?: number | undefined;
  /** Virtual time under faults. */
  readonly durationMs: number;
  /** So long a look at a clock takes, virtual ms. Left out: none, time stands still within a turn. */
  readonly lookMs?: number | undefined;
  readonly network: NetworkPlan;
  /** The slowest of the usual syncs, ms. */
  readonly syncMsMax: number;
  readonly topics: readonly TopicPlan[];
  readonly users: readonly UserPlan[];
  readonly readers: ReaderPlan;
  /** Of all SDK producers. */
  readonly deliveryTimeoutMs: number;
  /** Left out: none, as in scenarios from before there were any. */
  readonly subscriptions?: readonly SubscriptionPlan[] | undefined;
  /** Oldest first. */
  readonly faults: readonly FaultStep[];
}

export interface NetworkPlan {
  readonly latencyMsMax: number;
  /** Bytes that a stream takes before its sender has to wait. */
  readonly bufferBytes: number;
}

export interface TopicPlan {
  readonly name: string;
  readonly partitions: number;
  readonly flush: Flush;
  /** Old segments go by size, so that logs are cut and replicas that were away for long need images. */
  readonly isRolling: boolean;
  /** Values are at least so long. */
  readonly valueBytes: number;
  /** Of each partition; left out: 3. */
  readonly replicas?: 5 | undefined;
}

export interface UserPlan {
  readonly name: string;
  /** plain: one unary call after the other. sdk: bursts through a shared SDK producer. */
  readonly client: "plain" | "sdk";
  readonly topic: string;
  readonly acks: Acks;
  /** Stronger than the topic's. */
  readonly flush?: "sync" | undefined;
  readonly pauseMsMax: number;
  /** Messages at once, sdk only. */
  readonly burstMax: number;
}

export interface ReaderPlan {
  /** Follow by unary fetches, a page at a time. */
  readonly plain: readonly string[];
  /** Follow by the SDK's stream. */
  readonly sdk: readonly string[];
  /** Some senders ask later what became of what only the leader had. */
  readonly asksForOutcomes: boolean;
  /** Somebody asks all the time where partitions end. Left out: nobody, as in scenarios from before there was one. */
  readonly asksForBounds?: boolean | undefined;
  /** Of these somebody follows what power may take away again, one reader for each partition. Left out: nobody. */
  readonly doubtful?: readonly string[] | undefined;
  /** Topics come and go. */
  readonly hasPassingTopics: boolean;
}

export interface SubscriptionPlan {
  readonly name: string;
  readonly topics: readonly string[];
  readonly mode: SubscriptionMode;
  readonly attemptsMax: number;
  readonly onFailure: FailurePolicy;
  readonly ackDeadlineMs: number;
  /** Wants half of the keys. */
  readonly isFiltered: boolean;
  /** By tags, which messages of its topics carry then. Left out: by SQL, as in scenarios from before there were any. */
  readonly filtersByTags?: true | undefined;
  readonly hasDeadLetters: boolean;
  /** Part of the messages that are not simply processed and acknowledged, 0 to 1. */
  readonly troubles: number;
  readonly consumers: readonly ConsumerPlan[];
}

export interface ConsumerPlan {
  readonly concurrency: number;
  /** Messages. */
  readonly prefetch: number;
  /** It extends the leases of what it works on. */
  readonly extends: boolean;
  /** Its handlers end at multiples of this. */
  readonly workMs: number;
  /** Seeds what its handlers do. */
  readonly draw: number;
}

export interface FaultStep {
  readonly kind: FaultKind;
  /** Since the faults began. */
  readonly atMs: number;
  readonly lastsMs: number;
  /** Seeds whatever else the fault chooses. */
  readonly draw: number;
  /** Instead of nodes that it would choose. */
  readonly nodes?: readonly number[] | undefined;
}

export function replicasOf({ replicas }: TopicPlan): number {
  return replicas ?? REPLICAS;
}

export function settingsOf({ flush, isRolling, valueBytes }: TopicPlan): Record<string, string> {
  // Small segments: logs roll, and what is sealed can be damaged.
  const segmentBytes = isRolling || valueBytes > 0 ? { "segment.bytes": "65536" } : {};
  const retention = isRolling ? { "retention.bytes": "65536" } : {};
  return { flush, ...segmentBytes, ...retention };
}
