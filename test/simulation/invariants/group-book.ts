// What was ever true of one group, whoever said so: who led which term, what stood at which index and term, what was
// committed. Never forgotten, except what a fault was allowed to take. Written and asked by the checks.
import type { GroupId, NodeId, ReplicaId } from "../../../src/model/ids.ts";
import type { LogIndex, Offset, Term } from "../../../src/model/positions.ts";
import type { Membership } from "../../../src/raft/messages.ts";
import type { Entry } from "./log-view.ts";

interface Content {
  readonly hash: number;
  readonly prevTerm: Term | undefined;
}

/** Replicas that a partition has. */
const VOTERS = 3;
/** Terms stay far below this. */
const TERMS_MAX = 2 ** 20;

export class GroupBook {
  readonly groupId: GroupId;
  readonly leaders = new Map<Term, NodeId>();
  /** Its first entry, as far as anybody wrote it. */
  readonly firstOfTerm = new Map<Term, LogIndex>();
  /** Durable votes by replica and term. */
  readonly votes = new Map<string, ReplicaId>();
  /** Terms in which somebody stood because the leader before had asked for it. */
  readonly handedOver = new Set<Term>();
  /** Voters that granted, by candidate and term; true: they said that they were recovering. */
  readonly grants = new Map<string, Map<ReplicaId, boolean>>();
  /** In the configuration in force; in the smaller half while it is joint. */
  voterCount = VOTERS;
  /** The configurations that leaders had in force last: the newest one, and the one before it. */
  memberships: readonly Membership[] = [];
  #membersTerm: Term = 0;
  /** Something that was committed may be gone: only what is committed since is certain. */
  isForgiven = false;
  readonly #contents = new Map<number, Content>();
  #committed = new Map<LogIndex, Entry>();
  /** Entries with records, in order of their offsets. */
  #withRecords: Entry[] = [];
  #committedIndex: LogIndex = 0;
  /** By index and term: whose page caches were lost with the entry. */
  readonly #lostBy = new Map<number, Set<ReplicaId>>();

  constructor(groupId: GroupId) {
    this.groupId = groupId;
  }

  /** A leader has these members; a deposed one may have older ones. */
  hasMembers(term: Term, members: Membership): void {
    if (term < this.#membersTerm) return;
    this.#membersTerm = term;
    const [newest] = this.memberships;
    if (newest === members) return;
    const isNews = newest === undefined || !isSameMembership(newest, members);
    const older = isNews ? newest : this.memberships[1];
    this.memberships = older === undefined ? [members] : [members, older];
  }

  get committedIndex(): LogIndex {
    return this.#committedIndex;
  }

  committed(index: LogIndex): Entry | undefined {
    return this.#committed.get(index);
  }

  /** The committed entry that holds a record. */
  holderOf(offset: Offset): Entry | undefined {
    const entries = this.#withRecords;
    let from = 0;
    let to = entries.length;
    while (from < to) {
      const middle = (from + to) >> 1;
      const entry = entries[middle];
      if (entry !== undefined && entry.baseOffset + entry.recordCount <= offset) from = middle + 1;
      else to = middle;
    }
    const found = entries[from];
    return found !== undefined && found.baseOffset <= offset ? found : undefined;
  }

  commit(entry: Entry): void {
    this.#committed.set(entry.index, entry);
    if (entry.index <= this.#committedIndex) return;
    this.#committedIndex = entry.index;
    if (entry.recordCount > 0) this.#withRecords.push(entry);
  }

  /** @returns whether a majority has lost one of the entries: then it may be gone, although it was committed */
  lose(replicaId: ReplicaId, entries: readonly Entry[]): boolean {
    let isMajority = false;
    for (const { index, term } of entries) {
      const key = index * TERMS_MAX + term;
      const losers = this.#lostBy.get(key) ?? new Set();
      this.#lostBy.set(key, losers.add(replicaId));
      if (losers.size * 2 > this.voterCount) isMajority = true;
    }
    return isMajority;
  }

  /** The replica had the entry, and may have acknowledged it, when its page cache was lost. */
  wasLost(replicaId: ReplicaId, index: LogIndex, term: Term): boolean {
    return this.#lostBy.get(index * TERMS_MAX + term)?.has(replicaId) ?? false;
  }

  /** A voter's granting answer; who was sound once when it granted stays so. */
  granted(voter: ReplicaId, candidate: ReplicaId, term: Term, recovering: boolean): void {
    const key = `${candidate}/${term}`;
    const grants = this.grants.get(key) ?? new Map<ReplicaId, boolean>();
    this.grants.set(key, grants.set(voter, recovering && (grants.get(voter) ?? true)));
  }

  forgive(): void {
    this.isForgiven = true;
    this.#committed = new Map();
    this.#withRecords = [];
    this.#committedIndex = 0;
  }

  /** @returns what is wrong with it, compared with the same index and term elsewhere */
  learn({ hash, index, prevTerm, term }: Entry): string | undefined {
    const first = this.firstOfTerm.get(term);
    if (first === undefined || index < first) this.firstOfTerm.set(term, index);
    const key = index * TERMS_MAX + term;
    const known = this.#contents.get(key);
    if (known === undefined) {
      this.#contents.set(key, { hash, prevTerm });
      return undefined;
    }
    if (known.hash !== hash) return "other bytes";
    if (known.prevTerm === undefined) this.#contents.set(key, { hash, prevTerm });
    else if (prevTerm !== undefined && known.prevTerm !== prevTerm)
      return "another entry before it";
    return undefined;
  }
}

function isSameMembership(one: Membership, other: Membership): boolean {
  const isSame = (a: readonly ReplicaId[] | undefined, b: readonly ReplicaId[] | undefined) => {
    return a === b || (a?.length === b?.length && a?.every((id) => b?.includes(id)) === true);
  };
  return isSame(one.voters, other.voters) && isSame(one.outgoing, other.outgoing);
}
