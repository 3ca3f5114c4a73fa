// Every broker is stopped gracefully and started again, once in turn, under load: no send may fail, and afterwards the
// leaders are spread evenly again.
import { demandRate, type Session } from "./session.ts";

const STOP_TIMEOUT_MS = 40_000;
const HEAL_TIMEOUT_MS = 60_000;
const SPREAD_TIMEOUT_MS = 60_000;

export interface RollingRestart {
  readonly rateBefore: number;
  readonly sentMeanwhile: number;
  readonly failedSends: number;
  /** From the last start until the leaders were spread evenly. */
  readonly spreadMs: number;
}

export async function runRollingRestart(session: Session): Promise<RollingRestart> {
  const { cluster, view, ledger, history, problems, say } = session;
  await view.waitInSync(HEAL_TIMEOUT_MS);
  const rateBefore = await demandRate(session, "the rolling restart");
  const failedBefore = ledger.failed;
  const sentBefore = ledger.sent;
  for (const { id } of cluster.nodes) {
    const startMs = performance.now();
    history.fault("rolling restart", "start", [id]);
    const exitCode = await cluster.stop(id, STOP_TIMEOUT_MS);
    if (exitCode !== 0)
      problems.push(`node ${id} ended with ${exitCode} after SIGTERM, not with 0`);
    const stoppedMs = performance.now() - startMs;
    cluster.start(id);
    await cluster.waitHealthy(id, HEAL_TIMEOUT_MS);
    await view.waitInSync(HEAL_TIMEOUT_MS);
    history.fault("rolling restart", "stop", [id]);
    say(`restarted node ${id}: stopped in ${Math.round(stoppedMs)} ms`);
  }
  const spreadMs = await view.waitSpread(SPREAD_TIMEOUT_MS);
  const failedSends = ledger.failed - failedBefore;
  if (failedSends > 0) {
    const reasons = JSON.stringify(ledger.reasonCounts(sentBefore));
    problems.push(`rolling restart: ${failedSends} sends failed (${reasons})`);
  }
  return { rateBefore, sentMeanwhile: ledger.sent - sentBefore, failedSends, spreadMs };
}
