// The part of the run on one plain cluster: leader faults, rolling restart, loss of a majority, and then the judgement of
// everything that was sent meanwhile. run.ts calls it; the phases are in files of their own.
import { createClient } from "../../src/client/index.ts";
import { LocalCluster } from "../support/local-cluster.ts";
import { brokerLogs } from "./broker-logs.ts";
import { ClusterView, digestProblems } from "./cluster-view.ts";
import { keepHistory } from "./keep-history.ts";
import { Ledger } from "./ledger.ts";
import { Load } from "./load.ts";
import { type MajorityLoss, runMajorityLoss } from "./majority-loss.ts";
import type { PowerCutRun } from "./power-cut.ts";
import { readBack } from "./read-back.ts";
import { type RollingRestart, runRollingRestart } from "./rolling-restart.ts";
import { type Round, runRounds } from "./rounds.ts";
import { RunHistory } from "./run-history.ts";
import { RATE_MARGIN, type Session } from "./session.ts";
import { emptinessOf, judge, MUST_COMPARE, problemsOf, type Verdict } from "./verdict.ts";
import { within } from "./waiting.ts";

const TOPIC = "chaos";
const DELIVERY_TIMEOUT_MS = 60_000;
const FLUSH_TIMEOUT_MS = 90_000;
const HEAL_TIMEOUT_MS = 60_000;

export interface LeaderChaos {
  readonly rounds: readonly Round[];
  readonly rolling: RollingRestart | undefined;
  readonly majority: MajorityLoss | undefined;
  readonly verdict: Verdict;
  readonly replicasCompared: number;
  /** Longest pause of the load generator itself. */
  readonly worstStallMs: number;
}

export async function runLeaderChaos(run: PowerCutRun): Promise<LeaderChaos> {
  const { options, random, problems, say } = run;
  const cluster = await LocalCluster.create({ directory: run.directory });
  run.onStarted(() => cluster.close());
  try {
    await cluster.up(HEAL_TIMEOUT_MS);
    const client = createClient({ bootstrap: cluster.bootstrap });
    await client.admin().createTopic({
      name: TOPIC,
      partitions: options.partitions,
      replicationFactor: 3,
      settings: { flush: "sync" },
    });
    const ledger = new Ledger();
    const load = new Load({
      client,
      ledger,
      topic: TOPIC,
      random,
      producer: "main",
      rate: options.rate * RATE_MARGIN,
      deliveryTimeoutMs: DELIVERY_TIMEOUT_MS,
    });
    const view = new ClusterView(cluster, TOPIC, options.partitions);
    const session: Session = {
      options,
      random,
      cluster,
      topic: TOPIC,
      view,
      ledger,
      history: new RunHistory(`leader faults, seed ${options.seed}`, ledger, TOPIC),
      load,
      problems,
      say,
    };
    try {
      say(`three brokers serve "${TOPIC}" with ${options.partitions} partitions`);
      load.start();
      const rounds = await runRounds(session);
      const rolling = options.rollingRestart ? await runRollingRestart(session) : undefined;
      const majority = options.majorityLoss ? await runMajorityLoss(session) : undefined;
      const { worstStallMs } = load;
      const conclusion = await conclude(session);
      if (problems.length > 0) keepHistory(run, session.history);
      return { rounds, rolling, majority, worstStallMs, ...conclusion };
    } catch (error) {
      keepHistory(run, session.history);
      throw error;
    } finally {
      await load.stop();
      await view.close();
      await client.close({ timeoutMs: 1000 });
    }
  } finally {
    await cluster.close();
  }
}

/** Heals, stops the load, reads everything with a fresh client, compares the replicas, judges. */
async function conclude(
  session: Session,
): Promise<Pick<LeaderChaos, "verdict" | "replicasCompared">> {
  const { cluster, view, load, ledger, history, topic, options, problems, say } = session;
  await view.waitInSync(HEAL_TIMEOUT_MS);
  await load.stop();
  await within("callbacks of all sends", FLUSH_TIMEOUT_MS, load.flush()).catch((error: unknown) =>
    problems.push(String(error)),
  );
  if (ledger.pending > 0) problems.push(`${ledger.pending} sends never had their callback`);
  if (ledger.repeatedCallbacks > 0) {
    problems.push(`${ledger.repeatedCallbacks} sends had more than one callback`);
  }
  history.reads = await readBack(cluster.bootstrap, topic, options.partitions);
  await view.waitInSync(HEAL_TIMEOUT_MS);
  history.leaders(await view.describe());
  const digests = await view.digests();
  history.digests(digests);
  history.logLines(brokerLogs(cluster));
  const verdict = judge(history);
  say(`read ${verdict.read} of ${verdict.acknowledged} acknowledged messages back`);
  problems.push(...problemsOf(verdict), ...emptinessOf(verdict, MUST_COMPARE));
  problems.push(...digestProblems(digests).map((text) => `replicas differ: ${text}`));
  if (digests.length !== options.partitions * cluster.nodes.length) {
    problems.push(`${digests.length} replicas were compared, not ${options.partitions} × 3`);
  }
  return { verdict, replicasCompared: digests.length };
}
