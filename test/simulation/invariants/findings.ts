// What the checks share: the disks, the books of the groups, and where to report. Built by invariants.ts.
import {
  type GroupId,
  METADATA_GROUP,
  type NodeId,
  nodeOfReplica,
  type ReplicaId,
} from "../../../src/model/ids.ts";
import type { LogIndex, Term } from "../../../src/model/positions.ts";
import type { Membership } from "../../../src/raft/messages.ts";
import type { DiskView } from "./disk-view.ts";
import { GroupBook } from "./group-book.ts";
import type { Entry, LogView } from "./log-view.ts";

export class Findings {
  readonly report: (problem: string) => void;
  /** Number of the event that runs. */
  readonly eventCount: () => number;
  readonly disks = new Map<NodeId, DiskView>();
  /** Groups whose topic flushes before it acknowledges; the metadata group does. */
  readonly syncGroups = new Set<GroupId>([METADATA_GROUP]);
  /** Groups in which a majority lost an entry with their page caches. */
  readonly forgiven = new Set<GroupId>();
  readonly #books = new Map<GroupId, GroupBook>();

  constructor(report: (problem: string) => void, eventCount: () => number) {
    this.report = report;
    this.eventCount = eventCount;
  }

  book(groupId: GroupId): GroupBook {
    let book = this.#books.get(groupId);
    if (book === undefined) {
      book = new GroupBook(groupId);
      this.#books.set(groupId, book);
    }
    return book;
  }

  log(groupId: GroupId, replicaId: ReplicaId): LogView | undefined {
    return this.disks.get(nodeOfReplica(replicaId))?.log(groupId, replicaId);
  }

  /** A replica lost these with its page cache: when a majority did, all/async may lose what it acknowledged. */
  lost({ groupId, replicaId }: LogView, entries: readonly Entry[]): void {
    if (this.syncGroups.has(groupId)) return;
    if (!this.book(groupId).lose(replicaId, entries)) return;
    this.forgiven.add(groupId);
    this.book(groupId).forgive();
  }

  /** Whether a majority (each of both, while joint) holds the entry, or an image that contains it. */
  majorityHolds(
    groupId: GroupId,
    membership: Membership,
    index: LogIndex,
    term: Term,
    isDurable: boolean,
  ): boolean {
    return isMajority(membership, (id) => {
      if (holds(this.log(groupId, id), index, term, isDurable)) return true;
      // What was acknowledged before its page cache was lost may still be counted (ADR 0012).
      return !isDurable && this.book(groupId).wasLost(id, index, term);
    });
  }
}

/** Of each half, while joint. */
export function isMajority(
  { outgoing, voters }: Membership,
  suits: (id: ReplicaId) => boolean,
): boolean {
  const halves = outgoing === undefined ? [voters] : [voters, outgoing];
  return halves.every((half) => half.filter(suits).length * 2 > half.length);
}

function holds(log: LogView | undefined, index: LogIndex, term: Term, isDurable: boolean): boolean {
  if (log === undefined) return false;
  if (index < (log.segments[0]?.firstIndex ?? 1)) return true;
  return log.entry(index)?.term === term && (!isDurable || log.durableIndex >= index);
}
