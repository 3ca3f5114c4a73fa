// The invariants of raft.md §2 that concern the core, checked after every step of a random run. The checker sees
// all replicas' memory and disks at once, which no replica can.
import { assert, defined } from "../../../src/base/assert.ts";
import type { LogIndex, Term } from "../../../src/model/positions.ts";
import type { AppliedState, Host, MediumLog, TestEntry, TestMessage, TestReady } from "./host.ts";
import type { Losses } from "./losses.ts";

interface Committed {
  readonly term: Term;
  /** Lowest term of a leader that had it committed. */
  readonly leaderTerm: Term;
}

/** A replica's watermarks after its last step, and whether it led then. */
interface Seen {
  readonly incarnation: number;
  readonly commit: LogIndex;
  readonly durable: LogIndex;
  readonly isLeading: boolean;
}

export class Checker {
  readonly #hosts: readonly Host[];
  readonly #leaders = new Map<Term, number>();
  readonly #votes = new Map<string, number>();
  readonly #spoken = new Map<number, Term>();
  readonly #entries = new Map<string, string>();
  readonly #committed: Committed[] = [];
  readonly #seen = new Map<number, Seen>();
  readonly #heard = new Map<string, number>();
  readonly #states = new Map<LogIndex, AppliedState>();

  readonly #losses: Losses;

  constructor(hosts: readonly Host[], losses: Losses) {
    this.#losses = losses;
    this.#hosts = hosts;
  }

  get committedCount(): number {
    return this.#committed.length;
  }

  stateAt(index: LogIndex): AppliedState {
    return defined(this.#states.get(index), `state at ${index}`);
  }

  /** I10: every replica applies the same entries in the same order. */
  onApplied(state: AppliedState): void {
    const known = this.#states.get(state.index);
    assert(known === undefined || known.hash === state.hash, "I10 state machine safety", {
      index: state.index,
    });
    this.#states.set(state.index, state);
  }

  /** Checks a replica's output before anything of it is done. */
  onReady(host: Host, ready: TestReady): void {
    const { core } = host;
    for (const event of ready.events) {
      if (event.kind !== "became-leader") continue;
      const other = this.#leaders.get(event.term);
      assert(other === undefined, "I1 one leader per term", { term: event.term, other });
      this.#leaders.set(event.term, host.id);
      assert(host.hard.term === event.term && host.hard.vote === host.id, "I4 own vote durable");
      this.#checkCompleteness(host, event.term);
    }
    if (ready.truncateFrom !== undefined) {
      assert(core.role !== "leader", "I8 a leader never truncates");
      assert(ready.truncateFrom > Math.min(host.state.index, host.cached.lastIndex), "I12");
    }
    assert(ready.snapshot === undefined || core.role !== "leader", "I23 a leader installs nothing");
    for (const entry of ready.append) this.#checkEntry(host, entry);
    for (const message of ready.messages) this.#checkMessage(host, message);
  }

  /** I7, by induction: an (index, term) has one payload and one predecessor's term, everywhere and for ever. */
  #checkEntry(host: Host, entry: TestEntry): void {
    const prevTerm = defined(host.core.termAt(entry.index - 1), "term before an entry");
    assert(prevTerm <= entry.term, "I24 terms in a log never decrease");
    const key = `${entry.index}/${entry.term}`;
    const content = `${entry.handle}|${prevTerm}`;
    const known = this.#entries.get(key);
    assert(known === undefined || known === content, "I7 log matching", { key, known, content });
    this.#entries.set(key, content);
  }

  #checkMessage(host: Host, message: TestMessage): void {
    if (message.kind === "vote-request" && message.pre) return;
    if (message.kind === "vote-response" && message.pre) return;
    if (message.kind !== "not-member") {
      // I2: a term that was spoken is never gone back on, also not by a crash.
      assert(message.term >= (this.#spoken.get(host.id) ?? 0), "I2 terms only grow");
      this.#spoken.set(host.id, message.term);
      assert(message.term <= host.hard.term, "I4 a spoken term is durable", { ...message });
    }
    if (message.kind === "vote-response" && message.granted) {
      assert(host.hard.term === message.term && host.hard.vote === message.to, "I4 vote durable");
    }
    if (message.kind === "vote-request") assert(host.hard.vote === host.id, "I4 own vote durable");
    const isAck =
      message.kind === "heartbeat-response" || (message.kind === "append-response" && message.ok);
    if (!isAck) return;
    assert(message.durableIndex <= message.matchIndex, "durable ≤ match");
    assert(message.matchIndex <= host.cached.lastIndex, "I6 acknowledged entries are written");
    assert(message.durableIndex <= host.durable.lastIndex, "I5 flushed");
    const { durableIndex } = message;
    if (durableIndex >= host.durable.firstIndex) {
      const isEqual = host.durable.termAt(durableIndex) === host.cached.termAt(durableIndex);
      assert(isEqual, "I5 the flushed entry is the acknowledged one");
    }
  }

  /** Replicas learn about incarnations by what is delivered; needed for I19. */
  onDelivered(message: TestMessage): void {
    if (message.kind !== "append-response" && message.kind !== "heartbeat-response") return;
    const key = `${message.to}<${message.from}@${message.term}`;
    this.#heard.set(key, Math.max(this.#heard.get(key) ?? 0, message.incarnation));
  }

  /** Everything that must hold of one replica after it moved. */
  check(host: Host): void {
    const key = `${host.id}@${host.hard.term}`;
    const vote = this.#votes.get(key) ?? 0;
    assert(vote === 0 || vote === host.hard.vote, "I3 one vote per term", { key, vote });
    this.#votes.set(key, host.hard.vote);
    if (!host.isUp) return;
    const { core } = host;
    const status = core.status();
    const last = this.#seen.get(host.id);
    const seen = last?.incarnation === host.incarnation ? last : undefined;
    const before = seen?.commit ?? 0;
    assert(status.commitIndex >= before, "I11 commit only grows");
    assert(status.appliedIndex <= status.commitIndex, "I11 applied ≤ commit");
    assert(status.durableCommitIndex <= status.commitIndex, "durable commit ≤ commit");
    assert(status.flushedIndex <= status.writtenIndex, "flushed ≤ written");
    assert(status.writtenIndex <= status.lastIndex, "written ≤ last");
    if (status.commitIndex > before) this.#checkCommit(host, status.commitIndex, before);
    const isLeading = status.role === "leader";
    if (seen?.isLeading === true && isLeading && status.durableCommitIndex > seen.durable) {
      this.#checkHeld(host, status.durableCommitIndex, "durable");
    }
    const { incarnation } = host;
    const { commitIndex: commit, durableCommitIndex: durable } = status;
    this.#seen.set(host.id, { incarnation, commit, durable, isLeading });
    this.#checkChanges(host);
    if (status.role === "leader") this.#checkProgress(host);
  }

  #checkCommit(host: Host, commit: LogIndex, before: LogIndex): void {
    const { core } = host;
    const isLeading = core.role === "leader";
    if (isLeading && before > 0) {
      assert(core.termAt(commit) === core.term, "I13 only own-term entries are counted");
      this.#checkHeld(host, commit, host.rule === "durable" ? "durable" : "cached");
    }
    for (let index = Math.max(1, before + 1); index <= commit; index += 1) {
      const term = core.termAt(index);
      if (term === undefined) continue;
      const known = this.#committed[index];
      assert(known === undefined || known.term === term, "I10 committed entries never change", {
        index,
        term,
        known: known?.term,
      });
      const leaderTerm = Math.min(core.term, known?.leaderTerm ?? core.term);
      this.#committed[index] = { term, leaderTerm };
    }
    for (const other of this.#hosts) {
      if (!other.isUp || other.core.role !== "leader" || other.core.term <= core.term) continue;
      this.#checkCompleteness(other, other.core.term);
    }
  }

  /** I14–I16: a majority of the configuration in force really holds what the leader counted, on that medium. */
  #checkHeld(host: Host, index: LogIndex, medium: "cached" | "durable"): void {
    const { membership } = host.core.status();
    const term = host.core.termAt(index);
    // An acknowledgement of what was lost since may still be counted: the fence makes that harmless.
    const holds = (other: Host, log: MediumLog): boolean =>
      log.termAt(index) === term ||
      index < log.firstIndex - 1 ||
      index <= other.image.index ||
      (medium === "cached" && this.#losses.wasLost(other, index, term));
    for (const half of [membership.voters, membership.outgoing ?? membership.voters]) {
      const voters = this.#hosts.filter((other) => half.includes(other.id));
      const count = voters.filter((other) => holds(other, other[medium])).length;
      assert(count * 2 > half.length, "I15, I16 a majority holds what was counted", {
        index,
        medium,
      });
    }
  }

  /** I9: what an earlier term's leader committed is in this leader's log. */
  #checkCompleteness(leader: Host, term: Term): void {
    for (let index = leader.cached.firstIndex; index < this.#committed.length; index += 1) {
      const committed = this.#committed[index];
      if (committed === undefined || committed.leaderTerm >= term) continue;
      const found = leader.core.termAt(index);
      if (found === undefined && index < leader.core.lastIndex) continue;
      assert(found === committed.term, "I9 leader completeness", {
        index,
        found,
        leader: leader.id,
      });
    }
  }

  /** I19: what the leader believes about a follower is true of the incarnation that it heard last. */
  #checkProgress(leader: Host): void {
    for (const peer of leader.core.status().progress) {
      const follower = this.#hosts.find((other) => other.id === peer.replicaId);
      const heard = this.#heard.get(`${leader.id}<${peer.replicaId}@${leader.core.term}`) ?? 0;
      if (follower === undefined || !follower.isUp || follower.incarnation !== heard) continue;
      assert(peer.durableIndex <= peer.matchIndex, "durable ≤ match");
      const { matchIndex } = peer;
      if (follower.core.term > leader.core.term) continue;
      const theirs = follower.core.termAt(matchIndex);
      const ours = leader.core.termAt(matchIndex);
      if (ours === undefined || matchIndex <= follower.core.commitIndex) continue;
      assert(theirs === ours, "I19 progress is true", { peer: peer.replicaId, matchIndex });
    }
  }

  /** I21: one membership change at a time; above what anybody knows to be committed no log holds two. */
  #checkChanges(host: Host): void {
    let open = 0;
    for (const entry of host.cached.entries) {
      if (entry.kind === "membership" && entry.index >= this.#committed.length) open += 1;
    }
    assert(open <= 1, "I21 one uncommitted membership change");
  }
}
