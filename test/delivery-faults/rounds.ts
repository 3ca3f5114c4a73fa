// The faults of a run: in each round the leader of most partitions is killed five seconds after all replicas were in sync
// again, and a consumer at some moment of the round, now and then at the same moment.
import type { PartitionView } from "../chaos/cluster-view.ts";
import { startFault } from "../chaos/leader-faults.ts";
import { waitUntil } from "../chaos/waiting.ts";
import { pause } from "../support/local-cluster.ts";
import type { Arena } from "./arena.ts";
import { writeCursors } from "./final-state.ts";
import type { Operator } from "./operator.ts";

const CALM_MS = 5000;
const IN_SYNC_TIMEOUT_MS = 60_000;
const TAKE_OVER_TIMEOUT_MS = 30_000;
const CATCH_UP_MS = 15_000;
/** Longer than a take-over, during which consumers may have nothing. */
const BUSY_TIMEOUT_MS = 4000;
/** Guess for the first round; then the average of those that were made. */
const ROUND_MS = 8000;
/** The load ends a little before the faults do. */
const HEADROOM = 0.85;

export interface Round {
  readonly nodeId: number;
  readonly partitions: number;
  /** From the kill until another broker led all of them, ms. */
  readonly tookOverMs: number;
  readonly hasBitten: boolean;
}

export async function runRounds(arena: Arena): Promise<readonly Round[]> {
  const { confirmed, options, say } = arena;
  const rounds: Round[] = [];
  const startMs = performance.now();
  await arena.view.waitInSync(IN_SYNC_TIMEOUT_MS);
  arena.load.start();
  confirmed.count(true);
  for (let at = 0; at < options.kills; at += 1) {
    steer(arena, at, startMs);
    const round = await runRound(arena, at);
    rounds.push(round);
    const counts = `${confirmed.total} of ${arena.history.ledger.acknowledged} confirmed`;
    say(
      `round ${at + 1}/${options.kills}: node ${round.nodeId}, ${Math.round(round.tookOverMs)} ms; ${counts}`,
    );
  }
  await catchUp(arena);
  return rounds;
}

/** So fast that all messages are sent while the faults last. */
function steer({ history, load, options }: Arena, done: number, startMs: number): void {
  const averageMs = done === 0 ? ROUND_MS : (performance.now() - startMs) / done;
  const leftMs = (options.kills - done) * averageMs * HEADROOM;
  const left = options.messages - history.ledger.sent;
  load.setRate(Math.max(1, (left * 1000) / leftMs));
}

async function runRound(arena: Arena, at: number): Promise<Round> {
  const { cluster, history, operator, problems, random, view } = arena;
  await view.waitInSync(IN_SYNC_TIMEOUT_MS);
  // Before, after, or together with the leader.
  const together = random.next() < 0.25;
  const consumerAtMs = together ? CALM_MS : random.next() * CALM_MS * 1.5;
  const consumers = killConsumer(arena, consumerAtMs);
  await pause(CALM_MS);
  const { led, nodeId, parked } = await chooseLeader(arena);
  history.run.leaders(led);
  history.run.fault("kill", "start", [nodeId]);
  const fault = startFault(cluster, "kill", nodeId);
  let tookOverMs: number | undefined;
  const tookOver = waitUntil(
    "take-over",
    TAKE_OVER_TIMEOUT_MS,
    async () => isLedAnew(led, await view.describe()),
    25,
  ).then(
    () => {
      tookOverMs = performance.now() - fault.atMs;
    },
    (error: unknown) => {
      problems.push(`round ${at + 1}: the kill of node ${nodeId}: ${String(error)}`);
    },
  );
  await fault.heal(tookOver);
  await cluster.waitHealthy(nodeId, IN_SYNC_TIMEOUT_MS);
  await view.waitInSync(IN_SYNC_TIMEOUT_MS);
  history.run.fault("kill", "stop", [nodeId]);
  history.run.leaders(await view.describe());
  await tookOver;
  // Now there may be none: leaderships are being given back to their preferred nodes.
  const hasBitten = tookOverMs !== undefined;
  if (hasBitten) history.run.fault("kill", "bit", [nodeId]);
  await consumers;
  if (hasBitten) problems.push(...operator.compare(parked, await operator.parked()));
  await operator.releaseAll().catch(() => undefined);
  await writeCursors(
    arena.client.admin(),
    arena.subscription,
    arena.options.partitions,
    history.recorder,
  ).catch(() => undefined);
  return {
    nodeId,
    partitions: led.length,
    tookOverMs: tookOverMs ?? TAKE_OVER_TIMEOUT_MS,
    hasBitten,
  };
}

/** The leader of most that is parked; when nothing is, of most partitions. With what is parked in its partitions. */
async function chooseLeader({ operator, random, view }: Arena): Promise<{
  readonly nodeId: number;
  readonly led: readonly PartitionView[];
  readonly parked: Awaited<ReturnType<Operator["parked"]>>;
}> {
  const all = await operator.parked();
  const partitions = await view.describe();
  let { led, nodeId } = await view.busiestLeader(random);
  const isMine = (one: { readonly partition: number }): boolean =>
    led.some(({ partition }) => partition === one.partition);
  let parked = all.filter(isMine);
  for (const { leaderId } of partitions) {
    const own = partitions.filter((one) => one.leaderId === leaderId);
    const ofIt = all.filter((one) => own.some(({ partition }) => partition === one.partition));
    if (leaderId === 0 || ofIt.length <= parked.length) continue;
    nodeId = leaderId;
    led = own;
    parked = ofIt;
  }
  return { nodeId, led, parked };
}

/** What was held up is worked on, too, before the faults count as over. */
async function catchUp({ client, history, operator, options, subscription }: Arena): Promise<void> {
  if (!operator.isHolding) return;
  const { partitions } = options;
  const isDone = async (): Promise<boolean> => {
    const isNothing = (await operator.releaseAll()) === 0;
    const { recorder } = history;
    const left = await writeCursors(client.admin(), subscription, partitions, recorder);
    return isNothing && left < options.messages / 100;
  };
  await waitUntil("what was held up", CATCH_UP_MS, isDone, 100).catch(() => undefined);
}

/** Every partition that it led has a leader of a later epoch. */
function isLedAnew(led: readonly PartitionView[], now: readonly PartitionView[]): boolean {
  return led.every(({ leaderEpoch, partition }) => {
    const view = now.find((one) => one.partition === partition);
    return view !== undefined && view.leaderId !== 0 && view.leaderEpoch > leaderEpoch;
  });
}

/** Kills one of the consumers after a while; another one takes its place a little later. */
async function killConsumer({ fleet, random }: Arena, afterMs: number): Promise<void> {
  const restartMs = 200 + random.next() * 1300;
  await pause(afterMs);
  // A kill between two messages would prove little.
  await waitUntil("a busy consumer", BUSY_TIMEOUT_MS, () => fleet.isBusy, 5).catch(() => undefined);
  fleet.kill((count) => random.integer(0, Math.max(1, count)));
  await pause(restartMs);
  await fleet.add();
}
