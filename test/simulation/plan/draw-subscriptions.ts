// Which subscriptions a seed draws, who consumes them, and what is done to them meanwhile. Random numbers of its own, so
// that everything else of the plan stays what the seed always drew. Pure.
import type { Random } from "../../../src/base/random.ts";
import type { FailurePolicy, SubscriptionMode } from "../../../src/model/subscription.ts";
import { DELIVERY_FAULT_KINDS, type FaultKind } from "../faults/kinds.ts";
import type { ConsumerPlan, FaultStep, SubscriptionPlan, TopicPlan } from "./seed-plan.ts";

/** How many a run has, each as likely: what is consumed costs as much as what is sent. */
const SUBSCRIPTIONS: readonly number[] = [0, 0, 0, 1, 1, 1, 1, 1, 1, 2];
/** Each settlement that comes alone costs an entry, so even the quick ones end together. */
const WORK_MS: readonly number[] = [25, 100, 400];
const CONSUMERS_MAX = 4;
const MODES: readonly SubscriptionMode[] = ["shared", "keyed", "fifo", "exclusive"];
/** Most that goes wrong with dead letters needs some. */
const POLICIES: readonly FailurePolicy[] = ["stop", "park", "skip", "skip"];
const ATTEMPTS_MAX: readonly number[] = [1, 2, 2, 3, 5];
const FILTER_PROBABILITY = 0.25;
const DEAD_LETTERS_PROBABILITY = 0.8;
/** What each kind of fault does is short against the time between them. */
const FAULT_PAUSE_MS_MAX = 12_000;
const FAULT_LASTS_MS_MAX = 5000;
/** It has to live longer than what it holds is left to it. */
const ZOMBIE_MS_MIN = 3000;

export function drawSubscriptions(
  random: Random,
  topics: readonly TopicPlan[],
): readonly SubscriptionPlan[] {
  const count = SUBSCRIPTIONS[random.integer(0, SUBSCRIPTIONS.length)] ?? 0;
  return Array.from({ length: count }, (_, at) => drawSubscription(random, `sub${at + 1}`, topics));
}

/** @param kinds those that may occur */
export function drawConsumerFaults(
  random: Random,
  durationMs: number,
  kinds: readonly FaultKind[],
): FaultStep[] {
  const drawable = DELIVERY_FAULT_KINDS.filter((kind) => kinds.includes(kind));
  const steps: FaultStep[] = [];
  if (drawable.length === 0) return steps;
  for (let atMs = random.next() * FAULT_PAUSE_MS_MAX; atMs < durationMs; ) {
    const kind = drawable[random.integer(0, drawable.length)];
    const leastMs = kind === "consumer zombie" ? ZOMBIE_MS_MIN : 200;
    const lastsMs = Math.round(leastMs + random.next() * FAULT_LASTS_MS_MAX);
    const draw = random.integer(0, 2 ** 31);
    if (kind !== undefined) steps.push({ kind, atMs: Math.round(atMs), lastsMs, draw });
    atMs += random.next() * FAULT_PAUSE_MS_MAX;
  }
  return steps;
}

function drawSubscription(
  random: Random,
  name: string,
  topics: readonly TopicPlan[],
): SubscriptionPlan {
  const first = topics[random.integer(0, topics.length)];
  const mode = MODES[random.integer(0, MODES.length)] ?? "shared";
  const policy = POLICIES[random.integer(0, POLICIES.length)] ?? "skip";
  const hasAllTopics = random.next() < 0.15;
  const isChosen = (topic: TopicPlan): boolean => topic === first || hasAllTopics;
  const count = random.integer(1, CONSUMERS_MAX + 1);
  const plan = {
    name,
    mode,
    topics: topics.filter(isChosen).map((topic) => topic.name),
    attemptsMax: ATTEMPTS_MAX[random.integer(0, ATTEMPTS_MAX.length)] ?? 1,
    onFailure: mode === "shared" ? "skip" : policy,
    ackDeadlineMs: random.integer(1000, 4000),
    isFiltered: random.next() < FILTER_PROBABILITY,
    hasDeadLetters: random.next() < DEAD_LETTERS_PROBABILITY,
    troubles: random.next() < 0.2 ? 0 : random.next() * 0.3,
    consumers: Array.from({ length: count }, () => drawConsumer(random)),
  };
  return plan.isFiltered && filtersByTags(plan.consumers) ? { ...plan, filtersByTags: true } : plan;
}

/** Half of them, by a bit of what is drawn anyhow: everything else of seeds stays what it was before there were tags. */
function filtersByTags(consumers: readonly ConsumerPlan[]): boolean {
  return consumers.reduce((sum, { draw }) => sum + draw, 0) % 2 === 1;
}

function drawConsumer(random: Random): ConsumerPlan {
  return {
    concurrency: random.integer(1, 7),
    prefetch: random.next() < 0.5 ? 200 : random.integer(1, 20),
    extends: random.next() < 0.6,
    workMs: WORK_MS[random.integer(0, WORK_MS.length)] ?? 1,
    draw: random.integer(0, 2 ** 31),
  };
}
