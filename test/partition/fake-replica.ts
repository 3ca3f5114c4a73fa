// A group's replica in memory, with watermarks that the test moves. propose() appends at once; commit() applies to the
// state machine; stepDown() and takeOver() change leadership the way the replica room reports it.
import { type Deferred, deferred } from "../../src/base/deferred.ts";
import type { KeyedWrite, SegmentInfo } from "../../src/log/ports.ts";
import { encodeFrame, type Frame } from "../../src/model/entry-frame.ts";
import { BrokerError } from "../../src/model/errors.ts";
import { type GroupId, type NodeId, replicaIdOf } from "../../src/model/ids.ts";
import type {
  EntryDraft,
  Proposal,
  ReplicaHandle,
  ReplicaListener,
  StateMachine,
  Watermarks,
} from "../../src/replica/ports.ts";

export interface Marks {
  written?: number;
  flushed?: number;
  commit?: number;
  durable?: number;
}

export class FakeReplica implements ReplicaHandle {
  readonly groupId = 7 as GroupId;
  readonly replicaId = replicaIdOf(1 as NodeId, 0);
  readonly state: StateMachine;
  frames: Frame[] = [];
  /** Entries < this are gone. */
  firstIndex = 1;
  term = 1;
  leaderNode: NodeId | 0 = 1 as NodeId;
  isLeaderReady = false;
  written = 0;
  flushed = 0;
  commitIndex = 0;
  durable = 0;
  applied = 0;
  logStart = 0;
  nowMs = 1000;
  flush: "sync" | "async" = "sync";
  flushRequests = 0;
  /** Entries in memory begin here; older ones are read asynchronously. */
  tailFrom = 1;
  reads = 0;
  refusal: BrokerError | undefined;
  sealed: SegmentInfo[] = [];
  /** Everything the state machine wrote, as the keyed store would hold it. */
  readonly stored = new Map<string, Uint8Array>();
  #listeners = new Set<ReplicaListener>();
  #applyWaiters = new Map<number, Deferred<unknown>>();

  constructor(state: StateMachine) {
    this.state = state;
  }

  get watermarks(): Watermarks {
    return {
      writtenIndex: this.written,
      flushedIndex: this.flushed,
      commitIndex: this.commitIndex,
      durableCommitIndex: this.durable,
      appliedIndex: this.applied,
    };
  }

  get lastIndex(): number {
    return this.frames.length;
  }

  get nextOffset(): number {
    const last = this.frames.at(-1);
    return last === undefined ? 0 : last.baseOffset + last.recordCount;
  }

  get highWatermark(): number {
    const frame = this.frames[this.commitIndex - 1];
    return frame === undefined ? 0 : frame.baseOffset + frame.recordCount;
  }

  get logStartOffset(): number {
    return this.logStart;
  }

  status(): never {
    throw new Error("not used");
  }

  listen(listener: ReplicaListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  propose(draft: EntryDraft): Proposal {
    if (this.refusal !== undefined) throw this.refusal;
    if (!this.isLeaderReady) throw new BrokerError("LEADER_UNKNOWN", "not ready");
    const baseOffset = this.nextOffset;
    draft.patch?.(baseOffset, this.term);
    const { kind, recordCount, layoutEpoch, sections } = draft;
    const index = this.lastIndex + 1;
    const { term, nowMs: appendTimeMs } = this;
    const fields = { kind, index, term, baseOffset, recordCount, layoutEpoch, appendTimeMs };
    this.frames.push(encodeFrame(fields, sections));
    return { index, term, baseOffset };
  }

  proposeAndApply(draft: EntryDraft): Promise<unknown> {
    try {
      const { index } = this.propose(draft);
      const waiter = deferred<unknown>();
      this.#applyWaiters.set(index, waiter);
      return waiter.promise;
    } catch (error) {
      return Promise.reject(error as Error);
    }
  }

  requestFlush(): void {
    this.flushRequests += 1;
  }

  async readBarrier(): Promise<void> {
    await Promise.resolve();
  }

  transferLeadership(): Promise<void> {
    return Promise.resolve();
  }

  changeMembership(): Promise<void> {
    return Promise.resolve();
  }

  setFlush(flush: "sync" | "async"): void {
    this.flush = flush;
  }

  async read(from: number, bytesMax: number): Promise<readonly Frame[]> {
    this.reads += 1;
    await Promise.resolve();
    await Promise.resolve();
    if (from < this.firstIndex) throw new BrokerError("STORAGE_FAILED", "gone");
    return this.#slice(from, bytesMax);
  }

  readTail(from: number, bytesMax: number): readonly Frame[] | undefined {
    if (from <= this.commitIndex && from < this.tailFrom) return undefined;
    return this.#slice(from, bytesMax);
  }

  async indexOfOffset(offset: number): Promise<number | undefined> {
    await Promise.resolve();
    const frame = this.frames.find(
      (candidate) =>
        candidate.index >= this.firstIndex &&
        candidate.recordCount > 0 &&
        candidate.baseOffset + candidate.recordCount > offset,
    );
    return frame?.index;
  }

  async offsetOfTime(timeMs: number): Promise<number | undefined> {
    await Promise.resolve();
    return this.frames.find((frame) => frame.recordCount > 0 && frame.appendTimeMs >= timeMs)
      ?.baseOffset;
  }

  termAt(index: number): number | undefined {
    return this.frames[index - 1]?.term;
  }

  segments(): readonly SegmentInfo[] {
    return this.sealed;
  }

  termRuns(): { term: number; from: number }[] {
    const runs: { term: number; from: number }[] = [];
    for (const frame of this.frames) {
      if (runs.at(-1)?.term !== frame.term) runs.push({ term: frame.term, from: frame.index });
    }
    return runs;
  }

  // What tests do.

  /** Becomes ready leader of the next term (its no-op is appended, committed and applied). */
  takeOver(term: number = this.term + 1): void {
    this.term = term;
    this.leaderNode = 1 as NodeId;
    const fields = {
      kind: "noop" as const,
      index: this.lastIndex + 1,
      term,
      baseOffset: this.nextOffset,
      recordCount: 0,
      layoutEpoch: 0,
      appendTimeMs: this.nowMs,
    };
    this.frames.push(encodeFrame(fields, []));
    this.isLeaderReady = true;
    this.advanceQuietly({});
    for (const listener of [...this.#listeners]) listener.onLeaderReady(term);
    this.#notify();
  }

  /** Moves watermarks (default: to the end) and tells the listeners once. */
  advance(marks: Marks = {}): void {
    this.advanceQuietly(marks);
    this.#notify();
  }

  advanceQuietly(marks: Marks): void {
    const all = Object.keys(marks).length === 0;
    this.written = marks.written ?? (all ? this.lastIndex : this.written);
    this.flushed = marks.flushed ?? (all ? this.lastIndex : this.flushed);
    this.commitIndex = Math.max(this.commitIndex, marks.commit ?? (all ? this.lastIndex : 0));
    this.durable = Math.max(this.durable, marks.durable ?? (all ? this.lastIndex : 0));
    while (this.applied < this.commitIndex) this.#apply();
  }

  /** Leadership ends; entries ≥ `truncateFrom` are replaced by nothing. The term grows. */
  stepDown(truncateFrom?: number, leader: NodeId | 0 = 2 as NodeId): void {
    const ended = this.term;
    this.isLeaderReady = false;
    this.term += 1;
    this.leaderNode = leader;
    if (truncateFrom !== undefined) {
      this.frames = this.frames.slice(0, truncateFrom - 1);
      this.written = Math.min(this.written, this.lastIndex);
      this.flushed = Math.min(this.flushed, this.lastIndex);
    }
    for (const waiter of this.#applyWaiters.values()) {
      waiter.reject(new BrokerError("LEADERSHIP_LOST", "lost"));
    }
    this.#applyWaiters.clear();
    for (const listener of [...this.#listeners]) listener.onLeadershipLost(ended);
  }

  #notify(): void {
    for (const listener of [...this.#listeners]) listener.onAdvance();
  }

  #apply(): void {
    const frame = this.frames[this.applied] as Frame;
    this.applied += 1;
    if (frame.kind !== "data") return;
    const { index, term, baseOffset, recordCount, appendTimeMs } = frame;
    const context = { index, term, baseOffset, recordCount, appendTimeMs };
    const { reply, writes } = this.state.apply(frame, context);
    applyWrites(this.stored, writes);
    const waiter = this.#applyWaiters.get(index);
    this.#applyWaiters.delete(index);
    waiter?.resolve(reply);
  }

  #slice(from: number, bytesMax: number): Frame[] {
    const frames: Frame[] = [];
    let bytes = 0;
    for (let index = from; index <= this.commitIndex; index += 1) {
      const frame = this.frames[index - 1] as Frame;
      if (frames.length > 0 && bytes + frame.bytes.length > bytesMax) break;
      frames.push(frame);
      bytes += frame.bytes.length;
    }
    return frames;
  }
}

export function applyWrites(stored: Map<string, Uint8Array>, writes: readonly KeyedWrite[]): void {
  for (const write of writes) {
    if (write.type === "put") stored.set(write.key, write.value);
    else stored.delete(write.key);
  }
}
