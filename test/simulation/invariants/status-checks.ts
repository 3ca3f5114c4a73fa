// What must hold of every replica after every event of its host, by what the replica says of itself and by what stands on
// the disks: one leader per term, commit rules, completeness, monotonic positions (raft.md §2). Called by invariants.ts.
import {
  type GroupId,
  type NodeId,
  nodeOfReplica,
  type ReplicaId,
} from "../../../src/model/ids.ts";
import type { LogIndex, Term } from "../../../src/model/positions.ts";
import type { Membership } from "../../../src/raft/messages.ts";
import type { RaftStatus } from "../../../src/raft/raft.ts";
import type { Watermarks } from "../../../src/replica/ports.ts";
import type { Replica } from "../../../src/replica/replica.ts";
import { type Findings, isMajority } from "./findings.ts";
import type { GroupBook } from "./group-book.ts";
import { checkChangedMembers, checkRecovered } from "./log-checks.ts";
import type { Entry, LogView } from "./log-view.ts";
import { checkCleared, checkElection } from "./recovering-checks.ts";

/** What was seen of one replica in its present incarnation. */
interface Seen {
  /** A group that was recovered by force has others. */
  readonly replicaId: ReplicaId;
  readonly term: Term;
  readonly commitIndex: LogIndex;
  readonly durableCommitIndex: LogIndex;
  readonly appliedIndex: LogIndex;
  readonly isLeaderReady: boolean;
  readonly watermarks: Watermarks;
  readonly membership: Membership;
  /** Term that it led when it was seen last; 0: it did not. */
  readonly ledTerm: Term;
  /** It may have lost what it acknowledged. */
  readonly recovering: boolean;
  /** The newest entry that was ever committed when it started. */
  readonly newestAtStart: Entry | undefined;
  /** Own entries up to here were compared with what was ever committed. */
  readonly comparedIndex: LogIndex;
}

const NONE: readonly Replica[] = [];
const POSITIONS = ["term", "commitIndex", "durableCommitIndex", "appliedIndex"] as const;

export class StatusChecks {
  readonly #findings: Findings;
  readonly #onLeader: (node: NodeId, group: GroupId, term: Term) => void;
  /** By node, then group. */
  readonly #seen = new Map<NodeId, Map<GroupId, Seen>>();
  elections = 0;
  checks = 0;

  constructor(findings: Findings, onLeader: (node: NodeId, group: GroupId, term: Term) => void) {
    this.#findings = findings;
    this.#onLeader = onLeader;
  }

  /** Another process: it may know less than the one before. */
  booted(node: NodeId): void {
    this.#seen.delete(node);
  }

  /** @returns those that moved since the last time */
  check(node: NodeId, replicas: readonly Replica[]): readonly Replica[] {
    let seenHere = this.#seen.get(node);
    if (seenHere === undefined) {
      seenHere = new Map();
      this.#seen.set(node, seenHere);
    }
    let moved: Replica[] | undefined;
    for (const replica of replicas) {
      const { groupId } = replica;
      const last = seenHere.get(groupId);
      // A replica that was placed here anew knows nothing yet.
      const seen = last?.replicaId === replica.replicaId ? last : undefined;
      // The whole status is dear: it is asked for only when something moved.
      if (seen !== undefined && isSame(seen, replica)) continue;
      seenHere.set(groupId, this.#look(node, replica, seen));
      moved ??= [];
      moved.push(replica);
    }
    return moved ?? NONE;
  }

  #look(node: NodeId, replica: Replica, seen: Seen | undefined): Seen {
    const status = replica.status();
    const book = this.#findings.book(replica.groupId);
    const log = this.#findings.log(replica.groupId, replica.replicaId);
    const name = `group ${replica.groupId} on n${node}`;
    this.checks += 1;
    this.#bounds(name, replica, status);
    if (seen !== undefined) this.#monotonic(name, seen, status);
    else if (log !== undefined) checkRecovered(this.#findings, name, book, log);
    const isLeader = status.role === "leader" && status.failed === undefined;
    if (isLeader) this.#leads(node, replica, status, book, log, seen);
    const newestAtStart =
      seen === undefined ? book.committed(book.committedIndex) : seen.newestAtStart;
    if (seen?.recovering === true && !status.recovering) {
      checkCleared(this.#findings, name, book, log, newestAtStart);
    }
    const comparedIndex = this.#commits(name, status, book, log, seen?.comparedIndex ?? 0);
    return {
      replicaId: replica.replicaId,
      term: status.term,
      commitIndex: status.commitIndex,
      durableCommitIndex: status.durableCommitIndex,
      appliedIndex: status.appliedIndex,
      isLeaderReady: replica.isLeaderReady,
      watermarks: replica.watermarks,
      membership: status.membership,
      ledTerm: isLeader ? status.term : 0,
      recovering: status.recovering,
      newestAtStart,
      comparedIndex,
    };
  }

  /** I11, positions of one moment. */
  #bounds(name: string, replica: Replica, status: RaftStatus): void {
    const { appliedIndex, commitIndex, durableCommitIndex, flushedIndex, lastIndex } = status;
    const { role, writtenIndex } = status;
    // After an image the log fills up to it by ordinary appends (architecture §7.3).
    const isFilling = role === "follower" && (replica.segments()[0]?.firstIndex ?? 1) > 1;
    const isOrdered =
      appliedIndex <= commitIndex &&
      (commitIndex <= lastIndex || isFilling) &&
      durableCommitIndex <= commitIndex &&
      flushedIndex <= writtenIndex &&
      writtenIndex <= lastIndex;
    if (isOrdered) return;
    const positions = { appliedIndex, commitIndex, durableCommitIndex, flushedIndex, writtenIndex };
    this.#findings.report(`bounds: ${name} has ${JSON.stringify({ ...positions, lastIndex })}`);
  }

  /** I2 and I11 within one incarnation. */
  #monotonic(name: string, seen: Seen, status: RaftStatus): void {
    for (const position of POSITIONS) {
      if (status[position] >= seen[position]) continue;
      const fell = `fell from ${seen[position]} to ${status[position]}`;
      this.#findings.report(`monotonic: ${position} of ${name} ${fell}`);
    }
  }

  #leads(
    node: NodeId,
    replica: Replica,
    status: RaftStatus,
    book: GroupBook,
    log: LogView | undefined,
    seen: Seen | undefined,
  ): void {
    const { term } = status;
    const { outgoing, voters } = status.membership;
    book.hasMembers(term, status.membership);
    book.voterCount = Math.min(voters.length, outgoing?.length ?? voters.length);
    if (seen?.ledTerm !== term) {
      this.#elected(node, replica, status, book, log);
      checkElection(this.#findings, replica, status, book);
    }
    if (log === undefined) return;
    const isReady = replica.isLeaderReady && seen?.isLeaderReady !== true;
    if (isReady) this.#ready(replica, status, book);
    const wasLeading = seen?.ledTerm === term;
    if (wasLeading && status.commitIndex > seen.commitIndex) {
      const { appliedIndex: after, membership } = seen;
      checkChangedMembers(this.#findings, book, log, {
        after,
        upTo: status.appliedIndex,
        membership,
      });
      this.#committedByLeader(replica, status, book, log, seen);
    }
    if (status.durableCommitIndex > (seen?.durableCommitIndex ?? 0)) {
      this.#durableByLeader(replica, status, log, seen);
    }
    this.#progress(replica, status, log);
  }

  /** I1, I9, and the candidate's half of I4. */
  #elected(
    node: NodeId,
    { groupId, replicaId }: Replica,
    { term }: RaftStatus,
    book: GroupBook,
    log: LogView | undefined,
  ): void {
    const leader = book.leaders.get(term);
    if (leader === undefined) {
      book.leaders.set(term, node);
      this.elections += 1;
      this.#onLeader(node, groupId, term);
    } else if (leader !== node) {
      this.#findings.report(`two leaders: n${leader} and n${node} in term ${term} of ${groupId}`);
    }
    if (book.votes.get(`${replicaId}/${term}`) !== replicaId) {
      this.#findings.report(
        `own vote not durable: n${node} leads group ${groupId} in term ${term}`,
      );
    }
    const newest = book.committed(book.committedIndex);
    if (newest === undefined || log === undefined) return;
    // Completeness binds leaders of later terms (Raft §5.4.3). One whose own vote or answers came late may still win an
    // older term while the next one commits: it can commit nothing, as a majority has gone on.
    if (newest.term > term) return;
    if (newest.index < (log.segments[0]?.firstIndex ?? 1)) return;
    if (log.entry(newest.index)?.term !== newest.term) {
      this.#findings.report(
        `leader completeness: n${node} leads group ${groupId} in term ${term} without index ${newest.index} of term ${newest.term}`,
      );
    }
  }

  /** I32. */
  #ready({ groupId }: Replica, status: RaftStatus, book: GroupBook): void {
    const { appliedIndex, commitIndex, term } = status;
    const first = book.firstOfTerm.get(term);
    if (first !== undefined && first <= commitIndex && first <= appliedIndex) return;
    this.#findings.report(
      `ready too early: group ${groupId} in term ${term}, its first is ${first}`,
    );
  }

  /** I13 and I15. What names new members is itself counted among the former ones. */
  #committedByLeader(
    { groupId }: Replica,
    { commitIndex, membership, term }: RaftStatus,
    book: GroupBook,
    log: LogView,
    seen: Seen,
  ): void {
    const entry = log.entry(commitIndex);
    if (entry === undefined || entry.term !== term) {
      const what = `index ${commitIndex} of term ${entry?.term} by the leader of ${term}`;
      this.#findings.report(`commit of another term: group ${groupId}, ${what}`);
    }
    const isSync = this.#findings.syncGroups.has(groupId);
    if (!isSync && book.isForgiven) return;
    const change = changeWithin(log, seen.commitIndex, commitIndex);
    const isHeld = (members: Membership, index: LogIndex): boolean => {
      const own = log.entry(index)?.term ?? 0;
      return this.#findings.majorityHolds(groupId, members, index, own, isSync);
    };
    const isRight =
      (change === undefined || isHeld(seen.membership, change)) &&
      (change === commitIndex ||
        isHeld(membership, commitIndex) ||
        // Committed in one step with the change: the new members count only once it is applied.
        (change !== undefined && isHeld(seen.membership, commitIndex)));
    if (isRight) return;
    const how = isSync ? "durably " : "";
    this.#findings.report(
      `committed without a majority: group ${groupId} index ${commitIndex} is not ${how}on a majority`,
    );
  }

  /** I16. */
  #durableByLeader(
    { groupId }: Replica,
    { commitIndex, durableCommitIndex, membership }: RaftStatus,
    log: LogView,
    seen: Seen | undefined,
  ): void {
    const entry = log.entry(durableCommitIndex);
    if (entry === undefined) return;
    const { index, term } = entry;
    if (this.#findings.majorityHolds(groupId, membership, index, term, true)) return;
    // It was counted before the members changed, in the same event.
    const isChanged = changeWithin(log, seen?.appliedIndex ?? 0, commitIndex) !== undefined;
    if (isChanged && seen !== undefined) {
      if (this.#findings.majorityHolds(groupId, seen.membership, index, term, true)) return;
    }
    this.#findings.report(
      `durable commit without a majority of disks: group ${groupId} index ${index}`,
    );
  }

  /** I19, for what is said to be on disks: a power cut does not take that back. */
  #progress({ groupId }: Replica, status: RaftStatus, own: LogView): void {
    for (const { durableIndex, replicaId } of status.progress) {
      if (durableIndex === 0) continue;
      const other = this.#findings.log(groupId, replicaId);
      const mine = own.entry(durableIndex);
      if (other === undefined || mine === undefined) continue;
      if (durableIndex < (other.segments[0]?.firstIndex ?? 1)) continue;
      const isThere = other.entry(durableIndex)?.term === mine.term;
      if (isThere && other.durableIndex >= durableIndex) continue;
      const who = `the leader of group ${groupId} believes n${nodeOfReplica(replicaId)}`;
      const what = `durable up to ${durableIndex} of term ${mine.term}`;
      const truth = `it holds term ${other.entry(durableIndex)?.term} there, durable up to ${other.durableIndex}`;
      this.#findings.report(`progress: ${who} ${what}; ${truth}`);
    }
  }

  /**
   * I10: a committed entry never changes. Entries that came inside an image are not in the replica's log. Where a power cut
   * may have taken entries, what was committed before it may be on too few logs by now, whoever learns of that commit later:
   * there an entry is noted only while a majority holds it.
   * @returns up to where the replica's log was compared
   */
  #commits(
    name: string,
    status: RaftStatus,
    book: GroupBook,
    log: LogView | undefined,
    after: LogIndex,
  ): LogIndex {
    const upTo = Math.min(status.commitIndex, status.writtenIndex);
    if (upTo <= after || log === undefined) return after;
    const from = Math.max(after + 1, log.segments[0]?.firstIndex ?? 1);
    for (let index = from; index <= upTo; index += 1) {
      const own = log.entry(index);
      const known = book.committed(index);
      if (own === undefined) this.#findings.report(`${name}: index ${index} was not written`);
      else if (known === undefined) {
        if (!book.isForgiven || this.#isSafe(book, status, own)) book.commit(own);
      } else if (known.term !== own.term || known.hash !== own.hash) {
        const terms = `has term ${own.term}, it was committed with term ${known.term}`;
        this.#findings.report(`committed entry changed: ${name} index ${index} ${terms}`);
      }
    }
    return upTo;
  }

  /** On a majority of logs at this moment; what was lost does not count. */
  #isSafe({ groupId }: GroupBook, { membership }: RaftStatus, { index, term }: Entry): boolean {
    return isMajority(membership, (id) => {
      const log = this.#findings.log(groupId, id);
      return log?.entry(index)?.term === term || index < (log?.segments[0]?.firstIndex ?? 1);
    });
  }
}

/** The first entry of (after, upTo] that names members. */
function changeWithin(log: LogView, after: LogIndex, upTo: LogIndex): LogIndex | undefined {
  for (let index = after + 1; index <= upTo; index += 1) {
    if (log.entry(index)?.isMembership === true) return index;
  }
  return undefined;
}

/** A new leader writes an entry at once, so its election does not go unnoticed. */
function isSame(seen: Seen, replica: Replica): boolean {
  if (seen.term !== replica.term || seen.isLeaderReady !== replica.isLeaderReady) return false;
  if (seen.recovering && !replica.record.recovering) return false;
  const { watermarks } = seen;
  const { appliedIndex, commitIndex, durableCommitIndex, writtenIndex } = replica.watermarks;
  return (
    watermarks.commitIndex === commitIndex &&
    watermarks.durableCommitIndex === durableCommitIndex &&
    watermarks.appliedIndex === appliedIndex &&
    watermarks.writtenIndex === writtenIndex
  );
}
