// Images of the keyed state, and what they allow: dropping the log's beginning once the state machine's log start passed
// whole segments, and helping replicas whose next entry is gone. An image is captured at the applied position and used
// only when that position is durably committed (architecture §7.3), so that no image ever holds what a power cut can
// take back. While a replica fills up after an image, the log start sent with it is pinned, for a bounded time.
import type { StateImage } from "../log/ports.ts";
import { nodeOfReplica, type ReplicaId } from "../model/ids.ts";
import type { LogIndex, Offset } from "../model/positions.ts";
import type { ApplyLoop } from "./apply-loop.ts";
import type { GroupContext } from "./group-context.ts";
import {
  type AppliedRecord,
  decodeImageRecord,
  encodeImageRecord,
  type ImageRecord,
} from "./group-records.ts";
import { unlessDamaged } from "./log-reader.ts";

/** A replica that does not catch up within this time may lose the pinned log start and gets another image. */
const PIN_MS = 5 * 60_000;

interface Pin {
  readonly logStartIndex: LogIndex;
  /** The pin has done its work when the replica's match reached this. */
  readonly untilIndex: LogIndex;
  readonly expiresMs: number;
}

interface Captured {
  readonly image: StateImage;
  readonly record: ImageRecord;
}

export interface DurablePosition {
  /** Entries ≤ this are flushed by a majority, and here. */
  readonly durableIndex: () => LogIndex;
  /** Asks for flushing what is not. */
  readonly requestFlush: () => void;
}

export class Snapshotter {
  readonly #context: GroupContext;
  readonly #apply: ApplyLoop;
  readonly #durable: DurablePosition;
  readonly #pins = new Map<ReplicaId, Pin>();
  /** Images under way, with the time at which the transport is taken to have forgotten them. */
  readonly #sending = new Map<ReplicaId, number>();
  #waiting: { readonly index: LogIndex; readonly resolve: (ok: boolean) => void }[] = [];
  /** Index of the newest image on disk. */
  #imageIndex: LogIndex;
  #dropping: Promise<void> | undefined;
  #isSuspended = false;
  #isResolving = false;

  constructor(
    context: GroupContext,
    apply: ApplyLoop,
    durable: DurablePosition,
    imageIndex: LogIndex,
  ) {
    this.#context = context;
    this.#apply = apply;
    this.#durable = durable;
    this.#imageIndex = imageIndex;
  }

  /** Called once per turn, after applying. */
  turn(): void {
    const durableIndex = this.#durable.durableIndex();
    if (this.#waiting.length > 0) {
      const due = this.#waiting.filter((waiter) => waiter.index <= durableIndex);
      this.#waiting = this.#waiting.filter((waiter) => waiter.index > durableIndex);
      for (const waiter of due) waiter.resolve(true);
    }
    if (this.#isSuspended) return;
    if (this.#context.stateMachine.logStartIndex !== this.#apply.position.logStart.index) {
      this.#resolveLogStart();
      this.maintain();
    }
  }

  /** Now and then, and when the log start moved: drops what may go. */
  maintain(): void {
    if (this.#isSuspended || this.#dropping !== undefined) return;
    this.#releasePins();
    if (!this.#hasDroppableSegment()) return;
    this.#context.spawn("drop-log-prefix", async () => {
      this.#dropping = this.#dropPrefix();
      try {
        await this.#dropping;
      } finally {
        this.#dropping = undefined;
      }
    });
  }

  /** The log is about to be replaced: nothing is dropped any more; resolves when no drop is under way. */
  async suspend(): Promise<void> {
    this.#isSuspended = true;
    this.leadershipLost();
    await this.#dropping;
  }

  /** The core wants an image sent to a replica whose next entry is gone. */
  send(to: ReplicaId): void {
    const nowMs = this.#context.clock.monotonicMs();
    if ((this.#sending.get(to) ?? 0) > nowMs) return;
    this.#sending.set(to, nowMs + PIN_MS);
    this.#context.spawn("send-image", () => this.#send(to));
  }

  /** An image replaced everything: what waited for the old state is void. */
  installed(imageIndex: LogIndex): void {
    this.#imageIndex = imageIndex;
    this.#isSuspended = false;
  }

  /** Also when the replica closes. */
  leadershipLost(): void {
    this.#pins.clear();
    this.#sending.clear();
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const waiter of waiting) waiter.resolve(false);
  }

  #hasDroppableSegment(): boolean {
    const oldest = this.#context.log.segments()[0];
    return oldest?.sealed === true && oldest.lastIndex < this.#dropBefore();
  }

  /** Entries < this may go, once an image covers them. */
  #dropBefore(): LogIndex {
    let index = this.#context.stateMachine.logStartIndex;
    for (const pin of this.#pins.values()) index = Math.min(index, pin.logStartIndex);
    return index;
  }

  async #dropPrefix(): Promise<void> {
    const { core, groupId, images, log, logger, metrics } = this.#context;
    if (this.#imageIndex + 1 < this.#dropBefore()) {
      const { image } = this.#capture();
      if (!(await this.#untilDurable(image.index)) || !this.#context.isLive()) return;
      await images.save(image);
      if (!this.#context.isLive()) return;
      this.#imageIndex = Math.max(this.#imageIndex, image.index);
      metrics.count("images_saved");
    }
    // Pins may have come while the image was written: the bound is taken anew.
    const firstIndex = await log.truncatePrefix(
      Math.min(this.#dropBefore(), this.#imageIndex + 1, log.lastIndex + 1),
    );
    if (!this.#context.isLive()) return;
    core.compacted(firstIndex);
    logger.debug({ groupId, firstIndex }, "log prefix dropped");
    this.#context.wake();
  }

  async #send(to: ReplicaId): Promise<void> {
    const { core, groupId, images, logger, metrics, replicaId, transport } = this.#context;
    const { term } = core;
    const leads = (): boolean =>
      this.#context.isLive() && core.role === "leader" && core.term === term;
    const captured = this.#capture();
    this.#pin(to, captured);
    // A new leader may know of commits that it does not know to be durable, and be unable to commit more without this very
    // receiver. What it saved before it dropped its own log's beginning is durable, and connects.
    const isDurable = this.#durable.durableIndex() >= captured.image.index;
    const saved = isDurable ? undefined : await this.#saved();
    if (!leads()) return;
    if (saved !== undefined) this.#pin(to, saved);
    else if (!(await this.#untilDurable(captured.image.index)) || !leads()) return;
    const { image, record } = saved ?? captured;
    const { restart, applied } = record;
    const meta = {
      index: image.index,
      term: image.term,
      membership: applied.membership,
      logStartIndex: restart.index,
      logStartPrevTerm: restart.prevTerm,
    };
    const bytes = images.encode(image);
    logger.info({ groupId, to, index: image.index, bytes: bytes.length }, "sending an image");
    metrics.count("images_sent");
    const transfer = { groupId, from: replicaId, to, term, meta, image: bytes };
    transport.sendImage(nodeOfReplica(to), transfer, (ok) => {
      if (!leads()) return;
      this.#sending.delete(to);
      if (ok) core.snapshotSent(to, image.index);
      else core.snapshotFailed(to);
      this.#context.wake();
    });
  }

  #pin(to: ReplicaId, { image, record }: Captured): void {
    const expiresMs = this.#context.clock.monotonicMs() + PIN_MS;
    const logStartIndex = record.restart.index;
    this.#pins.set(to, { logStartIndex, untilIndex: image.index, expiresMs });
  }

  /** The newest image on disk, for a log that begins where ours does now; undefined when it does not reach that. */
  async #saved(): Promise<Captured | undefined> {
    const { groupId, images, log } = this.#context;
    const image = await images.load(groupId);
    const record = image === undefined ? undefined : decodeImageRecord(image.meta);
    if (image === undefined || record === undefined) return undefined;
    if (log.firstIndex > image.index + 1) return undefined;
    const restart = {
      index: log.firstIndex,
      offset: log.startOffset,
      prevTerm: log.firstPrevTerm,
    };
    const sent = { applied: record.applied, restart, isInstalled: false };
    return { image: { ...image, meta: encodeImageRecord(sent) }, record: sent };
  }

  /** State and position at this moment; synchronous, because the state machine goes on afterwards. */
  #capture(): Captured {
    const { groupId, stateMachine } = this.#context;
    const applied = this.#apply.position;
    const record = { applied, restart: this.#restart(applied), isInstalled: false };
    const meta = encodeImageRecord(record);
    const pairs = [...stateMachine.pairs()];
    return { image: { groupId, index: applied.index, term: applied.term, meta, pairs }, record };
  }

  /** Where the log of whoever installs the image begins: the readers' log start, as far as this log still has it. */
  #restart(applied: AppliedRecord): ImageRecord["restart"] {
    const { core, log, stateMachine } = this.#context;
    // The core treats the log as beginning behind damage (ready-loop.ts): its receiver begins where the state ends.
    const isShortened = core.termAt(log.firstIndex - 1) === undefined;
    if (stateMachine.standsForLog === true && isShortened) {
      return { index: applied.index + 1, offset: applied.nextOffset, prevTerm: applied.term };
    }
    const { index, offset } = applied.logStart;
    if (index > log.firstIndex && index <= applied.index) {
      const prevTerm = log.termAt(index - 1);
      if (prevTerm !== undefined) return { index, offset, prevTerm };
    }
    if (index === applied.index + 1) {
      return { index, offset: applied.nextOffset, prevTerm: applied.term };
    }
    return { index: log.firstIndex, offset: log.startOffset, prevTerm: log.firstPrevTerm };
  }

  #untilDurable(index: LogIndex): Promise<boolean> {
    if (this.#durable.durableIndex() >= index) return Promise.resolve(true);
    this.#durable.requestFlush();
    return new Promise((resolve) => this.#waiting.push({ index, resolve }));
  }

  #releasePins(): void {
    if (this.#pins.size === 0) return;
    const nowMs = this.#context.clock.monotonicMs();
    const { progress } = this.#context.core.status();
    for (const [replicaId, pin] of [...this.#pins]) {
      const peer = progress.find((candidate) => candidate.replicaId === replicaId);
      const isDone = peer === undefined || peer.matchIndex >= pin.untilIndex;
      if (isDone || pin.expiresMs <= nowMs) this.#pins.delete(replicaId);
    }
  }

  /** The state machine knows its log start as an index; readers ask by offset. */
  #resolveLogStart(): void {
    const { stateMachine } = this.#context;
    const index = stateMachine.logStartIndex;
    const offset = this.#offsetInMemory(index);
    if (offset !== undefined) {
      this.#apply.setLogStart({ index, offset });
      return;
    }
    if (this.#isResolving) return;
    this.#isResolving = true;
    this.#context.spawn("resolve-log-start", async () => {
      try {
        const read = await unlessDamaged(this.#context, () =>
          this.#context.log.read(index, index, 1),
        );
        const frame = read?.[0];
        const isCurrent = this.#context.isLive() && stateMachine.logStartIndex === index;
        if (frame !== undefined && isCurrent) {
          this.#apply.setLogStart({ index, offset: frame.baseOffset });
        }
      } finally {
        this.#isResolving = false;
      }
    });
  }

  #offsetInMemory(index: LogIndex): Offset | undefined {
    const { core, log } = this.#context;
    const { position } = this.#apply;
    if (index === position.index + 1) return position.nextOffset;
    if (index <= log.firstIndex) return log.startOffset;
    const entry = core.tailEntry(index);
    if (entry !== undefined) return entry.handle.baseOffset;
    const before = log.segments().find((segment) => segment.lastIndex + 1 === index);
    if (before !== undefined) return before.endOffset;
    // While the log fills up after an image, the image's own answer stands until the entry is here.
    return index > log.lastIndex ? position.logStart.offset : undefined;
  }
}
