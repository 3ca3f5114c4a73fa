// Empties trash/: what a removed replica left is kept for a while, because a removal may have been a mistake, and then
// deleted file by file, so that the event loop turns in between. Put together by the broker.
import type { Cancel, Clock } from "../base/clock.ts";
import type { Disk } from "../log/ports.ts";
import { TRASH } from "./group-directory.ts";
import type { Logger } from "./ports.ts";

/** Between two looks at what there is, at most and at least. */
const CHECK_MS = 60_000;
const CHECK_MS_MIN = 1000;
/** Between two files: unlinking a segment of 64 MiB takes a file system some milliseconds. */
const STEP_MS = 20;

export interface TrashDeps {
  readonly disk: Disk;
  readonly clock: Clock;
  readonly logger: Logger;
}

export class TrashCleaner {
  readonly #deps: TrashDeps;
  readonly #retentionMs: number;
  /** When each entry was seen first, monotonic ms: a start of the broker begins anew, so nothing goes too early. */
  readonly #seenMs = new Map<string, number>();
  #cancel: Cancel | undefined;
  #isClosed = false;

  /** @param retentionMs how long an entry stays at least; 0: it goes at the next look */
  constructor(deps: TrashDeps, retentionMs: number) {
    this.#deps = deps;
    this.#retentionMs = retentionMs;
  }

  start(): void {
    this.#look();
  }

  close(): void {
    this.#isClosed = true;
    this.#cancel?.();
  }

  #look(): void {
    if (this.#isClosed) return;
    const due = this.#attempt(() => this.#due());
    if (due === undefined)
      this.#again(Math.min(CHECK_MS, Math.max(CHECK_MS_MIN, this.#retentionMs)));
    else this.#empty(due);
  }

  /** The first entry that stayed long enough. */
  #due(): string | undefined {
    const nowMs = this.#deps.clock.monotonicMs();
    const names = this.#deps.disk.list(TRASH);
    for (const name of this.#seenMs.keys()) if (!names.includes(name)) this.#seenMs.delete(name);
    for (const name of names) if (!this.#seenMs.has(name)) this.#seenMs.set(name, nowMs);
    return names.find((name) => nowMs - (this.#seenMs.get(name) ?? nowMs) >= this.#retentionMs);
  }

  /** One file at a time, then the directory itself. */
  #empty(name: string): void {
    if (this.#isClosed) return;
    const { disk, logger } = this.#deps;
    const isGone = this.#attempt(() => {
      const path = `${TRASH}/${name}`;
      const child = disk.list(path)[0];
      disk.removeTree(child === undefined ? path : `${path}/${child}`);
      return child === undefined;
    });
    if (isGone === false) {
      this.#again(STEP_MS, () => this.#empty(name));
      return;
    }
    if (isGone) logger.info({ name }, "trash of a removed replica deleted");
    this.#again(isGone ? STEP_MS : CHECK_MS);
  }

  /** Rubbish that can not be deleted now is no reason to stop: it is tried again later. */
  #attempt<T>(run: () => T): T | undefined {
    try {
      return run();
    } catch (error) {
      this.#deps.logger.warn({ error }, "the trash can not be emptied");
      return undefined;
    }
  }

  #again(delayMs: number, run: () => void = () => this.#look()): void {
    this.#cancel = this.#deps.clock.schedule(delayMs, run);
  }
}
