// What one seed draws. A swarm: some runs see only power cuts, others everything at once; some have five brokers, slow
// disks, tiny buffers or many clients, others nothing of that. Pure.
import { type Random, seededRandom } from "../../../src/base/random.ts";
import type { Acks } from "../../../src/model/durability.ts";
import {
  BROKER_FAULT_KINDS,
  endsDisk,
  FAULT_KINDS,
  type FaultKind,
  losesPageCache,
  MINORITY_FAULT_KINDS,
  needsMoreNodes,
} from "../faults/kinds.ts";
import { drawConsumerFaults, drawSubscriptions } from "./draw-subscriptions.ts";
import type { FaultStep, ReaderPlan, SeedPlan, TopicPlan, UserPlan } from "./seed-plan.ts";

export interface DrawOptions {
  readonly durationMs?: number | undefined;
  /** Instead of what the seed draws. */
  readonly kinds?: readonly FaultKind[] | undefined;
  /** There may be subscriptions; false: there are none. */
  readonly consumers?: boolean | undefined;
}

/** With start, calm and final reads even the shorter ones take more than a virtual minute. */
const DURATIONS_MS: readonly number[] = [48_000, 48_000, 48_000, 48_000, 48_000, 48_000, 90_000];
const NODES_MIN = 3;
const FIVE_NODES_PROBABILITY = 0.2;
/** Of each topic where there are nodes enough: a leader and a follower can be a minority there. */
const FIVE_REPLICAS_PROBABILITY = 0.5;
/** Of the seeds whose power cuts may take what all/async has acknowledged. */
const DOUBTFUL_PROBABILITY = 0.3;
/** In so many runs clocks go on within a turn, as they do outside; in the others what is due at once is due together. */
const MOVING_CLOCK_PROBABILITY = 0.5;
const LOOK_MS = 0.002;
const MINORITY_PAUSE_MS_MAX = 20_000;
/** The others have to notice, and to elect. */
const MINORITY_MS_MIN = 1500;
const MINORITY_MS_SPREAD = 5000;
/** So many runs may grow. */
const SPARE_NODES_PROBABILITY = 0.25;
const KIND_PROBABILITY = 0.35;
const KINDS_MIN = 4;
/** Runs without power loss hold all/async to its promise, so not all have it. */
const POWER_LOSS_PROBABILITY = 0.45;
const DISK_ENDS_MAX = 2;
/** Nothing else is begun before one of these, or while its node is made anew. */
const QUIET_BEFORE_MS = 4500;
const QUIET_AFTER_MS = 6000;
/** So many runs have no consumers, whatever they draw: consuming doubles what a run costs. */
const PLAIN_PROBABILITY = 0.5;
/** What consumers do in a long run they do in two shorter ones. */
const CONSUMING_MS_MAX = 60_000;
/** For the shorter ones. */
const SENDS_MIN = 700;
const SENDS_MAX = 1700;

export function drawPlan(random: Random, options: DrawOptions = {}): SeedPlan {
  const durationMs = options.durationMs ?? pick(random, DURATIONS_MS);
  const nodes = random.next() < FIVE_NODES_PROBABILITY ? 5 : NODES_MIN;
  const spareNodes = random.next() < SPARE_NODES_PROBABILITY ? 2 : 0;
  const kinds = options.kinds ?? drawKinds(random, nodes + spareNodes > NODES_MIN);
  const drawn = drawTopics(random);
  const mayForget = kinds.some(losesPageCache);
  const plan = {
    nodes,
    spareNodes,
    durationMs,
    network: {
      latencyMsMax: pick(random, [0.5, 1, 1, 5, 25]),
      bufferBytes: pick(random, [16 * 1024, 256 * 1024, 2 * 1024 * 1024]),
    },
    syncMsMax: pick(random, [1, 5, 5, 15]),
    users: drawUsers(random, drawn),
    readers: drawReaders(random, drawn, mayForget),
    deliveryTimeoutMs: pick(random, [4000, 8000, 15_000]),
    faults: drawFaults(random, kinds.filter(isOfBrokers), durationMs),
  } as const;
  // Last, and with one number each: what is drawn here changes nothing of what is drawn above.
  const own = seededRandom(random.integer(0, 2 ** 32));
  const wide = seededRandom(random.integer(0, 2 ** 32));
  const doubt = seededRandom(random.integer(0, 2 ** 32));
  const pace = seededRandom(random.integer(0, 2 ** 32));
  const base = { ...plan, ...(pace.next() < MOVING_CLOCK_PROBABILITY && { lookMs: LOOK_MS }) };
  const topics = nodes === 5 ? withReplicas(wide, drawn) : drawn;
  const minorities = drawMinorities(wide, topics, durationMs, options.kinds ?? FAULT_KINDS);
  const readers = withDoubtful(doubt, plan.readers, mayForget ? topics : []);
  const subscriptions = drawSubscriptions(own, topics);
  const steps = drawConsumerFaults(own, durationMs, options.kinds ?? FAULT_KINDS);
  const isPlain = own.next() < PLAIN_PROBABILITY || durationMs > CONSUMING_MS_MAX;
  if (options.consumers === false || subscriptions.length === 0 || isPlain) {
    return { ...base, readers, topics, faults: merge(plan.faults, minorities) };
  }
  const faults = merge(plan.faults, minorities, steps);
  return { ...base, readers, topics, subscriptions, faults };
}

function isOfBrokers(kind: FaultKind): boolean {
  return BROKER_FAULT_KINDS.some((one) => one === kind);
}

function drawKinds(random: Random, hasMoreNodes: boolean): readonly FaultKind[] {
  const hasPowerLoss = random.next() < POWER_LOSS_PROBABILITY;
  const drawable = BROKER_FAULT_KINDS.filter(
    (kind) => (hasPowerLoss || !losesPageCache(kind)) && (hasMoreNodes || !needsMoreNodes(kind)),
  );
  const kinds = drawable.filter(() => random.next() < KIND_PROBABILITY);
  while (kinds.length < KINDS_MIN) {
    const kind = pick(random, drawable);
    if (!kinds.includes(kind)) kinds.push(kind);
  }
  return kinds;
}

function drawTopics(random: Random): TopicPlan[] {
  const partitions = random.integer(1, 3);
  const valueBytes = pick(random, [0, 0, 1500]);
  const ledger = {
    name: "ledger",
    partitions,
    flush: "sync",
    isRolling: false,
    valueBytes,
  } as const;
  const feed = {
    ...ledger,
    name: "feed",
    flush: "async",
    partitions: random.integer(1, 3),
  } as const;
  const topics: TopicPlan[] = [ledger, feed];
  const rolls = random.next();
  if (rolls < 0.7) {
    const flush = rolls < 0.5 ? "sync" : "async";
    topics.push({ name: "rolling", partitions: 1, flush, isRolling: true, valueBytes: 8000 });
  }
  return topics;
}

function withReplicas(random: Random, topics: readonly TopicPlan[]): TopicPlan[] {
  return topics.map((topic) => {
    return random.next() < FIVE_REPLICAS_PROBABILITY ? { ...topic, replicas: 5 } : topic;
  });
}

function drawMinorities(
  random: Random,
  topics: readonly TopicPlan[],
  durationMs: number,
  kinds: readonly FaultKind[],
): FaultStep[] {
  const steps: FaultStep[] = [];
  const [kind] = MINORITY_FAULT_KINDS;
  if (!kinds.includes(kind) || topics.every(({ replicas }) => replicas === undefined)) return steps;
  const next = (): number => Math.round(random.next() * MINORITY_PAUSE_MS_MAX);
  for (let atMs = next(); atMs < durationMs; atMs += next()) {
    const lastsMs = Math.round(MINORITY_MS_MIN + random.next() * MINORITY_MS_SPREAD);
    steps.push({ kind, atMs, lastsMs, draw: random.integer(0, 2 ** 31) });
  }
  return steps;
}

function merge(...lists: readonly (readonly FaultStep[])[]): FaultStep[] {
  return lists.flat().sort((a, b) => a.atMs - b.atMs);
}

/** Everybody sends at about the same rate; the number of sends and of senders differs from run to run. */
function drawUsers(random: Random, topics: readonly TopicPlan[]): UserPlan[] {
  const count = random.integer(6, 14);
  const sends = SENDS_MIN * (SENDS_MAX / SENDS_MIN) ** random.next();
  const pauseMsMax = Math.round((2 * Math.min(...DURATIONS_MS) * count) / sends);
  const users: UserPlan[] = [];
  for (let number = 0; number < count; number += 1) {
    const client = random.next() < 0.5 ? "plain" : "sdk";
    // Each topic has a sender that waits for everybody.
    const topic = topics[number] ?? pick(random, topics);
    const acks = topics[number] === undefined ? drawAcks(random, client) : "all";
    const flush =
      acks === "all" && topic.flush === "async" && random.next() < 0.25 ? "sync" : undefined;
    const burstMax = client === "sdk" ? random.integer(1, 9) : 1;
    const pause = Math.round((pauseMsMax * (1 + burstMax)) / 2);
    const name = `${client}${number}-${topic.name}-${acks}`;
    users.push({ name, client, topic: topic.name, acks, flush, pauseMsMax: pause, burstMax });
  }
  return users;
}

function drawAcks(random: Random, client: UserPlan["client"]): Acks {
  const dice = random.next();
  if (dice < 0.65) return "all";
  return dice < 0.9 || client === "plain" ? "leader" : "none";
}

/** What a power cut may take is followed by nobody here: a follower would see another history afterwards. */
function drawReaders(random: Random, topics: readonly TopicPlan[], mayForget: boolean): ReaderPlan {
  const followed = topics.filter(({ flush, isRolling }) => {
    return !isRolling && (flush === "sync" || !mayForget);
  });
  const some = (): string[] => followed.filter(() => random.next() < 0.6).map(({ name }) => name);
  return {
    plain: some(),
    sdk: some(),
    asksForOutcomes: random.next() < 0.5,
    asksForBounds: true,
    hasPassingTopics: random.next() < 0.3,
  };
}

/** Somebody follows nevertheless, and has to be told when what was read is gone. */
function withDoubtful(
  random: Random,
  readers: ReaderPlan,
  topics: readonly TopicPlan[],
): ReaderPlan {
  const names = topics.flatMap(({ flush, isRolling, name }) => {
    return flush === "async" && !isRolling ? [name] : [];
  });
  const isWanted = names.length > 0 && random.next() < DOUBTFUL_PROBABILITY;
  return isWanted ? { ...readers, doubtful: names } : readers;
}

function drawFaults(random: Random, kinds: readonly FaultKind[], durationMs: number): FaultStep[] {
  const pauseMsMax = 1200 * 6 ** random.next();
  const lastsMsMax = 800 * 10 ** random.next();
  const steps: FaultStep[] = [];
  if (kinds.length === 0) return steps;
  let diskEnds = 0;
  let endMs = 0;
  for (let atMs = random.next() * pauseMsMax; ; atMs += random.next() * pauseMsMax) {
    const kind = pick(random, kinds);
    const lastsMs = Math.round(200 + random.next() * lastsMsMax);
    const draw = random.integer(0, 2 ** 31);
    const isRare = endsDisk(kind);
    if (isRare && diskEnds === DISK_ENDS_MAX) {
      // Kinds that remain come instead, if there are any.
      if (kinds.every(endsDisk)) break;
      continue;
    }
    const needsQuiet = isRare || kind === "quiet power cut";
    if (needsQuiet) atMs = Math.max(atMs, endMs + QUIET_BEFORE_MS);
    if (atMs >= durationMs) break;
    steps.push({ kind, atMs: Math.round(atMs), lastsMs, draw });
    if (isRare) diskEnds += 1;
    endMs = Math.max(endMs, atMs + lastsMs);
    if (isRare) atMs = endMs + QUIET_AFTER_MS;
  }
  return steps;
}

function pick<T>(random: Random, from: readonly T[]): T {
  const picked = from[random.integer(0, from.length)];
  if (picked === undefined) throw new Error("nothing to pick from");
  return picked;
}
