// Carries out what the core decided, in the order that raft/ready.ts prescribes: persist, then send, then apply. The core
// withholds whatever depends on a completion, so nothing is held back here. Runs inside the replica's turn.
import type { HardStateRecord } from "../log/ports.ts";
import type { Frame } from "../model/entry-frame.ts";
import { METADATA_GROUP, nodeOfReplica, type ReplicaId } from "../model/ids.ts";
import { APPEND_BYTES_MAX } from "../model/limits.ts";
import type { LogIndex } from "../model/positions.ts";
import type { Entry } from "../raft/messages.ts";
import type { CatchUp, HardState, RaftEvent, Ready } from "../raft/ready.ts";
import type { ApplyLoop } from "./apply-loop.ts";
import { entryOfFrame } from "./frames.ts";
import type { GroupContext } from "./group-context.ts";
import type { ImageInstaller } from "./image-installer.ts";
import type { JournalFlusher } from "./journal-flusher.ts";
import type { LinearizableReads } from "./linearizable-read.ts";
import type { LogFlusher } from "./log-flusher.ts";
import { unlessDamaged } from "./log-reader.ts";
import type { Proposals } from "./proposals.ts";
import type { Snapshotter } from "./snapshotter.ts";

/** Ready rounds per turn; the core settles in a few, the bound keeps one group from holding the others up. */
const ROUNDS_PER_TURN = 16;

export interface ReadyParts {
  readonly flusher: LogFlusher;
  readonly journal: JournalFlusher;
  readonly apply: ApplyLoop;
  readonly proposals: Proposals;
  readonly reads: LinearizableReads;
  readonly snapshotter: Snapshotter;
  readonly installer: ImageInstaller;
  readonly onEvent: (event: RaftEvent) => void;
  /** The commit watermarks of a round, before anything is applied. */
  readonly onCommit: (commitIndex: LogIndex) => void;
}

export class ReadyLoop {
  readonly #context: GroupContext;
  readonly #parts: ReadyParts;
  #record: HardStateRecord;
  #commitIndex: LogIndex;
  #durableCommitIndex = 0;
  /** The configuration in force was applied at or before this. */
  #changedIndex: LogIndex;
  /** Followers for which a read waits or is under way. */
  readonly #catchUps = new Map<ReplicaId, CatchUp>();

  constructor(context: GroupContext, parts: ReadyParts, record: HardStateRecord) {
    this.#context = context;
    this.#parts = parts;
    this.#record = record;
    this.#commitIndex = parts.apply.appliedIndex;
    this.#changedIndex = parts.apply.appliedIndex;
  }

  get commitIndex(): LogIndex {
    return this.#commitIndex;
  }

  get durableCommitIndex(): LogIndex {
    return this.#durableCommitIndex;
  }

  get record(): HardStateRecord {
    return this.#record;
  }

  /** An image was installed: everything ≤ index is committed. */
  installed(index: LogIndex): void {
    this.#commitIndex = Math.max(this.#commitIndex, index);
  }

  /** A configuration took effect at or before this index. */
  membershipApplied(index: LogIndex): void {
    this.#changedIndex = index;
  }

  /** Changes fields of the journal record that do not come from the core; durable when the promise resolves. */
  saveRecord(
    change: Partial<
      Pick<HardStateRecord, "lazy" | "recovering" | "removed" | "durableCommitIndex">
    >,
  ): Promise<void> {
    this.#record = { ...this.#record, ...change };
    return this.#parts.journal.saveDurably(this.#record);
  }

  /** Now and then: lets the journal know how far this log must reach after a power cut. */
  noteDurable(): void {
    const durableCommitIndex = this.#durableHere();
    if (durableCommitIndex === this.#record.durableCommitIndex) return;
    this.#record = { ...this.#record, durableCommitIndex };
    this.#parts.journal.saveLazily(this.#record);
  }

  /**
   * Notes at once that the configuration in force is committed. A start after a power cut applies the log anew, as far as it
   * is known to be committed: without the note it would ask the members before, who may be gone for good.
   */
  #noteChange(): void {
    const isNoted = this.#changedIndex <= this.#record.durableCommitIndex;
    if (isNoted || this.#changedIndex > this.#durableHere()) return;
    this.#record = { ...this.#record, durableCommitIndex: this.#durableHere() };
    this.#parts.journal.save(this.#record, () => undefined);
  }

  /** One turn. Stops at once when the replica failed in the middle. */
  run(): void {
    const { core } = this.#context;
    const { apply, reads, snapshotter } = this.#parts;
    for (let round = 0; core.hasReady() && this.#context.isLive(); round += 1) {
      if (round === ROUNDS_PER_TURN) {
        this.#context.wake();
        break;
      }
      this.#handle(core.ready());
    }
    if (!this.#context.isLive()) return;
    // Also without a ready: the rest of an earlier, larger piece.
    apply.run(this.#commitIndex);
    reads.applied(apply.appliedIndex);
    snapshotter.turn();
    this.#noteChange();
    if (core.hasReady()) this.#context.wake();
  }

  #handle(ready: Ready<Frame>): void {
    const { apply, installer, proposals, reads, snapshotter, onCommit, onEvent } = this.#parts;
    if (ready.hardState !== undefined) this.#saveHardState(ready.hardState, ready.hardStateSeq);
    if (ready.snapshot !== undefined) installer.install(ready.snapshot);
    this.#write(ready);
    for (const message of ready.messages) this.#context.send(message);
    for (const catchUp of ready.catchUps) this.#catchUp(catchUp);
    for (const to of ready.snapshotsNeeded) snapshotter.send(to);
    this.#commitIndex = Math.max(this.#commitIndex, ready.commitIndex);
    this.#durableCommitIndex = Math.max(this.#durableCommitIndex, ready.durableCommitIndex);
    onCommit(this.#commitIndex);
    proposals.onCommit(this.#commitIndex);
    apply.run(this.#commitIndex);
    reads.confirmed(ready.reads);
    reads.applied(apply.appliedIndex);
    if (ready.readsFailed.length > 0) reads.failed(ready.readsFailed, () => proposals.notLeader());
    for (const event of ready.events) onEvent(event);
  }

  #saveHardState(hardState: HardState, seq: number): void {
    const durableCommitIndex = this.#durableHere();
    this.#record = { ...this.#record, ...hardState, durableCommitIndex };
    this.#parts.journal.save(this.#record, () => {
      if (!this.#context.isLive()) return;
      this.#context.core.hardStateDurable(seq);
      this.#context.wake();
    });
  }

  /** While the log is being replaced, what was noted before is void, and lowered already. */
  #durableHere(): LogIndex {
    if (this.#context.isLogReplaced()) return this.#record.durableCommitIndex;
    const here = Math.min(this.#durableCommitIndex, this.#parts.flusher.flushedIndex);
    return Math.max(this.#record.durableCommitIndex, here);
  }

  #write(ready: Ready<Frame>): void {
    const { core, log } = this.#context;
    const { apply, flusher } = this.#parts;
    if (ready.truncateFrom === undefined && ready.append.length === 0) {
      if (ready.flushRequested) flusher.request();
      return;
    }
    if (ready.truncateFrom !== undefined) {
      log.truncateSuffix(ready.truncateFrom);
      flusher.truncated(ready.truncateFrom);
      apply.truncated();
    }
    const bytes = bytesOf(ready.append);
    if (ready.append.length > 0) {
      log.append(ready.append.map((entry) => entry.handle));
      apply.appended(bytes);
    }
    flusher.written(ready.io, bytes, ready.flushRequested);
    core.storageWritten(ready.io);
  }

  /**
   * Entries that left memory are read from the log, when the node has a place for that. The core asks again after some
   * heartbeats: the newest request counts while one waits; one that comes during the read is dropped.
   */
  #catchUp(catchUp: CatchUp): void {
    const { groupId, readLimit } = this.#context;
    const { to } = catchUp;
    const isAsked = this.#catchUps.has(to);
    this.#catchUps.set(to, catchUp);
    if (isAsked) return;
    const rank = groupId === METADATA_GROUP ? "metadata" : "catch-up";
    this.#context.spawn("catch-up", async (signal) => {
      try {
        await readLimit.run(rank, signal, () =>
          this.#sendFromLog(this.#catchUps.get(to) ?? catchUp),
        );
      } finally {
        this.#catchUps.delete(to);
      }
    });
  }

  /** Leader and term may have changed before the read and during it. */
  async #sendFromLog(catchUp: CatchUp): Promise<void> {
    const { core, groupId, log, replicaId, transport } = this.#context;
    const { to, term, prevIndex, prevTerm, commitIndex, durableCommitIndex } = catchUp;
    const isCurrent = (): boolean =>
      this.#context.isLive() && core.role === "leader" && core.term === term;
    if (!isCurrent()) return;
    // The metadata's few entries go whatever the others send.
    if (groupId !== METADATA_GROUP && !transport.hasRoom(nodeOfReplica(to))) return;
    let frames: readonly Frame[] | undefined;
    try {
      frames = await unlessDamaged(this.#context, () =>
        log.read(prevIndex + 1, catchUp.lastIndex, APPEND_BYTES_MAX),
      );
    } catch (error) {
      if (!isCurrent()) return;
      // The log start moved past the range: the core sends an image instead.
      if (log.firstIndex > prevIndex + 1) return;
      throw error;
    }
    if (!isCurrent()) return;
    if (frames === undefined) this.#giveImageInstead(prevIndex + 1);
    if (frames === undefined || frames.length === 0) return;
    const entries = frames.map(entryOfFrame);
    const positions = { prevIndex, prevTerm, entries, commitIndex, durableCommitIndex };
    const envelope = { kind: "append-request", from: replicaId, to, term } as const;
    this.#context.send({ ...envelope, ...positions, flush: false });
    this.#context.wake();
  }

  /** A follower waits for an entry that can not be read. Where the state stands for the log, it needs no entry. */
  #giveImageInstead(index: LogIndex): void {
    const { core, groupId, log, logger, stateMachine } = this.#context;
    const range = log.damage.find(({ first, last }) => first <= index && index <= last);
    const isCovered = range !== undefined && range.last <= this.#parts.apply.appliedIndex;
    if (stateMachine.standsForLog !== true || !isCovered) return;
    logger.info({ groupId, index }, "a follower gets an image instead of damaged entries");
    core.compacted(range.last + 1);
    this.#context.wake();
  }
}

function bytesOf(entries: readonly Entry<Frame>[]): number {
  let bytes = 0;
  for (const entry of entries) bytes += entry.bytes;
  return bytes;
}
