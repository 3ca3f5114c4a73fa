// One fault after the other: waits until all is well, strikes, watches, heals, and demands that every partition is written
// to again. What was demanded and did not come is a problem.
import { pause } from "../../support/local-cluster.ts";
import type { FaultKind, Injury, Scene } from "../faults/fault.ts";
import type { FirstAck, Watch } from "../load.ts";
import { waitUntil, within } from "../waiting.ts";
import {
  type Arena,
  brokerIds,
  describeAll,
  type PlacedView,
  type TopicUnderTest,
  waitAllInSync,
} from "./arena.ts";
import type { FaultRecord } from "./result.ts";
import { symptomsOf } from "./symptoms.ts";

const SYNC_TIMEOUT_MS = 60_000;
const RATE_TIMEOUT_MS = 30_000;
const RATE_WINDOW_MS = 1000;
/** Of the load's rate, before the next fault. */
const RATE_SHARE = 0.8;
const TAKE_OVER_TIMEOUT_MS = 20_000;
const DONE_TIMEOUT_MS = 120_000;
const RESUME_TIMEOUT_MS = 30_000;
const MINORITY_ACKS_MIN = 100;
const WATCH_MS = 10;

/** Watches of all topics, from the same moment on. */
type Watches = ReadonlyMap<TopicUnderTest, Watch>;

export async function runFault(
  arena: Arena,
  kind: FaultKind,
  brokers: 3 | 5,
): Promise<FaultRecord> {
  await calm(arena, kind.name);
  const startedMs = performance.now();
  const victims = await kind.choose(arena);
  const before = await describeAll(arena);
  noteLeaders(arena, before);
  const others = brokerIds(arena).filter((id) => !victims.includes(id));
  const scene: Scene = { arena, victims, others, before };
  arena.history.fault(kind, "start", victims);
  const faultMs = performance.now();
  const startedAtMs = Date.now();
  const injury = await kind.inflict(scene);
  const watches = watchAll(arena);
  const led = before.filter(({ leaderId }) => leaderId === victims[0]);
  const proof = await hold(arena, kind, injury, led, watches);
  const acknowledged = sumOf(watches);
  const firstAcks = new Map(led.map((view) => [view, firstAckOf(watches, view)]));
  const resumedMs = await heal(arena, kind, injury, watches);
  if (kind.effect === "disk") {
    const time = { fromMs: startedAtMs, toMs: Date.now() };
    arena.brokenDisks.push(...victims.map((node) => ({ node, ...time })));
  }
  const after = await describeAll(arena);
  noteLeaders(arena, after);
  if (proof !== undefined) arena.history.fault(kind, "bit", victims);
  arena.history.fault(kind, "stop", victims);
  const lost = led.filter((view) => epochOf(after, view) > view.leaderEpoch);
  const record: FaultRecord = {
    kind: kind.name,
    brokers,
    nodes: victims,
    proof: kind.losesLeader && lost.length === 0 ? undefined : proof,
    led: led.length,
    lost: lost.length,
    failOverMs: kind.losesLeader ? lost.map((view) => timeOf(firstAcks.get(view), faultMs)) : [],
    resumedMs,
    acknowledged,
    seconds: (performance.now() - startedMs) / 1000,
  };
  judge(arena, kind, record);
  return record;
}

/** All replicas in sync and the load at its rate. */
async function calm(arena: Arena, name: string): Promise<void> {
  await waitAllInSync(arena, SYNC_TIMEOUT_MS);
  const wanted = arena.rate * RATE_SHARE;
  await waitUntil(`${wanted} acks/s before ${name}`, RATE_TIMEOUT_MS, () => {
    const rates = arena.topics.map(({ load }) => load.ackRate(RATE_WINDOW_MS));
    return rates.reduce((sum, rate) => sum + rate, 0) >= wanted;
  });
}

/** Resolves when the fault may end: it lasted long enough, did its work, and the others took over. */
async function hold(
  arena: Arena,
  kind: FaultKind,
  { done, proof }: Injury,
  led: readonly PlacedView[],
  watches: Watches,
): Promise<string | undefined> {
  const waiting = (): PlacedView[] =>
    led.filter((view) => kind.losesLeader && firstAckOf(watches, view) === undefined);
  const tookOver = waitUntil(
    "take-over",
    TAKE_OVER_TIMEOUT_MS,
    () => waiting().length === 0,
    WATCH_MS,
  ).catch(async () => {
    const stuck = waiting();
    arena.problems.push(`${kind.name}: nothing acknowledged in ${stuck.length} of ${led.length}`);
    for (const view of stuck) {
      for (const line of await symptomsOf(arena, view)) arena.say(line);
    }
  });
  const finished = within(`${kind.name} done`, DONE_TIMEOUT_MS, done ?? Promise.resolve());
  const caught = finished.catch((error: unknown) => arena.problems.push(String(error)));
  await Promise.all([pause(kind.holdMs), tookOver, caught]);
  return proof();
}

/** Returns how long it took until every partition acknowledged a send that began after the fault's end. */
async function heal(
  arena: Arena,
  kind: FaultKind,
  injury: Injury,
  watches: Watches,
): Promise<number> {
  await injury.heal();
  const healedMs = performance.now();
  for (const [{ load }, watch] of watches) load.unwatch(watch);
  const last = watchAll(arena);
  await waitUntil(
    `${kind.name}: a last write in every partition`,
    RESUME_TIMEOUT_MS,
    () => [...last].every(([{ history }, { firstAcks }]) => firstAcks.size === history.partitions),
    WATCH_MS,
  );
  const resumedMs = performance.now() - healedMs;
  for (const [{ load }, watch] of last) load.unwatch(watch);
  await waitAllInSync(arena, SYNC_TIMEOUT_MS);
  return resumedMs;
}

function judge(arena: Arena, kind: FaultKind, record: FaultRecord): void {
  const where = `${kind.name} (node ${record.nodes.join(", ")})`;
  const { acknowledged, proof } = record;
  if (proof === undefined) {
    arena.problems.push(`${where}: nothing shows that it bit (${record.lost}/${record.led} lost)`);
  }
  if (kind.reach === "minority" && acknowledged < MINORITY_ACKS_MIN) {
    arena.problems.push(`${where}: only ${acknowledged} sends succeeded meanwhile`);
  }
  if (kind.reach === "majority" && acknowledged > 0) {
    arena.problems.push(`${where}: ${acknowledged} sends succeeded without a majority`);
  }
  for (const id of brokerIds(arena)) {
    if (arena.cluster.isRunning(id)) continue;
    arena.problems.push(`${where}: node ${id} does not run afterwards`);
  }
}

function watchAll({ topics }: Arena): Watches {
  return new Map(topics.map((topic) => [topic, topic.load.watch()]));
}

function sumOf(watches: Watches): number {
  return [...watches.values()].reduce((sum, { acknowledged }) => sum + acknowledged, 0);
}

function firstAckOf(watches: Watches, { partition, topic }: PlacedView): FirstAck | undefined {
  return watches.get(topic)?.firstAcks.get(partition);
}

function timeOf(ack: FirstAck | undefined, faultMs: number): number {
  return ack === undefined ? TAKE_OVER_TIMEOUT_MS : ack.atMs - faultMs;
}

function epochOf(views: readonly PlacedView[], { partition, topic }: PlacedView): number {
  const view = views.find((one) => one.topic === topic && one.partition === partition);
  return view?.leaderEpoch ?? 0;
}

function noteLeaders({ history, topics }: Arena, views: readonly PlacedView[]): void {
  for (const topic of topics) {
    const own = views.filter((view) => view.topic === topic);
    history.leaders(topic.history.name, own);
  }
}
