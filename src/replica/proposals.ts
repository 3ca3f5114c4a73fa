// The way in on the leader: gives a draft its position (index, term, offset, time), encodes the frame once, and keeps
// the promises of those who wait for the outcome of exactly that entry (index and term: raft.md §4 row 19).
import { encodeFrame, type Frame } from "../model/entry-frame.ts";
import { BrokerError } from "../model/errors.ts";
import { type NodeId, nodeOfReplica } from "../model/ids.ts";
import { COMMAND_RESERVE_BYTES, UNAPPLIED_BYTES_MAX } from "../model/limits.ts";
import type { LogIndex, Offset, Term } from "../model/positions.ts";
import type { ProposalRefusal } from "../raft/raft.ts";
import { endOffset } from "./frames.ts";
import type { GroupContext } from "./group-context.ts";
import type { EntryDraft, Proposal } from "./ports.ts";

interface Waiter {
  readonly term: Term;
  readonly resolve: (reply: unknown) => void;
  readonly reject: (error: Error) => void;
}

export interface ProposalLimits {
  /** Elected, and everything that earlier leaders committed is applied: validation may rely on applied state. */
  readonly isReady: () => boolean;
  /** Bytes appended here and not applied. */
  readonly unappliedBytes: () => number;
  /** appendTime of the newest applied frame: what time may not go below when the log is empty. */
  readonly appendTimeFloorMs: () => number;
}

export class Proposals {
  readonly #context: GroupContext;
  readonly #limits: ProposalLimits;
  readonly #waiters = new Map<LogIndex, Waiter>();
  /** One entry at a time is timed from propose to commit. */
  #sample: { readonly index: LogIndex; readonly startedMs: number } | undefined;

  constructor(context: GroupContext, limits: ProposalLimits) {
    this.#context = context;
    this.#limits = limits;
  }

  /** @throws BrokerError NOT_LEADER | LEADER_UNKNOWN | OVERLOADED */
  propose(draft: EntryDraft): Proposal {
    const { core } = this.#context;
    if (core.role !== "leader") throw this.notLeader();
    if (!this.#limits.isReady()) throw this.refused("not-ready");
    // What frees room must find some where messages have taken theirs (architecture §7.5).
    const reserveBytes = draft.recordCount === 0 ? COMMAND_RESERVE_BYTES : 0;
    const unappliedBytesMax = UNAPPLIED_BYTES_MAX + reserveBytes;
    if (this.#limits.unappliedBytes() >= unappliedBytesMax) throw overloaded("unappliedBytes");
    const frame = this.#encode(draft);
    const refusal = core.propose([{ handle: frame, bytes: frame.bytes.length }], reserveBytes);
    if (refusal !== undefined) throw this.refused(refusal);
    this.#sample ??= { index: frame.index, startedMs: this.#context.clock.monotonicMs() };
    this.#context.wake();
    return { index: frame.index, term: frame.term, baseOffset: frame.baseOffset };
  }

  proposeAndApply(draft: EntryDraft): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const { index, term } = this.propose(draft);
      this.#waiters.set(index, { term, resolve, reject });
    });
  }

  /** Position and time after `last`, or after the log's end when the last entry left memory (then it is written). */
  nextPosition(last: Frame | undefined): {
    readonly baseOffset: Offset;
    readonly appendTimeMs: number;
  } {
    const { clock, log } = this.#context;
    const baseOffset = last === undefined ? log.nextOffset : endOffset(last);
    const lastTimeMs = last?.appendTimeMs ?? log.lastAppendTimeMs;
    const floorMs = Math.max(lastTimeMs, this.#limits.appendTimeFloorMs());
    return { baseOffset, appendTimeMs: Math.max(floorMs, clock.wallMs()) };
  }

  onEntryApplied(frame: Frame, reply: unknown): void {
    const waiter = this.#waiters.get(frame.index);
    if (waiter === undefined) return;
    this.#waiters.delete(frame.index);
    if (waiter.term === frame.term) waiter.resolve(reply);
    else waiter.reject(leadershipLost());
  }

  onCommit(commitIndex: LogIndex): void {
    const sample = this.#sample;
    if (sample === undefined || sample.index > commitIndex) return;
    this.#context.metrics.observe(
      "commit_ms",
      this.#context.clock.monotonicMs() - sample.startedMs,
    );
    this.#sample = undefined;
  }

  /** Whoever still waits can not be told here: the entry may or may not survive. */
  failAll(error: () => BrokerError): void {
    this.#sample = undefined;
    const waiters = [...this.#waiters.values()];
    this.#waiters.clear();
    for (const waiter of waiters) waiter.reject(error());
  }

  notLeader(): BrokerError {
    const { core } = this.#context;
    const leaderId = core.leaderId;
    if (leaderId === 0 || leaderId === this.#context.replicaId) {
      return new BrokerError("LEADER_UNKNOWN", "no leader is known right now");
    }
    const leaderNode: NodeId = nodeOfReplica(leaderId);
    const fields = { leaderId: leaderNode, leaderEpoch: core.term };
    return new BrokerError("NOT_LEADER", `node ${leaderNode} leads this group`, fields);
  }

  refused(refusal: ProposalRefusal): BrokerError {
    switch (refusal) {
      case "not-leader":
        return this.notLeader();
      case "not-ready":
        return new BrokerError("LEADER_UNKNOWN", "the leader is not ready yet");
      case "transferring":
        return new BrokerError("LEADER_UNKNOWN", "leadership is being handed over");
      case "uncommitted-limit":
        return overloaded("uncommittedBytes");
      case "change-in-progress":
        return new BrokerError("CHANGE_IN_PROGRESS", "a membership change is under way");
    }
  }

  #encode(draft: EntryDraft): Frame {
    const { core } = this.#context;
    const { term } = core;
    const last = core.tailEntry(core.lastIndex)?.handle;
    const { baseOffset, appendTimeMs } = this.nextPosition(last);
    draft.patch?.(baseOffset, term);
    const { kind, recordCount, layoutEpoch, sections } = draft;
    const index = core.lastIndex + 1;
    const fields = { kind, index, term, baseOffset, recordCount, layoutEpoch, appendTimeMs };
    return encodeFrame(fields, sections);
  }
}

export function leadershipLost(): BrokerError {
  return new BrokerError("LEADERSHIP_LOST", "leadership changed before the entry was applied");
}

function overloaded(limit: string): BrokerError {
  return new BrokerError("OVERLOADED", `the group's ${limit} are at their limit`, { limit });
}
