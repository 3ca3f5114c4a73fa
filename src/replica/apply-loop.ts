// Feeds committed entries to the state machine, in order, a bounded piece per turn, so that a replica that has much to
// catch up with does not stop the heartbeats of the others. Frames come from the core's tail; what left memory is read
// from the log. Owns the applied position and everything that belongs to it.
import { assert } from "../base/assert.ts";
import { checkSections, type Frame } from "../model/entry-frame.ts";
import { METADATA_GROUP } from "../model/ids.ts";
import { APPEND_BYTES_MAX } from "../model/limits.ts";
import type { LogIndex, Offset } from "../model/positions.ts";
import type { Membership } from "../raft/messages.ts";
import type { Checkpoint } from "./checkpoint.ts";
import { endOffset, membershipOfFrame } from "./frames.ts";
import type { GroupContext } from "./group-context.ts";
import type { AppliedRecord, LogStart } from "./group-records.ts";
import { unlessDamaged } from "./log-reader.ts";

/** One group's share of a turn; the rest follows in the next turn. */
const APPLY_ENTRIES_PER_TURN = 1024;
const APPLY_BYTES_PER_TURN = 4 * 1024 * 1024;

export interface ApplyObserver {
  /** An entry of any kind took effect; `reply` is the state machine's (undefined for control entries). */
  onEntryApplied(frame: Frame, reply: unknown): void;
  onMembershipApplied(membership: Membership): void;
}

export class ApplyLoop {
  readonly #context: GroupContext;
  readonly #observer: ApplyObserver;
  #checkpoint: Checkpoint | undefined;
  #applied: AppliedRecord;
  #isReading = false;
  #isSuspended = false;
  #unappliedBytes = 0;

  constructor(context: GroupContext, applied: AppliedRecord, observer: ApplyObserver) {
    this.#context = context;
    this.#applied = applied;
    this.#observer = observer;
  }

  /** Two-step construction: the checkpoint asks this loop for the position. */
  attach(checkpoint: Checkpoint): void {
    this.#checkpoint = checkpoint;
  }

  get position(): AppliedRecord {
    return this.#applied;
  }

  get appliedIndex(): LogIndex {
    return this.#applied.index;
  }

  /** Bytes appended here and not applied; an upper bound of what is committed and not applied. */
  get unappliedBytes(): number {
    return this.#unappliedBytes;
  }

  appended(bytes: number): void {
    this.#unappliedBytes += bytes;
  }

  /** The log lost its end; the count starts again (what is left is applied soon or small). */
  truncated(): void {
    this.#unappliedBytes = 0;
  }

  /** Where readers may begin, resolved to an offset by the snapshotter. */
  setLogStart(logStart: LogStart): void {
    this.#applied = { ...this.#applied, logStart };
    this.#checkpoint?.add([]);
    this.#checkpoint?.arm();
  }

  /** Nothing is applied until replace(). */
  suspend(): void {
    this.#isSuspended = true;
  }

  /** An image was installed: its state is restored and its position is ours. */
  replace(applied: AppliedRecord): void {
    this.#applied = applied;
    this.#unappliedBytes = 0;
    this.#isSuspended = false;
  }

  /** Applies what is committed and written, up to the turn's share; wakes the replica when more is left. */
  run(commitIndex: LogIndex): void {
    if (this.#isSuspended || this.#isReading) return;
    const { core, log } = this.#context;
    const last = Math.min(commitIndex, log.lastIndex);
    const batch = new AppliedBatch();
    while (this.#applied.index < last) {
      const entry = core.tailEntry(this.#applied.index + 1);
      if (entry === undefined) {
        this.#readAhead(last);
        break;
      }
      if (batch.isFull) {
        this.#context.wake();
        break;
      }
      this.#apply(entry.handle, batch);
    }
    this.#finish(batch);
  }

  #readAhead(last: LogIndex): void {
    const from = this.#applied.index + 1;
    this.#isReading = true;
    const rank = this.#context.groupId === METADATA_GROUP ? "metadata" : "apply";
    this.#context.spawn("apply-read", (signal) =>
      this.#context.readLimit.run(rank, signal, () => this.#applyFromLog(from, last)),
    );
  }

  async #applyFromLog(from: LogIndex, last: LogIndex): Promise<void> {
    const { log } = this.#context;
    let frames: readonly Frame[] | undefined;
    try {
      if (this.#isWanted(from)) {
        frames = await unlessDamaged(this.#context, () => log.read(from, last, APPEND_BYTES_MAX));
      }
    } finally {
      this.#isReading = false;
    }
    if (!this.#isWanted(from)) {
      if (this.#context.isLive()) this.#context.wake();
      return;
    }
    if (frames === undefined) return;
    assert(frames.length > 0, "committed entries are in the log", { from, last });
    const batch = new AppliedBatch();
    for (const frame of frames) {
      // A truncation that the core withholds may not have reached the disk yet: those frames are not the log's any more.
      if (this.#context.core.termAt(frame.index) !== frame.term) break;
      this.#apply(frame, batch);
    }
    this.#finish(batch);
    this.#context.wake();
  }

  /** An image may be, or have been, installed while the read waited or was under way. */
  #isWanted(from: LogIndex): boolean {
    return this.#context.isLive() && !this.#isSuspended && this.#applied.index === from - 1;
  }

  #apply(frame: Frame, batch: AppliedBatch): void {
    const previous = this.#applied;
    const { index, term, baseOffset, recordCount, appendTimeMs } = frame;
    assert(index === previous.index + 1, "entries are applied without gaps", { index });
    checkSections(frame);
    let { membership } = previous;
    let reply: unknown;
    if (frame.kind === "data") {
      const context = { index, term, baseOffset, recordCount, appendTimeMs };
      const outcome = this.#context.stateMachine.apply(frame, context);
      reply = outcome.reply;
      this.#checkpoint?.add(outcome.writes);
    } else {
      this.#checkpoint?.add([]);
      if (frame.kind === "membership") membership = membershipOfFrame(frame);
    }
    const nextOffset = endOffset(frame);
    const { logStart } = previous;
    this.#applied = { index, term, membership, nextOffset, appendTimeMs, logStart };
    this.#unappliedBytes = Math.max(0, this.#unappliedBytes - frame.bytes.length);
    batch.add(frame, membership);
    this.#observer.onEntryApplied(frame, reply);
  }

  #finish(batch: AppliedBatch): void {
    if (batch.entries === 0) return;
    this.#context.metrics.observe("apply_batch_entries", batch.entries);
    this.#checkpoint?.arm();
    this.#context.core.applied(this.#applied.index, batch.membership);
    if (batch.membership !== undefined) this.#observer.onMembershipApplied(batch.membership);
  }
}

class AppliedBatch {
  entries = 0;
  bytes = 0;
  /** The newest configuration among the entries. */
  membership: Membership | undefined;

  get isFull(): boolean {
    return this.entries >= APPLY_ENTRIES_PER_TURN || this.bytes >= APPLY_BYTES_PER_TURN;
  }

  add(frame: Frame, membership: Membership): void {
    this.entries += 1;
    this.bytes += frame.bytes.length;
    if (frame.kind === "membership") this.membership = membership;
  }
}

/** Offset after the record that `commitIndex` ends with, when its frame is in memory. */
export function committedEnd(context: GroupContext, commitIndex: LogIndex): Offset | undefined {
  const entry = context.core.tailEntry(commitIndex);
  return entry === undefined ? undefined : endOffset(entry.handle);
}
