// One group's log as a flush target: remembers which I/O was written, syncs, and tells the core up to where the disk
// holds it. A sync covers what was written when it began, never more; a truncation that happens while it runs takes its
// part out again.
import type { LogIndex } from "../model/positions.ts";
import type { FlushScheduler, FlushTarget } from "./flush-scheduler.ts";
import type { GroupContext } from "./group-context.ts";

export class LogFlusher implements FlushTarget {
  readonly #context: GroupContext;
  readonly #scheduler: FlushScheduler;
  #isSyncClass: boolean;
  /** Newest I/O in the page cache that no finished or running sync covers; 0: none. */
  #dirtyIo = 0;
  #flushedIndex: LogIndex;
  /** Lowest index cut since the running sync began. */
  #cutDuringSync = Number.MAX_SAFE_INTEGER;
  #inFlight: Promise<void> | undefined;
  #isSuspended = false;

  constructor(context: GroupContext, scheduler: FlushScheduler, isSyncClass: boolean) {
    this.#context = context;
    this.#scheduler = scheduler;
    this.#isSyncClass = isSyncClass;
    this.#flushedIndex = context.log.lastIndex;
  }

  get flushedIndex(): LogIndex {
    return this.#flushedIndex;
  }

  get isSyncClass(): boolean {
    return this.#isSyncClass;
  }

  set isSyncClass(isSync: boolean) {
    this.#isSyncClass = isSync;
    if (isSync) this.request();
  }

  /** Entries ≥ from are no longer there. */
  truncated(from: LogIndex): void {
    this.#flushedIndex = Math.min(this.#flushedIndex, from - 1);
    this.#cutDuringSync = Math.min(this.#cutDuringSync, from);
  }

  /** An append or truncation reached the page cache. */
  written(io: number, bytes: number, isUrgent: boolean): void {
    this.#dirtyIo = io;
    if (this.#isSyncClass || isUrgent) this.#scheduler.markUrgent(this);
    else this.#scheduler.markLazy(this, bytes);
  }

  /** Makes everything written so far durable soon, whatever the class. */
  request(): void {
    if (this.#dirtyIo === 0) return;
    this.#scheduler.markUrgent(this);
    this.#context.wake();
  }

  async flush(): Promise<void> {
    if (this.#dirtyIo === 0 || this.#isSuspended || !this.#context.isLive()) return;
    this.#inFlight = this.#sync();
    try {
      await this.#inFlight;
    } finally {
      this.#inFlight = undefined;
    }
  }

  /** No sync begins until resume(); resolves when none is running. While the log is replaced by an image. */
  async suspend(): Promise<void> {
    this.#isSuspended = true;
    await this.#inFlight;
  }

  /** The log was replaced and is durable as it stands. */
  resume(): void {
    this.#isSuspended = false;
    this.#dirtyIo = 0;
    this.#flushedIndex = this.#context.log.lastIndex;
  }

  /** Last sync of a graceful close; nothing is reported to the core. */
  async finish(): Promise<void> {
    this.#scheduler.forget(this);
    await this.suspend();
    await this.#context.log.sync();
  }

  async #sync(): Promise<void> {
    const { clock, core, log, metrics } = this.#context;
    const io = this.#dirtyIo;
    const lastIndex = log.lastIndex;
    this.#dirtyIo = 0;
    this.#cutDuringSync = Number.MAX_SAFE_INTEGER;
    const startedMs = clock.monotonicMs();
    await log.sync();
    metrics.observe("flush_ms", clock.monotonicMs() - startedMs);
    if (!this.#context.isLive()) return;
    const flushed = Math.min(lastIndex, this.#cutDuringSync - 1);
    this.#flushedIndex = Math.max(this.#flushedIndex, flushed);
    core.storageFlushed(io);
    this.#context.wake();
  }
}
