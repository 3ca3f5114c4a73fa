// What must hold of replicas that may have forgotten what they acknowledged (ADR 0012): elections are won by enough voters
// that remember, or by all (I17); a mark goes only when everything is there that was committed before (I18). Called by
// status-checks.ts.
import type { ReplicaId } from "../../../src/model/ids.ts";
import type { RaftStatus } from "../../../src/raft/raft.ts";
import type { Replica } from "../../../src/replica/replica.ts";
import type { Findings } from "./findings.ts";
import type { GroupBook } from "./group-book.ts";
import type { Entry, LogView } from "./log-view.ts";

/** I17, by the answers that voters have sent. */
export function checkElection(
  findings: Findings,
  { groupId, record, replicaId }: Replica,
  { membership, term }: RaftStatus,
  book: GroupBook,
): void {
  const grants = new Map(book.grants.get(`${replicaId}/${term}`));
  grants.set(replicaId, record.recovering);
  const { outgoing, voters } = membership;
  for (const half of outgoing === undefined ? [voters] : [voters, outgoing]) {
    if (isWon(half, grants)) continue;
    const said = half.map((id) => `${id} ${describe(grants.get(id))}`).join(", ");
    findings.report(
      `election rule: ${replicaId} leads group ${groupId} in term ${term}, but ${said}`,
    );
  }
}

function isWon(half: readonly ReplicaId[], grants: ReadonlyMap<ReplicaId, boolean>): boolean {
  const granted = half.filter((id) => grants.has(id));
  const sound = granted.filter((id) => grants.get(id) === false);
  // Every majority must have one of them.
  const others = half.length - sound.length;
  const meetsMajorities = others * 2 <= half.length;
  const isMajority = granted.length * 2 > half.length;
  return granted.length === half.length || (isMajority && meetsMajorities);
}

function describe(recovering: boolean | undefined): string {
  if (recovering === undefined) return "did not grant";
  return recovering ? "granted, recovering" : "granted";
}

/** I18. */
export function checkCleared(
  findings: Findings,
  name: string,
  book: GroupBook,
  log: LogView | undefined,
  newest: Entry | undefined,
): void {
  if (log === undefined || newest === undefined) return;
  // It may have been forgiven since, or be in an image only.
  const isKnown = book.committed(newest.index)?.hash === newest.hash;
  if (!isKnown || newest.index < (log.segments[0]?.firstIndex ?? 1)) return;
  const isThere = log.entry(newest.index)?.term === newest.term;
  if (isThere && log.durableIndex >= newest.index) return;
  findings.report(
    `mark cleared: ${name} does not hold index ${newest.index}, committed when it started`,
  );
}
