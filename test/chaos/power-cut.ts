// Power cuts of all three brokers at once under all/sync load: SIGKILL, copy the disk images as they are, start from the
// copies. After each cut everything is read back and judged: what had been acknowledged must be there; of an all/async topic
// what was acknowledged within the window may be gone, and over all cuts some must be, or nothing was proved. With a lying
// disk (positive control) the test must find loss, and ends as soon as it has.
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { createClient } from "../../src/client/index.ts";
import { LocalCluster, pause } from "../support/local-cluster.ts";
import { ClusterView, digestProblems } from "./cluster-view.ts";
import { ImageMounts } from "./image-mounts.ts";
import { keepHistory } from "./keep-history.ts";
import { Ledger } from "./ledger.ts";
import { Load } from "./load.ts";
import { ASYNC_WINDOW_MS, lossOf, type PowerLoss } from "./power-loss.ts";
import { readBack } from "./read-back.ts";
import { RunHistory } from "./run-history.ts";
import { demandRate, RATE_MARGIN, type Session } from "./session.ts";
import { anomalyCount, judge, sumOfVerdicts, type Verdict } from "./verdict.ts";
import { within } from "./waiting.ts";

const NEW_BOOT = fileURLToPath(new URL("new-boot.mjs", import.meta.url));
const LYING_DISK = fileURLToPath(new URL("lying-disk.mjs", import.meta.url));
const TOPIC = "power";
const HEAL_TIMEOUT_MS = 60_000;
const FLUSH_TIMEOUT_MS = 90_000;
const DELIVERY_TIMEOUT_MS = 60_000;
const LYING_CUTS_MAX = 3;
/** Then come new disks: histories and disks stay small. */
const CUTS_PER_CLUSTER = 20;

/** Small disks: hardly a reserve, or the broker would refuse writes; and segments that end now and then. */
const YAML = "storage:\n  diskFreeMin: 8MiB\n";
const SEGMENT_BYTES = 1024 * 1024;

export interface PowerCut {
  /** Acknowledged by brokers that then lost their power, since the cut before. */
  readonly acknowledged: number;
  readonly pendingAtCut: number;
  readonly restartMs: number;
  /** Acknowledged and gone: of all/sync an anomaly. */
  readonly loss: PowerLoss;
}

export interface PowerCuts {
  readonly cuts: readonly PowerCut[];
  /** Of all clusters together. */
  readonly verdict: Verdict | undefined;
  /** Why the cluster did not come back after a cut; only a lying disk may do that. */
  readonly broken: string | undefined;
}

export type PowerCutRun = Pick<Session, "options" | "random" | "problems" | "say"> & {
  /** Where logs, images and mount points go; must exist. */
  readonly directory: string;
  /** Ends everything should the process be interrupted. */
  readonly onStarted: (end: () => Promise<void>) => void;
};

export async function runPowerCuts(run: PowerCutRun): Promise<PowerCuts> {
  const { lyingDisk, powerCuts } = run.options;
  const wanted = lyingDisk ? LYING_CUTS_MAX : powerCuts;
  const cuts: PowerCut[] = [];
  const verdicts: Verdict[] = [];
  for (let batch = 1; cuts.length < wanted; batch += 1) {
    const directory = join(run.directory, `cluster-${batch}`);
    mkdirSync(directory);
    const count = Math.min(CUTS_PER_CLUSTER, wanted - cuts.length);
    const done = await cutOneCluster({ ...run, directory }, count);
    cuts.push(...done.cuts);
    if (done.verdict !== undefined) verdicts.push(done.verdict);
    const isOver = done.broken !== undefined || verdicts.some((one) => anomalyCount(one) > 0);
    if (isOver || done.cuts.length < count) {
      return { cuts, verdict: sumOfVerdicts(verdicts), broken: done.broken };
    }
    if (!run.options.keep) rmSync(directory, { recursive: true, force: true });
  }
  return { cuts, verdict: sumOfVerdicts(verdicts), broken: undefined };
}

async function cutOneCluster(run: PowerCutRun, count: number): Promise<PowerCuts> {
  const mounts = new ImageMounts(run.directory, [1, 2, 3]);
  let cluster: LocalCluster | undefined;
  const end = async (): Promise<void> => {
    await cluster?.close();
    await mounts.close();
  };
  run.onStarted(end);
  try {
    await mounts.create();
    boot(run);
    cluster = await LocalCluster.create({
      directory: run.directory,
      dataDir: (nodeId) => `${mounts.mountPoint(nodeId)}/data`,
      extraYaml: YAML,
      env: { CHAOS_BOOT_ID_FILE: bootIdFile(run.directory) },
      execArgv: [...preload(NEW_BOOT), ...(run.options.lyingDisk ? preload(LYING_DISK) : [])],
    });
    return await cutOften(run, cluster, mounts, count);
  } finally {
    await end();
  }
}

function bootIdFile(directory: string): string {
  return join(directory, "boot-id");
}

/** The machine is switched on: a new boot id. */
function boot({ directory, random }: Pick<PowerCutRun, "directory" | "random">): void {
  writeFileSync(bootIdFile(directory), `${random.uuid()}\n`);
}

function preload(script: string): string[] {
  return ["--import", script];
}

async function cutOften(
  run: PowerCutRun,
  cluster: LocalCluster,
  mounts: ImageMounts,
  wanted: number,
): Promise<PowerCuts> {
  const { options, random, problems, say } = run;
  await cluster.up(HEAL_TIMEOUT_MS);
  const client = createClient({ bootstrap: cluster.bootstrap });
  await client.admin().createTopic({
    name: TOPIC,
    partitions: options.partitions,
    replicationFactor: 3,
    settings: { flush: options.flush, "segment.bytes": String(SEGMENT_BYTES) },
  });
  await mounts.flush();
  const ledger = new Ledger();
  const view = new ClusterView(cluster, TOPIC, options.partitions);
  const load = new Load({
    client,
    ledger,
    topic: TOPIC,
    random,
    producer: "power",
    rate: options.rate * RATE_MARGIN,
    deliveryTimeoutMs: DELIVERY_TIMEOUT_MS,
    flush: options.flush,
  });
  const rules = { asyncWindowMs: ASYNC_WINDOW_MS };
  const session: Session = {
    options,
    random,
    cluster,
    topic: TOPIC,
    view,
    ledger,
    history: new RunHistory(
      `power cuts, seed ${options.seed}`,
      ledger,
      TOPIC,
      options.flush,
      rules,
    ),
    load,
    problems,
    say,
  };
  const cuts: PowerCut[] = [];
  let verdict: Verdict | undefined;
  let broken: string | undefined;
  try {
    while (cuts.length < wanted && broken === undefined) {
      const name = `power cut ${cuts.length + 1}`;
      const fromSend = ledger.sent;
      const { cutMs, ...before } = await cutOnce(session, mounts, name);
      boot(run);
      const restartedAtMs = performance.now();
      try {
        verdict = await recover(session);
      } catch (error) {
        broken = String(error);
        if (!options.lyingDisk) throw error;
      }
      const restartMs = performance.now() - restartedAtMs;
      const loss = lossOf(ledger, session.history.reads, fromSend, cutMs);
      cuts.push({ ...before, restartMs, loss });
      say(`${name}: ${wordsOf(before, loss)}`);
      if (verdict !== undefined && anomalyCount(verdict) > 0) break;
    }
    if (broken === undefined && lostIn(verdict) === 0) await compareReplicas(session);
    const hasFailed = problems.length > 0 || (verdict !== undefined && anomalyCount(verdict) > 0);
    if (hasFailed) keepHistory(run, session.history);
  } catch (error) {
    keepHistory(run, session.history);
    throw error;
  } finally {
    await load.stop();
    await view.close();
    await client.close({ timeoutMs: 1000 });
  }
  return { cuts, verdict, broken };
}

/** Load, then the cut. The brokers are dead and their disks are the copies when it returns. */
async function cutOnce(
  session: Session,
  mounts: ImageMounts,
  name: string,
): Promise<Pick<PowerCut, "acknowledged" | "pendingAtCut"> & { readonly cutMs: number }> {
  const { cluster, view, load, ledger, history, random, problems } = session;
  await view.waitInSync(HEAL_TIMEOUT_MS);
  const ackedBefore = ledger.acknowledged;
  load.start();
  await demandRate(session, name);
  await pause(random.integer(0, 1500));
  const nodes = cluster.nodes.map((node) => node.id);
  history.fault("power cut", "start", nodes);
  const cutMs = performance.now();
  const killed = nodes.map((id) => cluster.kill(id));
  const pendingAtCut = ledger.pending;
  await Promise.all(killed);
  const losses = await mounts.cutPower();
  history.fault("power cut", "bit", nodes);
  await load.stop();
  if (pendingAtCut === 0) problems.push(`${name}: no send was under way`);
  if (losses.length !== nodes.length || !losses.every(({ isMarkGone }) => isMarkGone)) {
    problems.push(`${name}: what was written just before and not flushed is still there`);
  }
  return { acknowledged: ledger.acknowledged - ackedBefore, pendingAtCut, cutMs };
}

/** Starts all brokers, lets the sends that were under way end, reads everything, judges it. */
async function recover(session: Session): Promise<Verdict> {
  const { cluster, view, load, history, topic, options } = session;
  await cluster.up(HEAL_TIMEOUT_MS);
  await view.waitInSync(HEAL_TIMEOUT_MS);
  const nodes = cluster.nodes.map((node) => node.id);
  history.fault("power cut", "stop", nodes);
  await within("sends under way at the cut end", FLUSH_TIMEOUT_MS, load.flush()).catch(
    (error: unknown) => {
      session.problems.push(String(error));
    },
  );
  history.reads = await readBack(cluster.bootstrap, topic, options.partitions);
  return judge(history);
}

async function compareReplicas(session: Session): Promise<void> {
  await session.view.waitInSync(HEAL_TIMEOUT_MS);
  const digests = await session.view.digests();
  session.history.digests(digests);
  const problems = digestProblems(digests);
  session.problems.push(...problems.map((text) => `power cuts: replicas differ, ${text}`));
}

function wordsOf(
  { acknowledged, pendingAtCut }: Pick<PowerCut, "acknowledged" | "pendingAtCut">,
  { bytesMax, lost, oldestMs }: PowerLoss,
): string {
  const text = `${acknowledged} acknowledged, ${pendingAtCut} under way, ${lost} lost`;
  if (lost === 0) return text;
  return `${text} (${Math.round(oldestMs)} ms before the cut at most, ${bytesMax} bytes of one partition)`;
}

export function lostIn(verdict: Verdict | undefined): number {
  return verdict?.counts["lost-acknowledged-write"] ?? 0;
}
