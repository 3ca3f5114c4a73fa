// One mode: brokers, load, consumers, faults; then everything is settled, read back and judged. A run that proves nothing
// fails like one that finds something.
import { type AnomalyKind, checkHistory } from "../../src/testkit/index.ts";
import { brokerLogs } from "../chaos/broker-logs.ts";
import { digestProblems } from "../chaos/cluster-view.ts";
import { keepHistory } from "../chaos/keep-history.ts";
import { readBack } from "../chaos/read-back.ts";
import { judge, problemsOf, type Verdict } from "../chaos/verdict.ts";
import { waitUntil, within } from "../chaos/waiting.ts";
import { type Arena, type ModeSetup, TOPIC, withArena } from "./arena.ts";
import { readDeadLetters, waitAtRest } from "./final-state.ts";
import { type Round, runRounds } from "./rounds.ts";

const FLUSH_TIMEOUT_MS = 90_000;
const REST_TIMEOUT_MS = 120_000;
const HEAL_TIMEOUT_MS = 60_000;
/** Nothing is left to be done: four processes end on a machine that is busy. */
const CLOSE_MS_MAX = 5000;
/** Of all messages, while the faults lasted. */
const CONFIRMED_SHARE_MIN = 0.9;
/** Of all messages, in shared mode: acknowledged after one behind them. */
const SHUFFLED_SHARE_MIN = 0.05;
/** What a run must have looked at; order in the ordered modes. */
const MUST_EXAMINE: readonly AnomalyKind[] = [
  ...(["lost-message", "redelivered-after-ack", "delivered-twice-at-once"] as const),
  ...(["wrong-attempts", "doubled-dead-letter", "cursor-regress", "wrong-delivery"] as const),
];

export interface ModeResult {
  readonly mode: string;
  readonly rounds: readonly Round[];
  readonly consumerKills: number;
  /** Of consumers that worked on something. */
  readonly consumerBites: number;
  readonly verdict: Verdict;
  readonly delivered: number;
  readonly confirmed: number;
  readonly confirmedDuring: number;
  readonly refused: number;
  readonly deadLetters: number;
  /** Messages that were begun again, though nobody had called them failed. */
  readonly returned: number;
  /** Parked keys or stopped partitions that a change of leader left as they were; and those that were let go in the end. */
  readonly survived: number;
  readonly released: number;
  /** Acknowledgements below one of their partition. */
  readonly shuffled: number;
  readonly examined: Readonly<Partial<Record<AnomalyKind, number>>>;
  readonly seconds: number;
  readonly problems: readonly string[];
}

export function runMode(setup: ModeSetup): Promise<ModeResult> {
  return withArena(setup, async (arena) => {
    try {
      return await run(arena);
    } catch (error) {
      keepHistory(arena, arena.history);
      throw error;
    }
  });
}

async function run(arena: Arena): Promise<ModeResult> {
  const { confirmed, coverage, fleet, history, mode, operator, options, problems, say } = arena;
  const startMs = performance.now();
  for (let count = 0; count < options.consumers; count += 1) await fleet.add();
  say(`${mode}: ${options.consumers} consumers of ${options.partitions} partitions`);
  const counter = new AbortController();
  const limited = stopLoadAt(arena, counter.signal);
  const rounds = await runRounds(arena);
  confirmed.count(false);
  await limitReached(arena, limited);
  counter.abort();
  const deadLetters = await settleAll(arena);
  const verdict = await conclude(arena);
  const { delivered, refused } = history.recorder;
  const { examined } = checkHistory(history.events());
  const result: ModeResult = {
    ...{ mode, rounds, verdict, delivered, refused, deadLetters, examined, problems },
    ...{ consumerKills: fleet.kills, consumerBites: fleet.bites },
    ...{ confirmed: confirmed.total, confirmedDuring: confirmed.during },
    ...{ survived: operator.survived, released: operator.released.size },
    ...{ returned: coverage.returned, shuffled: coverage.shuffled },
    seconds: (performance.now() - startMs) / 1000,
  };
  problems.push(...problemsOf(verdict), ...emptiness(result, arena));
  if (problems.length > 0) keepHistory(arena, history);
  return result;
}

/** Ends the load at the number of messages that was asked for. */
async function stopLoadAt({ history, load, options }: Arena, signal: AbortSignal): Promise<void> {
  while (history.ledger.sent < options.messages && !signal.aborted) {
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  await load.stop();
}

async function limitReached({ load, options, say }: Arena, limited: Promise<void>): Promise<void> {
  // The faults are over: what is left goes at once.
  load.setRate(Math.max(2000, options.messages / 20));
  say("the faults are over");
  await limited;
}

/** Every message is settled, or dead. Returns the number of dead letters. What was released is among them. */
async function settleAll(arena: Arena): Promise<number> {
  const { cluster, fleet, history, load, operator } = arena;
  await within("callbacks of all sends", FLUSH_TIMEOUT_MS, load.flush());
  await waitAtRest(arena, REST_TIMEOUT_MS);
  const stopMs = performance.now();
  await within("consumers end", FLUSH_TIMEOUT_MS, fleet.stop());
  const tookMs = Math.round(performance.now() - stopMs);
  if (tookMs > CLOSE_MS_MAX)
    arena.problems.push(`consumers took ${tookMs} ms to close with nothing left`);
  const note = (event: Parameters<typeof history.note>[0]): void => history.note(event);
  const dead = await readDeadLetters(cluster.bootstrap, arena.deadTopic, history.recorder, note);
  const names = new Set(dead);
  for (const name of operator.released) {
    if (!names.has(name)) arena.problems.push(`${name} was released, and is in no dead letter`);
  }
  return dead.length;
}

async function conclude(arena: Arena): Promise<Verdict> {
  const { cluster, history, options, problems, say, view } = arena;
  await view.waitInSync(HEAL_TIMEOUT_MS);
  history.run.reads = await readBack(cluster.bootstrap, TOPIC, options.partitions);
  history.run.leaders(await view.describe());
  let problem = "";
  await waitUntil("equal replicas", HEAL_TIMEOUT_MS, async () => {
    const digests = await view.digests();
    [problem = ""] = digestProblems(digests);
    if (problem === "") history.run.digests(digests);
    return problem === "";
  }).catch(() => problems.push(`replicas differ: ${problem}`));
  history.run.logLines(brokerLogs(cluster));
  const verdict = judge(history);
  say(`judged ${verdict.acknowledged} messages`);
  return verdict;
}

/** Why the run proves less than it should. */
function emptiness(result: ModeResult, { history, mode, operator, options }: Arena): string[] {
  const found: string[] = [];
  const share = result.confirmedDuring / Math.max(1, options.messages);
  if (share < CONFIRMED_SHARE_MIN) {
    found.push(`${Math.round(share * 100)} % of the messages were confirmed during the faults`);
  }
  const bites = result.rounds.filter(({ hasBitten }) => hasBitten).length;
  if (bites < options.kills) found.push(`only ${bites} kills of leaders changed a leader`);
  if (result.consumerKills < options.kills) {
    found.push(`only ${result.consumerKills} consumers were killed`);
  }
  if (result.consumerBites * 2 < result.consumerKills) {
    found.push(`only ${result.consumerBites} consumers that were killed worked on anything`);
  }
  if (history.ledger.acknowledged < options.messages) {
    found.push(`only ${history.ledger.acknowledged} messages were acknowledged`);
  }
  // Others were told to be acknowledged just before, or went on with the next leader.
  if (result.returned * 4 < options.kills) {
    found.push(`only ${result.returned} messages were begun again that nobody had called failed`);
  }
  const shuffled = result.shuffled / Math.max(1, options.messages);
  if (mode === "shared" && shuffled < SHUFFLED_SHARE_MIN) {
    found.push(`only ${result.shuffled} acknowledgements were out of order`);
  }
  if (operator.isHolding && result.survived * 4 < options.kills) {
    found.push(`only ${result.survived} parked or stopped messages met a kill of their leader`);
  }
  if (operator.isHolding && result.released < result.survived) {
    found.push(`only ${result.released} parked or stopped messages were released`);
  }
  const wanted = mode === "shared" ? MUST_EXAMINE : [...MUST_EXAMINE, "order-broken" as const];
  for (const kind of wanted) {
    if ((result.examined[kind] ?? 0) === 0) found.push(`nothing was looked at for ${kind}`);
  }
  return found;
}
