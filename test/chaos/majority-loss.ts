// Two of three brokers die. Impatient sends must end with a typed error and patient ones must wait; nothing that begins
// after the second death may be acknowledged. When one broker comes back, the patient ones go through by themselves.
import { type Client, createClient } from "../../src/client/index.ts";
import { pause } from "../support/local-cluster.ts";
import { isUntyped } from "./failure.ts";
import { ACKNOWLEDGED } from "./ledger.ts";
import { Load } from "./load.ts";
import { RATE_MARGIN, type Session } from "./session.ts";
import { waitUntil } from "./waiting.ts";

const PATIENT_RATE = 200;
const IMPATIENT_RATE = 200;
const IMPATIENT_TIMEOUT_MS = 2000;
const IMPATIENT_SENDS_MS = 2500;
const SETTLE_TIMEOUT_MS = 15_000;
const RESUME_TIMEOUT_MS = 20_000;
const HEAL_TIMEOUT_MS = 60_000;

export interface MajorityLoss {
  readonly survivor: number;
  readonly refused: Readonly<Record<string, number>>;
  readonly refusedCount: number;
  readonly acknowledged: number;
  /** From the start of the second broker until every partition acknowledged a send begun after the loss. */
  readonly resumedMs: number;
}

export async function runMajorityLoss(session: Session): Promise<MajorityLoss> {
  const { cluster, view, ledger, load, random, options, problems } = session;
  await view.waitInSync(HEAL_TIMEOUT_MS);
  const ids = cluster.nodes.map((node) => node.id);
  const survivor = ids[random.integer(0, ids.length)] ?? 1;
  const victims = ids.filter((id) => id !== survivor);
  load.setRate(PATIENT_RATE);
  await load.flush();
  await Promise.all(victims.map((id) => cluster.kill(id)));
  const lostFrom = ledger.sent;
  const firstAcks = load.watchFirstAcks();

  const client = createClient({ bootstrap: cluster.bootstrap });
  const { refused, refusedCount } = await sendImpatiently(session, client, lostFrom);
  const acknowledged = acknowledgedSince(session, lostFrom);
  if (acknowledged > 0) {
    problems.push(`majority loss: ${acknowledged} sends were acknowledged without a majority`);
  }
  const startMs = performance.now();
  cluster.start(victims[0] ?? 0);
  await waitUntil(
    "writes resume when one broker is back",
    RESUME_TIMEOUT_MS,
    () => firstAcks.size === options.partitions,
    10,
  );
  const resumedMs = performance.now() - startMs;
  cluster.start(victims[1] ?? 0);
  for (const id of victims) await cluster.waitHealthy(id, HEAL_TIMEOUT_MS);
  await view.waitInSync(HEAL_TIMEOUT_MS);
  load.setRate(options.rate * RATE_MARGIN);
  return { survivor, refused, refusedCount, acknowledged, resumedMs };
}

/** Sends with a short deadline; all must have ended, with typed errors, soon after it. */
async function sendImpatiently(
  session: Session,
  client: Client,
  lostFrom: number,
): Promise<{ refused: Record<string, number>; refusedCount: number }> {
  const { ledger, topic, random, problems } = session;
  const failedBefore = ledger.failed;
  const impatient = new Load({
    client,
    ledger,
    topic,
    random,
    producer: "impatient",
    rate: IMPATIENT_RATE,
    deliveryTimeoutMs: IMPATIENT_TIMEOUT_MS,
  });
  impatient.start();
  await pause(IMPATIENT_SENDS_MS);
  await impatient.stop();
  try {
    await waitUntil("impatient sends end", SETTLE_TIMEOUT_MS, () => settled(session, lostFrom));
  } catch {
    problems.push("majority loss: sends with a deadline of 2 s were unanswered 15 s after it");
  }
  const refused = ledger.reasonCounts(lostFrom);
  const refusedCount = ledger.failed - failedBefore;
  if (refusedCount === 0) problems.push("majority loss: no send was refused");
  for (const reason of Object.keys(refused).filter(isUntyped)) {
    problems.push(`majority loss: an error without a typed reason: ${reason}`);
  }
  await client.close({ timeoutMs: 1000 });
  return { refused, refusedCount };
}

function settled({ ledger }: Session, from: number): boolean {
  for (let n = from; n < ledger.sent; n += 1) {
    const row = ledger.row(n);
    if (row.producer === "impatient" && row.doneAtMs === 0) return false;
  }
  return true;
}

function acknowledgedSince({ ledger }: Session, from: number): number {
  let count = 0;
  for (let n = from; n < ledger.sent; n += 1) {
    if (ledger.row(n).state === ACKNOWLEDGED) count += 1;
  }
  return count;
}
