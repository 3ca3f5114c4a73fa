// A host of one core with a disk in memory: the page cache and the durable side are kept apart, every completion is
// reported only when the test says so, and a crash loses what it would lose on a real machine.
import { assert, defined } from "../../../src/base/assert.ts";
import type { ReplicaId } from "../../../src/model/ids.ts";
import type { LogIndex, Term } from "../../../src/model/positions.ts";
import type { InitialState, RaftOptions } from "../../../src/raft/config.ts";
import type {
  AppendRequest,
  Entry,
  Membership,
  Message,
  SnapshotMeta,
} from "../../../src/raft/messages.ts";
import { createRaftCore, type RaftCore } from "../../../src/raft/raft.ts";
import type { HardState, Ready } from "../../../src/raft/ready.ts";

export type Payload = string;
export type TestEntry = Entry<Payload>;
export type TestMessage = Message<Payload>;
export type TestReady = Ready<Payload>;

export const replica = (id: number): ReplicaId => id as ReplicaId;

/** State after applying everything up to `index`: a hash of all payloads, and the configuration. */
export interface AppliedState {
  readonly index: LogIndex;
  readonly term: Term;
  readonly hash: string;
  readonly membership: Membership;
}

export interface IoWork {
  readonly io: number;
  readonly truncateFrom: LogIndex | undefined;
  readonly append: readonly TestEntry[];
}

/** A log on some medium: entries [firstIndex, …). */
export class MediumLog {
  firstIndex: LogIndex;
  prevTerm: Term;
  entries: TestEntry[] = [];

  constructor(firstIndex: LogIndex, prevTerm: Term) {
    this.firstIndex = firstIndex;
    this.prevTerm = prevTerm;
  }

  get lastIndex(): LogIndex {
    return this.firstIndex + this.entries.length - 1;
  }

  at(index: LogIndex): TestEntry | undefined {
    return this.entries[index - this.firstIndex];
  }

  termAt(index: LogIndex): Term | undefined {
    return index === this.firstIndex - 1 ? this.prevTerm : this.at(index)?.term;
  }

  perform(work: IoWork): void {
    if (work.truncateFrom !== undefined) {
      assert(work.truncateFrom >= this.firstIndex, "truncation in range");
      this.entries.length = Math.min(this.entries.length, work.truncateFrom - this.firstIndex);
    }
    for (const entry of work.append) {
      assert(entry.index === this.lastIndex + 1, "the log on disk has no gap", { ...entry });
      this.entries.push(entry);
    }
  }

  dropBefore(firstIndex: LogIndex): void {
    if (firstIndex <= this.firstIndex || firstIndex > this.lastIndex + 1) return;
    this.prevTerm = this.termAt(firstIndex - 1) ?? 0;
    this.entries = this.entries.slice(firstIndex - this.firstIndex);
    this.firstIndex = firstIndex;
  }

  copy(): MediumLog {
    const copy = new MediumLog(this.firstIndex, this.prevTerm);
    copy.entries = [...this.entries];
    return copy;
  }
}

export interface HostOptions {
  readonly id: number;
  readonly options: Omit<RaftOptions<Payload>, "replicaId" | "incarnation" | "encodeControl">;
  readonly membership: Membership;
  /** Finds the state after an index that some replica already applied (for images). */
  readonly stateAt: (index: LogIndex) => AppliedState;
  readonly onApplied?: (state: AppliedState, entry: TestEntry) => void;
}

export class Host {
  readonly id: ReplicaId;
  readonly setup: HostOptions;
  incarnation = 0;
  isUp = false;
  #core: RaftCore<Payload> | undefined = undefined;

  // Durable side.
  hard: { term: Term; vote: ReplicaId | 0 } = { term: 0, vote: 0 };
  recovering: boolean;
  /** It has answered by the rule "appended" once, or may have. */
  lazy: boolean;
  durable: MediumLog;
  /** Newest durable image; the log may have been dropped up to it. */
  image: AppliedState;
  // Lost with the machine's power, kept when only the process dies.
  cached: MediumLog;
  // Lost with the process.
  state: AppliedState;
  /** The core says that it has caught up; the record does not say so yet. */
  isClearing = false;
  hardQueue: { readonly seq: number; readonly hard: HardState }[] = [];
  writeQueue: IoWork[] = [];
  flushQueue: IoWork[] = [];
  installing: SnapshotMeta | undefined = undefined;
  commitIndex: LogIndex = 0;
  /** Replicas learn of another rule at different times. */
  rule: "durable" | "appended";

  constructor(setup: HostOptions) {
    this.setup = setup;
    this.id = replica(setup.id);
    this.recovering = setup.options.recovering;
    this.rule = setup.options.commitRule;
    this.lazy = this.rule === "appended";
    this.durable = new MediumLog(1, 0);
    this.cached = new MediumLog(1, 0);
    this.image = { index: 0, term: 0, hash: "", membership: setup.membership };
    this.state = this.image;
  }

  get core(): RaftCore<Payload> {
    return defined(this.#core, "the process runs");
  }

  start(): void {
    assert(!this.isUp, "started once");
    this.incarnation += 1;
    this.isUp = true;
    const { options } = this.setup;
    this.#core = createRaftCore<Payload>(
      {
        ...options,
        commitRule: this.rule,
        recovering: this.recovering,
        replicaId: this.id,
        incarnation: this.incarnation,
        encodeControl: (control) => ({ handle: `<${control.kind}>`, bytes: 10 }),
      },
      this.#recovered(),
    );
    this.commitIndex = this.core.commitIndex;
  }

  /** The host makes what it recovered durable before it starts the core. */
  #recovered(): InitialState {
    this.durable = this.cached.copy();
    const { entries, firstIndex, lastIndex, prevTerm } = this.cached;
    const termRuns: { term: Term; from: LogIndex }[] = [];
    for (const entry of entries) {
      if (termRuns.at(-1)?.term !== entry.term) {
        termRuns.push({ term: entry.term, from: entry.index });
      }
    }
    const unapplied = entries.filter((e) => e.kind === "membership" && e.index > this.state.index);
    return {
      term: this.hard.term,
      vote: this.hard.vote,
      membership: this.state.membership,
      appliedIndex: this.state.index,
      firstIndex,
      firstPrevTerm: prevTerm,
      termRuns,
      lastIndex,
      isLazy: this.lazy,
      unappliedChanges: unapplied.map((entry) => entry.index),
    };
  }

  /** Entries that a loss of power would take, if the first `keep` unflushed I/Os survived it. */
  atRisk(keep: number): TestEntry[] {
    const left = this.durable.copy();
    for (const work of this.flushQueue.slice(0, keep)) left.perform(work);
    return this.cached.entries.filter(({ index, term }) => left.termAt(index) !== term);
  }

  /** Power loss: of what was written but not flushed only the first `keep` I/Os survive. */
  crash(loss: "process" | "power", keep = 0): void {
    assert(this.isUp, "crashes once");
    this.isUp = false;
    this.#core = undefined;
    if (loss === "power") {
      for (const work of this.flushQueue.slice(0, keep)) this.durable.perform(work);
      this.cached = this.durable.copy();
      if (this.lazy) this.recovering = true;
    }
    this.isClearing = false;
    this.hardQueue = [];
    this.writeQueue = [];
    this.flushQueue = [];
    this.installing = undefined;
    // Applied state that the surviving log contradicts is rebuilt from the image (architecture §7.4).
    const { cached, state, image } = this;
    if (state.index <= image.index || cached.termAt(state.index) === state.term) return;
    const last = Math.max(image.index, Math.min(state.index, cached.lastIndex));
    const rebuilt = last > image.index ? this.setup.stateAt(last) : image;
    this.state = cached.termAt(rebuilt.index) === rebuilt.term ? rebuilt : image;
  }

  /** Takes the core's output and queues its disk work; returns it for the network. */
  take(): TestReady {
    const ready = this.core.ready();
    if (ready.hardState !== undefined) {
      this.hardQueue.push({ seq: ready.hardStateSeq, hard: ready.hardState });
    }
    if (ready.snapshot !== undefined) this.installing = ready.snapshot;
    if (ready.append.length > 0 || ready.truncateFrom !== undefined) {
      const { io, truncateFrom, append } = ready;
      this.writeQueue.push({ io, truncateFrom, append });
    }
    this.commitIndex = ready.commitIndex;
    if (ready.events.some(({ kind }) => kind === "caught-up")) this.isClearing = true;
    return ready;
  }

  /** Requests for entries that the core no longer holds, read from the written log. */
  serveCatchUps(ready: TestReady, bytesMax: number): AppendRequest<Payload>[] {
    return ready.catchUps.flatMap((catchUp) => {
      const entries: TestEntry[] = [];
      let bytes = 0;
      for (let index = catchUp.prevIndex + 1; index <= catchUp.lastIndex; index += 1) {
        const entry = this.cached.at(index);
        if (entry === undefined) break;
        if (entries.length > 0 && bytes + entry.bytes > bytesMax) break;
        entries.push(entry);
        bytes += entry.bytes;
      }
      if (entries.length === 0) return [];
      const { to, term, prevIndex, prevTerm, commitIndex, durableCommitIndex } = catchUp;
      const positions = { prevIndex, prevTerm, entries, commitIndex, durableCommitIndex };
      return [{ kind: "append-request", from: this.id, to, term, ...positions, flush: false }];
    });
  }

  finishHardState(): boolean {
    const done = this.hardQueue.shift();
    if (done === undefined) return false;
    this.hard = { term: done.hard.term, vote: done.hard.vote };
    this.core.hardStateDurable(done.seq);
    return true;
  }

  /** The rule reached this replica; that it is lazy is durable before. */
  setRule(rule: "durable" | "appended"): void {
    this.rule = rule;
    if (rule === "appended") this.lazy = true;
    this.core.setCommitRule(rule);
  }

  /** The record without the mark is durable. */
  finishRecovery(): boolean {
    if (!this.isClearing) return false;
    this.isClearing = false;
    this.recovering = false;
    this.core.setRecovering(false);
    return true;
  }

  finishWrite(): boolean {
    const done = this.writeQueue.shift();
    if (done === undefined) return false;
    this.cached.perform(done);
    this.flushQueue.push(done);
    this.core.storageWritten(done.io);
    return true;
  }

  finishFlush(): boolean {
    const done = this.flushQueue.shift();
    if (done === undefined) return false;
    for (const entry of done.append) {
      assert(entry.term <= this.hard.term, "no durable entry of a term that is not (P2)");
    }
    this.durable.perform(done);
    this.core.storageFlushed(done.io);
    return true;
  }

  finishInstall(): boolean {
    const meta = this.installing;
    if (meta === undefined) return false;
    this.installing = undefined;
    this.writeQueue = [];
    this.flushQueue = [];
    this.cached = new MediumLog(meta.logStartIndex, meta.logStartPrevTerm);
    this.durable = this.cached.copy();
    this.image = { ...this.setup.stateAt(meta.index), membership: meta.membership };
    this.state = this.image;
    this.core.snapshotInstalled(meta.index);
    return true;
  }

  /** Applies up to `count` committed and written entries, then tells the core. */
  apply(count: number): boolean {
    let { index, hash, membership } = this.state;
    let changed: Membership | undefined;
    // The core's idea of "written" counts: an older entry may still stand where a truncation is under way.
    const { writtenIndex } = this.core.status();
    const last = Math.min(this.commitIndex, writtenIndex, index + count);
    const before = index;
    while (index < last) {
      const entry = defined(this.cached.at(index + 1), "committed entries are readable");
      index += 1;
      hash = chain(hash, entry);
      if (entry.change !== undefined) {
        membership = entry.change.membership;
        changed = membership;
      }
      this.state = { index, term: entry.term, hash, membership };
      this.setup.onApplied?.(this.state, entry);
    }
    if (index === before) return false;
    this.core.applied(index, changed);
    return true;
  }

  /** Makes an image of the applied state and drops the log before `firstIndex`. */
  compact(firstIndex: LogIndex): void {
    this.image = this.state;
    this.cached.dropBefore(firstIndex);
    this.durable.dropBefore(firstIndex);
    this.core.compacted(firstIndex);
  }

  /** The image to send: of the applied state, with the log as it is. */
  snapshotMeta(): SnapshotMeta {
    const { index, membership } = this.image;
    const term = defined(this.core.termAt(index), "term of the image");
    const logStartPrevTerm = this.cached.prevTerm;
    return { index, term, membership, logStartIndex: this.cached.firstIndex, logStartPrevTerm };
  }
}

/** One step of a hash over a whole log prefix (FNV-1a, 32 bits, over text). */
export function chain(hash: string, entry: TestEntry): string {
  let value = 0x811c9dc5;
  for (const character of `${hash}|${entry.index}|${entry.term}|${entry.handle}`) {
    value = Math.imul(value ^ (character.codePointAt(0) ?? 0), 0x01000193) >>> 0;
  }
  return value.toString(16);
}
