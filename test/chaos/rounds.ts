// The leader faults: one after the other, each on the node that leads most partitions at that moment, under load.
// A fault that changed no term, or a partition that took more than three seconds, is a problem.
import type { PartitionView } from "./cluster-view.ts";
import { type FaultKind, planFaults, startFault } from "./leader-faults.ts";
import type { FirstAck } from "./load.ts";
import { demandRate, type Session } from "./session.ts";
import { waitUntil } from "./waiting.ts";

const TAKE_OVER_TIMEOUT_MS = 30_000;
const HEAL_TIMEOUT_MS = 60_000;

export interface PartitionRound {
  readonly partition: number;
  readonly epochBefore: number;
  readonly epochAfter: number;
  /** From the fault to the first acknowledgement of a send begun after it. */
  readonly failOverMs: number;
}

export interface Round {
  readonly kind: FaultKind;
  readonly nodeId: number;
  readonly rateBefore: number;
  /** Acknowledged sends a second from the fault until every partition answered again. */
  readonly rateDuring: number;
  readonly partitions: readonly PartitionRound[];
  /** From the fault until every replica was in sync again. */
  readonly healedMs: number;
}

export async function runRounds(session: Session): Promise<readonly Round[]> {
  const plan = planFaults(session.random, session.options.rounds);
  const rounds: Round[] = [];
  for (const [i, kind] of plan.entries()) {
    await session.view.waitInSync(HEAL_TIMEOUT_MS);
    const round = await runRound(session, kind, `round ${i + 1}`);
    rounds.push(round);
    const times = round.partitions.map(
      (one) => `${one.partition}: ${Math.round(one.failOverMs)} ms`,
    );
    session.say(
      `round ${i + 1}/${plan.length}: ${kind} of node ${round.nodeId}, first acks ${times.join(", ")}`,
    );
  }
  return rounds;
}

async function runRound(session: Session, kind: FaultKind, name: string): Promise<Round> {
  const { view, load, cluster, ledger, history, random } = session;
  const rateBefore = await demandRate(session, name);
  const { nodeId, led } = await view.busiestLeader(random);
  const ackedBefore = ledger.acknowledged;
  history.leaders(led);
  history.fault(kind, "start", [nodeId]);
  const fault = startFault(cluster, kind, nodeId);
  const firstAcks = load.watchFirstAcks();
  const answersAll = (): boolean => led.every(({ partition }) => firstAcks.has(partition));
  const tookOver = waitUntil("take-over", TAKE_OVER_TIMEOUT_MS, answersAll, 10).catch(
    () => undefined,
  );
  const [, rateDuring] = await Promise.all([
    fault.heal(tookOver),
    tookOver.then(
      () => ((ledger.acknowledged - ackedBefore) * 1000) / (performance.now() - fault.atMs),
    ),
  ]);
  await cluster.waitHealthy(nodeId, HEAL_TIMEOUT_MS);
  await view.waitInSync(HEAL_TIMEOUT_MS);
  history.fault(kind, "stop", [nodeId]);
  const after = await view.describe();
  history.leaders(after);
  const partitions = led.map((before) => partitionRound(before, fault.atMs, firstAcks, after));
  const hasBitten = partitions.some((one) => one.epochAfter > one.epochBefore);
  if (hasBitten) history.fault(kind, "bit", [nodeId]);
  judgeRound(session, name, kind, partitions);
  const healedMs = performance.now() - fault.atMs;
  return { kind, nodeId, rateBefore, rateDuring, partitions, healedMs };
}

function partitionRound(
  before: PartitionView,
  faultAtMs: number,
  firstAcks: ReadonlyMap<number, FirstAck>,
  after: readonly PartitionView[],
): PartitionRound {
  const { partition, leaderEpoch: epochBefore } = before;
  const ack = firstAcks.get(partition);
  const described = after.find((view) => view.partition === partition)?.leaderEpoch ?? 0;
  return {
    partition,
    epochBefore,
    epochAfter: ack?.leaderEpoch ?? described,
    failOverMs: (ack?.atMs ?? Number.POSITIVE_INFINITY) - faultAtMs,
  };
}

/** The epoch that counts is that of the first acknowledgement after the fault: no later change can excuse it. */
function judgeRound(
  session: Session,
  name: string,
  kind: FaultKind,
  partitions: readonly PartitionRound[],
): void {
  const { problems } = session;
  const { failOverMsMax } = session.options;
  for (const { partition, epochBefore, epochAfter, failOverMs } of partitions) {
    const where = `${name} (${kind}), partition ${partition}`;
    if (epochAfter <= epochBefore) {
      problems.push(`${where}: the fault did not bite, epoch ${epochBefore} → ${epochAfter}`);
    }
    if (failOverMs > failOverMsMax) {
      const took = Number.isFinite(failOverMs) ? `after ${Math.round(failOverMs)} ms` : "never";
      problems.push(`${where}: first acknowledgement ${took}, at most ${failOverMsMax} ms allowed`);
    }
  }
}
