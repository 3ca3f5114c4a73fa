// One act: an arena of its own, faults under load until its time is over, then everything is read back, compared and judged.
import { digestProblems } from "../cluster-view.ts";
import type { FaultKind } from "../faults/fault.ts";
import { keepHistory } from "../keep-history.ts";
import { readBack } from "../read-back.ts";
import { emptinessOf, judge, MUST_COMPARE, problemsOf, type Verdict } from "../verdict.ts";
import { within } from "../waiting.ts";
import { type Arena, describeAll, waitAllInSync } from "./arena.ts";
import { type ArenaOptions, type OpenArena, openArena } from "./arena-opening.ts";
import { grow, shrink } from "./growth.ts";
import { judgedLogs } from "./log-lines.ts";
import { Deck } from "./plan.ts";
import type { ActResult, FaultRecord } from "./result.ts";
import { runFault } from "./rounds.ts";

const FLUSH_TIMEOUT_MS = 90_000;
const SYNC_TIMEOUT_MS = 60_000;
const READ_TIMEOUT_MS = 300_000;

export interface ActOptions extends ArenaOptions {
  readonly durationMs: number;
  readonly kinds: readonly FaultKind[];
  /** Told how to end everything should the process be interrupted. */
  readonly onStarted: (end: () => Promise<void>) => void;
}

export async function runAct(options: ActOptions): Promise<ActResult> {
  const open = await openArena(options);
  options.onStarted(open.close);
  const { arena, readers } = open;
  const faults: FaultRecord[] = [];
  try {
    for (const { load } of arena.topics) load.start();
    for (const reader of readers) reader.start();
    await makeFaults(options, arena, faults);
    return await conclude(options, open, faults);
  } catch (error) {
    arena.problems.push(
      `the act broke off: ${error instanceof Error ? error.stack : String(error)}`,
    );
    keepHistory(arena, arena.history);
    return resultOf(options, open, faults, undefined, 0);
  } finally {
    await open.close();
  }
}

async function makeFaults(options: ActOptions, arena: Arena, faults: FaultRecord[]): Promise<void> {
  const { brokers, durationMs, kinds, random, say } = options;
  const deck = new Deck(random, kinds);
  const note = (record: FaultRecord): void => {
    faults.push(record);
    say(`${faults.length}: ${wordsOf(record)}`);
  };
  const startMs = performance.now();
  if (brokers === 5) note(await grow(arena));
  while (performance.now() - startMs < durationMs) {
    note(await runFault(arena, deck.draw(), brokers));
  }
  if (brokers === 5) note(await shrink(arena));
}

function wordsOf(record: FaultRecord): string {
  const { acknowledged, failOverMs, kind, led, lost, nodes, proof, resumedMs, seconds } = record;
  const times = failOverMs.map((ms) => Math.round(ms)).join(" ");
  return [
    `${kind} of node ${nodes.join(" ")}, ${proof ?? "NOT BIT"}`,
    `${lost}/${led} leaders lost${times === "" ? "" : `, next ack after ${times} ms`}`,
    `${acknowledged} acks meanwhile, resumed in ${Math.round(resumedMs)} ms, ${Math.round(seconds)} s`,
  ].join("; ");
}

/** Stops the load, reads everything with a fresh client, compares the replicas, judges. */
async function conclude(
  options: ActOptions,
  open: OpenArena,
  faults: readonly FaultRecord[],
): Promise<ActResult> {
  const { arena, readers } = open;
  const { cluster, history, ledger, problems, say, topics } = arena;
  await waitAllInSync(arena, SYNC_TIMEOUT_MS);
  for (const { load } of topics) {
    await load.stop();
    await within("callbacks of all sends", FLUSH_TIMEOUT_MS, load.flush()).catch((error: unknown) =>
      problems.push(String(error)),
    );
  }
  if (ledger.pending > 0) problems.push(`${ledger.pending} sends never had their callback`);
  if (ledger.repeatedCallbacks > 0) {
    problems.push(`${ledger.repeatedCallbacks} sends had more than one callback`);
  }
  for (const { history: topic } of topics) {
    const { name, partitions } = topic;
    topic.finals = await readBack(cluster.bootstrap, name, partitions, READ_TIMEOUT_MS);
  }
  for (const reader of readers) await reader.stop();
  const idle = readers.filter(({ read }) => read === 0).length;
  if (idle > 0) problems.push(`${idle} of ${readers.length} live readers read nothing`);
  const compared = await compare(arena);
  history.logLines(judgedLogs(cluster, arena.brokenDisks));
  const verdict = judge(history);
  say(`read ${verdict.read} records back, ${verdict.acknowledged} were acknowledged`);
  problems.push(...problemsOf(verdict), ...emptinessOf(verdict, MUST_COMPARE));
  for (const [reason, count] of readers.flatMap(({ ends }) => [...ends])) {
    say(`live readers ended ${count} times with ${reason}`);
  }
  if (problems.length > 0) keepHistory(arena, history);
  return resultOf(options, open, faults, verdict, compared);
}

/** Every replica's bytes against those of its siblings. Returns how many were compared. */
async function compare(arena: Arena): Promise<number> {
  await waitAllInSync(arena, SYNC_TIMEOUT_MS);
  const views = await describeAll(arena);
  let compared = 0;
  for (const { history: topic, view } of arena.topics) {
    const digests = await view.digests();
    arena.history.digests(topic.name, digests);
    const differing = digestProblems(digests);
    arena.problems.push(...differing.map((text) => `replicas of ${topic.name} differ: ${text}`));
    compared += digests.length;
  }
  const replicas = views.reduce((sum, view) => sum + view.replicas.length, 0);
  if (compared !== replicas) {
    arena.problems.push(`${compared} replicas were compared, not ${replicas}`);
  }
  return compared;
}

function resultOf(
  { brokers }: ActOptions,
  { arena, readers }: OpenArena,
  faults: readonly FaultRecord[],
  verdict: Verdict | undefined,
  replicasCompared: number,
): ActResult {
  const liveReads = readers.reduce((sum, reader) => sum + reader.read, 0);
  const worstStallMs = Math.max(...arena.topics.map(({ load }) => load.worstStallMs));
  return { brokers, faults, verdict, liveReads, replicasCompared, worstStallMs };
}
