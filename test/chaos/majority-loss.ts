// Two of three brokers die. Impatient sends must end with a typed error and patient ones must wait; nothing that begins
// after the second death may be acknowledged. When one broker comes back, the patient ones go through by themselves.
import { type Client, createClient } from "../../src/client/index.ts";
import { pause } from "../support/local-cluster.ts";
import { isUntyped } from "./failure.ts";
import {
  ACKNOWLEDGED,
  type Ledger,
  NOT_APPLIED,
  PENDING,
  type SendRow,
  UNKNOWN,
} from "./ledger.ts";
import { Load } from "./load.ts";
import { RATE_MARGIN, type Session } from "./session.ts";
import { waitUntil, within } from "./waiting.ts";

const PATIENT_RATE = 200;
const IMPATIENT_RATE = 200;
const IMPATIENT_TIMEOUT_MS = 2000;
const WARM_UP_MS = 1000;
const WITHOUT_MAJORITY_MS = 5000;
const SETTLE_TIMEOUT_MS = 15_000;
const RESUME_TIMEOUT_MS = 20_000;
const HEAL_TIMEOUT_MS = 60_000;
const IMPATIENT = "impatient";

export interface MajorityLoss {
  readonly survivor: number;
  /** Failed sends by reason, "DEADLINE (NOT_LEADER): unknown". */
  readonly refused: Readonly<Record<string, number>>;
  readonly refusedCount: number;
  readonly acknowledged: number;
  /** From the start of the second broker until every partition acknowledged a send begun after the loss. */
  readonly resumedMs: number;
}

export async function runMajorityLoss(session: Session): Promise<MajorityLoss> {
  const { cluster, view, load, history, random, options, say } = session;
  await view.waitInSync(HEAL_TIMEOUT_MS);
  const ids = cluster.nodes.map((node) => node.id);
  const survivor = ids[random.integer(0, ids.length)] ?? 1;
  const victims = ids.filter((id) => id !== survivor);
  const client = createClient({ bootstrap: cluster.bootstrap });
  try {
    load.setRate(PATIENT_RATE);
    await within("sends before the majority loss end", HEAL_TIMEOUT_MS, load.flush());
    const impatient = await startImpatient(session, client);
    history.fault("majority kill", "start", victims);
    await Promise.all(victims.map((id) => cluster.kill(id)));
    say(`killed nodes ${victims.join(" and ")}`);
    const { refused, refusedCount, acknowledged } = await watchLoss(session, impatient);
    say(`without a majority: ${refusedCount} refused, ${acknowledged} acknowledged`);
    const resumedMs = await healLoss(session, victims);
    history.fault("majority kill", "stop", victims);
    load.setRate(options.rate * RATE_MARGIN);
    return { survivor, refused, refusedCount, acknowledged, resumedMs };
  } finally {
    await client.close({ timeoutMs: 1000 });
  }
}

/** A producer with a short deadline that has its session and its routes already: only its sends can be refused. */
async function startImpatient(session: Session, client: Client): Promise<Load> {
  const { ledger, topic, random } = session;
  const impatient = new Load({
    client,
    ledger,
    topic,
    random,
    producer: IMPATIENT,
    rate: IMPATIENT_RATE,
    deliveryTimeoutMs: IMPATIENT_TIMEOUT_MS,
  });
  impatient.start();
  await pause(WARM_UP_MS);
  return impatient;
}

async function watchLoss(
  session: Session,
  impatient: Load,
): Promise<Pick<MajorityLoss, "refused" | "refusedCount" | "acknowledged">> {
  const { ledger, problems } = session;
  const from = ledger.sent;
  await pause(WITHOUT_MAJORITY_MS);
  await impatient.stop();
  const rows = (): SendRow[] => rowsSince(ledger, from);
  const isOpen = (row: SendRow): boolean => row.producer === IMPATIENT && row.state === PENDING;
  try {
    await waitUntil("impatient sends end", SETTLE_TIMEOUT_MS, () => !rows().some(isOpen));
  } catch {
    problems.push("majority loss: sends with a deadline of 2 s were unanswered 15 s after it");
  }
  const acknowledged = rows().filter((row) => row.state === ACKNOWLEDGED).length;
  if (acknowledged > 0) {
    problems.push(`majority loss: ${acknowledged} sends were acknowledged without a majority`);
  }
  const failed = rows().filter((row) => row.state === NOT_APPLIED || row.state === UNKNOWN);
  if (failed.length === 0) problems.push("majority loss: no send was refused");
  const refused: Record<string, number> = {};
  for (const row of failed) {
    const outcome = row.state === UNKNOWN ? "unknown" : "not applied";
    const name = `${row.reason}: ${outcome}`;
    refused[name] = (refused[name] ?? 0) + 1;
    if (row.producer !== IMPATIENT) problems.push(`majority loss: a patient send failed: ${name}`);
  }
  for (const reason of Object.keys(refused).filter(isUntyped)) {
    problems.push(`majority loss: an error without a typed reason: ${reason}`);
  }
  return { refused, refusedCount: failed.length, acknowledged };
}

/** One broker comes back, then the other; the patient load must go on by itself with the first. */
async function healLoss(session: Session, victims: readonly number[]): Promise<number> {
  const { cluster, view, load, options } = session;
  const [first = 0, second = 0] = victims;
  const firstAcks = load.watchFirstAcks();
  const startMs = performance.now();
  cluster.start(first);
  await waitUntil(
    "writes resume when one broker is back",
    RESUME_TIMEOUT_MS,
    () => firstAcks.size === options.partitions,
    10,
  );
  const resumedMs = performance.now() - startMs;
  cluster.start(second);
  for (const id of victims) await cluster.waitHealthy(id, HEAL_TIMEOUT_MS);
  await view.waitInSync(HEAL_TIMEOUT_MS);
  return resumedMs;
}

function rowsSince(ledger: Ledger, from: number): SendRow[] {
  const rows: SendRow[] = [];
  for (let n = from; n < ledger.sent; n += 1) rows.push(ledger.row(n));
  return rows;
}
