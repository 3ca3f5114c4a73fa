// What every phase works with: the brokers, the load, the ledger, and where findings go.
import type { Random } from "../../src/base/random.ts";
import { type LocalCluster, pause } from "../support/local-cluster.ts";
import type { ClusterView } from "./cluster-view.ts";
import type { Ledger } from "./ledger.ts";
import type { Load } from "./load.ts";
import type { ChaosOptions } from "./options.ts";
import type { RunHistory } from "./run-history.ts";
import { waitUntil } from "./waiting.ts";

export interface Session {
  readonly options: ChaosOptions;
  readonly random: Random;
  readonly cluster: LocalCluster;
  readonly topic: string;
  readonly view: ClusterView;
  readonly ledger: Ledger;
  /** The ledger, and what was done and seen meanwhile: for the judge, and for a file when the run fails. */
  readonly history: RunHistory;
  readonly load: Load;
  /** Everything that makes the run fail, in words. */
  readonly problems: string[];
  /** Says what is going on (standard error). */
  readonly say: (text: string) => void;
}

/** The load runs this much faster than the rate that must be acknowledged, so that a late tick does not fail the run. */
export const RATE_MARGIN = 1.1;

const RATE_WINDOW_MS = 2000;
const RATE_TIMEOUT_MS = 30_000;

/**
 * Waits for two seconds at the demanded rate, all of them after this call: the burst that ends an earlier outage does not
 * count. Returns the rate; a problem when it does not come in 30 s.
 */
export async function demandRate(session: Session, before: string): Promise<number> {
  const { load, options, problems } = session;
  await pause(RATE_WINDOW_MS + 100);
  try {
    await waitUntil("rate", RATE_TIMEOUT_MS, () => load.ackRate(RATE_WINDOW_MS) >= options.rate);
  } catch {
    const rate = Math.round(load.ackRate(RATE_WINDOW_MS));
    problems.push(`before ${before}: ${rate} acknowledged sends/s, ${options.rate} are demanded`);
  }
  return load.ackRate(RATE_WINDOW_MS);
}
