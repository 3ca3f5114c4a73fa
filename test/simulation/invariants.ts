// What must hold in every state of every run (Raft's safety argument, seen from outside): checked on a node's replicas
// after each event of its host, and on every frame that is written to a log. Used by sim-cluster.ts.
import { crc32c } from "../../src/base/crc32c.ts";
import type { Frame } from "../../src/model/entry-frame.ts";
import type { GroupId, NodeId } from "../../src/model/ids.ts";
import type { LogIndex, Term } from "../../src/model/positions.ts";
import type { RaftStatus } from "../../src/raft/raft.ts";
import type { Replica } from "../../src/replica/replica.ts";
import type { SimBroker } from "./sim-broker.ts";

interface Written {
  readonly term: Term;
  readonly hash: number;
}

/** What was seen of one replica in its present incarnation. */
interface Seen {
  term: Term;
  commitIndex: LogIndex;
  durableCommitIndex: LogIndex;
  appliedIndex: LogIndex;
  writtenIndex: LogIndex;
  isLeaderReady: boolean;
  /** Own entries up to here were compared with what was ever committed. */
  comparedIndex: LogIndex;
}

const GROUPS_MAX = 1_000_000;

export class Invariants {
  readonly #report: (problem: string) => void;
  readonly #onLeader: (node: NodeId, group: GroupId, term: Term) => void;
  /** "group/term" → node that led. Never forgotten. */
  readonly #leaders = new Map<string, NodeId>();
  /** "group/index/term" → hash of the frame, whoever wrote it. */
  readonly #frames = new Map<string, number>();
  /** "node/group" → what stands in that replica's log, by index. Above the log's end: what stood there once. */
  readonly #logs = new Map<string, Map<LogIndex, Written>>();
  /** Entries that were committed on any node, by group. */
  readonly #committed = new Map<GroupId, Map<LogIndex, Written>>();
  /** By node and group. */
  readonly #seen = new Map<number, Seen>();
  elections = 0;
  checks = 0;

  /** @param onLeader called once per group and term */
  constructor(
    report: (problem: string) => void,
    onLeader: (node: NodeId, group: GroupId, term: Term) => void,
  ) {
    this.#report = report;
    this.#onLeader = onLeader;
  }

  booted(broker: SimBroker): void {
    for (const key of [...this.#seen.keys()]) {
      if (Math.floor(key / GROUPS_MAX) === broker.nodeId) this.#seen.delete(key);
    }
  }

  /** Power was lost on a majority: what these groups had committed may be gone. */
  forgive(groups: readonly GroupId[]): void {
    for (const group of groups) this.#committed.delete(group);
  }

  frameWritten(node: NodeId, group: GroupId, frame: Frame): void {
    const { index, term } = frame;
    const hash = crc32c(frame.bytes);
    const name = `${group}/${index}/${term}`;
    const known = this.#frames.get(name);
    if (known === undefined) this.#frames.set(name, hash);
    else if (known !== hash) {
      this.#report(`log matching: n${node} wrote other bytes at group/index/term ${name}`);
    }
    const key = `${node}/${group}`;
    let log = this.#logs.get(key);
    if (log === undefined) {
      log = new Map();
      this.#logs.set(key, log);
    }
    log.set(index, { term, hash });
  }

  /** A segment begins: with an installed image the log begins anew there, whatever stood behind. */
  segmentBegun(node: NodeId, group: GroupId, firstIndex: LogIndex): void {
    const log = this.#logs.get(`${node}/${group}`);
    for (const index of log?.keys() ?? []) if (index >= firstIndex) log?.delete(index);
  }

  /** After an event on the broker's host. */
  check(broker: SimBroker): void {
    const { node, nodeId } = broker;
    if (node === undefined) return;
    for (const replica of node.replicas.all()) {
      const key = nodeId * GROUPS_MAX + replica.groupId;
      const seen = this.#seen.get(key);
      // The whole status is dear: it is asked for only when something moved.
      if (seen !== undefined && isSame(seen, replica)) continue;
      const status = replica.status();
      this.checks += 1;
      this.#bounds(key, replica, status);
      if (seen !== undefined) this.#monotonic(key, seen, status);
      if (status.role === "leader") this.#leads(nodeId, replica.groupId, status.term);
      const after = seen?.comparedIndex ?? 0;
      const comparedIndex = this.#commits(nodeId, replica, status, after);
      this.#seen.set(key, seenOf(replica, status, comparedIndex));
    }
  }

  /** At the end: all replicas of a group hold the same entries, as far back as each has them. */
  compareLogs(replicas: readonly { readonly node: NodeId; readonly replica: Replica }[]): void {
    const merged = new Map<LogIndex, Written>();
    for (const { node, replica } of replicas) {
      const group = replica.groupId;
      const log = this.#logs.get(`${node}/${group}`);
      for (let index = firstIndexOf(replica); index <= replica.status().lastIndex; index += 1) {
        const own = log?.get(index);
        const other = merged.get(index);
        if (own === undefined) this.#report(`group ${group} index ${index} is not on n${node}`);
        else if (other === undefined) merged.set(index, own);
        else if (own.term !== other.term || own.hash !== other.hash) {
          this.#report(`replicas differ: group ${group} index ${index} on n${node}`);
        }
      }
    }
  }

  #leads(node: NodeId, group: GroupId, term: Term): void {
    const name = `${group}/${term}`;
    const leader = this.#leaders.get(name);
    if (leader === undefined) {
      this.#leaders.set(name, node);
      this.elections += 1;
      this.#onLeader(node, group, term);
    } else if (leader !== node) {
      this.#report(`two leaders: n${leader} and n${node} in group/term ${name}`);
    }
  }

  #bounds(key: number, replica: Replica, status: RaftStatus): void {
    const { appliedIndex, commitIndex, durableCommitIndex, flushedIndex, lastIndex } = status;
    const { role, writtenIndex } = status;
    // After an image the log fills up to it by ordinary appends (architecture §7.3).
    const isFilling = role === "follower" && firstIndexOf(replica) > 1;
    const isOrdered =
      appliedIndex <= commitIndex &&
      (commitIndex <= lastIndex || isFilling) &&
      durableCommitIndex <= commitIndex &&
      flushedIndex <= writtenIndex &&
      writtenIndex <= lastIndex;
    if (isOrdered) return;
    const positions = { appliedIndex, commitIndex, durableCommitIndex, flushedIndex, writtenIndex };
    this.#report(`bounds: ${nameOf(key)} has ${JSON.stringify({ ...positions, lastIndex })}`);
  }

  #monotonic(key: number, seen: Seen, status: RaftStatus): void {
    for (const name of ["term", "commitIndex", "durableCommitIndex", "appliedIndex"] as const) {
      if (status[name] < seen[name]) {
        this.#report(
          `monotonic: ${name} of ${nameOf(key)} fell from ${seen[name]} to ${status[name]}`,
        );
      }
    }
  }

  /**
   * A committed entry never changes. Entries that came inside an image are not in the replica's log.
   * @returns up to where the replica's log was compared
   */
  #commits(node: NodeId, replica: Replica, status: RaftStatus, after: LogIndex): LogIndex {
    const { groupId } = replica;
    const upTo = Math.min(status.commitIndex, status.writtenIndex);
    if (upTo <= after) return after;
    let committed = this.#committed.get(groupId);
    if (committed === undefined) {
      committed = new Map();
      this.#committed.set(groupId, committed);
    }
    const log = this.#logs.get(`${node}/${groupId}`);
    for (let index = Math.max(after + 1, firstIndexOf(replica)); index <= upTo; index += 1) {
      const own = log?.get(index);
      const known = committed.get(index);
      if (own === undefined)
        this.#report(`group ${groupId} index ${index} was not written by n${node}`);
      else if (known === undefined) committed.set(index, own);
      else if (known.term !== own.term || known.hash !== own.hash) {
        this.#report(
          `committed entry changed: group ${groupId} index ${index}, n${node} has term ${own.term}, ` +
            `it was committed with term ${known.term}`,
        );
      }
    }
    return upTo;
  }
}

function firstIndexOf(replica: Replica): LogIndex {
  return replica.segments()[0]?.firstIndex ?? 1;
}

function nameOf(key: number): string {
  return `group ${key % GROUPS_MAX} on n${Math.floor(key / GROUPS_MAX)}`;
}

function seenOf(replica: Replica, status: RaftStatus, comparedIndex: LogIndex): Seen {
  const { appliedIndex, commitIndex, durableCommitIndex, term, writtenIndex } = status;
  const { isLeaderReady } = replica;
  const moved = { appliedIndex, commitIndex, durableCommitIndex, writtenIndex };
  return { ...moved, comparedIndex, isLeaderReady, term };
}

/** A new leader writes an entry at once, so its election does not go unnoticed. */
function isSame(seen: Seen, replica: Replica): boolean {
  if (seen.term !== replica.term || seen.isLeaderReady !== replica.isLeaderReady) return false;
  const { appliedIndex, commitIndex, durableCommitIndex, writtenIndex } = replica.watermarks;
  return (
    seen.commitIndex === commitIndex &&
    seen.durableCommitIndex === durableCommitIndex &&
    seen.appliedIndex === appliedIndex &&
    seen.writtenIndex === writtenIndex
  );
}
