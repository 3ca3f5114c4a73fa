// Whether the consumers that matter are there: a new leader waits for those of the last one, by name, and notes which it has
// itself, so that the next leader knows for whom to wait (docs/adr/0015, Fencing). Only where order counts. What differs between
// the note and who is there is kept up to date with each that comes or goes, so that a turn costs the same with one consumer as
// with thousands. Part of the dispatcher; pure.
import type { ConsumerHash } from "./consumer-hash.ts";
import type { Consumer } from "./consumer-table.ts";
import type { DispatchCore } from "./dispatch-core.ts";
import type { PresenceNote } from "./presence-table.ts";

/** That consumers left is noted at most this often. */
const NOTE_MS = 1000;

export class PresenceDesk<B> {
  readonly #core: DispatchCore<B>;
  readonly #isOrdered: boolean;
  /** Consumers of the last leader that did not come back yet. */
  readonly #awaited: Set<ConsumerHash>;
  /** There may be more of them than were noted: only time tells. */
  readonly #isAwaitingAll: boolean;
  #awaitUntilMs: number;
  #notedMs = Number.NEGATIVE_INFINITY;
  /** Push sessions by consumer: one that comes back may be there twice for a moment. */
  readonly #present = new Map<ConsumerHash, number>();
  /** There, and not noted. */
  readonly #unnoted = new Set<ConsumerHash>();
  /** Noted, and not there. */
  readonly #absent = new Set<ConsumerHash>();
  /** That they left is being noted: whoever comes back meanwhile is to be noted again. */
  #leaving: ReadonlySet<ConsumerHash> = new Set();
  /** Of the note that those who are there were compared with; at first with none. */
  #version = Number.NEGATIVE_INFINITY;

  constructor(core: DispatchCore<B>) {
    const { definition, nowMs, state } = core;
    this.#core = core;
    this.#isOrdered = definition.mode !== "shared";
    this.#awaited = new Set(this.#isOrdered ? state.noted.all() : []);
    this.#isAwaitingAll = this.#isOrdered && !state.noted.isComplete;
    const mustWait = this.#awaited.size > 0 || this.#isAwaitingAll;
    this.#awaitUntilMs = mustWait ? nowMs + definition.ackDeadlineMs : 0;
  }

  joined({ hash }: Consumer): void {
    if (!this.#isOrdered) return;
    const sessions = this.#present.get(hash) ?? 0;
    this.#present.set(hash, sessions + 1);
    this.#look(hash);
  }

  /** It said what it still works on: whatever becomes of it now, nobody needs to wait for it any more. */
  resumed({ hash }: Consumer): void {
    this.#awaited.delete(hash);
  }

  left({ hash }: Consumer): void {
    const sessions = this.#present.get(hash) ?? 0;
    if (sessions > 1) this.#present.set(hash, sessions - 1);
    if (sessions !== 1) return;
    this.#present.delete(hash);
    this.#look(hash);
  }

  /** When waiting ends at the latest; not in the future: it has ended. */
  get awaitUntilMs(): number {
    return this.#awaitUntilMs;
  }

  /** Consumers of the last leader are not all back: somebody may still work on anything. */
  isAwaiting(): boolean {
    if (this.#awaitUntilMs <= this.#core.nowMs) return false;
    if (this.#awaited.size > 0 || this.#isAwaitingAll) return true;
    this.#awaitUntilMs = 0;
    return false;
  }

  /** Somebody waits for what this consumer says: it may have messages of the last leader. */
  isAwaited({ hash }: Consumer): boolean {
    return this.isAwaiting() && (this.#isAwaitingAll || this.#awaited.has(hash));
  }

  /** The next leader would not wait for all consumers that are here, and hand out what one of them works on. */
  isUncounted(): boolean {
    if (!this.#isOrdered) return false;
    this.#compare();
    return this.#unnoted.size > 0 && this.#core.state.noted.isComplete;
  }

  /** When something should be noted; Infinity: it is, or it does not matter. */
  noteDueMs(): number {
    const { nowMs, update } = this.#core;
    if (!this.#isOrdered || update.underWay !== undefined) return Number.POSITIVE_INFINITY;
    // Nothing goes out before those that came are noted; that others left has time.
    if (this.isUncounted()) return nowMs;
    if (this.#absent.size === 0 && !this.#canComplete()) return Number.POSITIVE_INFINITY;
    return this.isAwaiting() ? this.#awaitUntilMs : this.#notedMs + NOTE_MS;
  }

  /** What to note with an update that is being made, none being under way; undefined: nothing. */
  takeNote(): PresenceNote | undefined {
    const { nowMs, state } = this.#core;
    this.#leaving = new Set();
    if (this.noteDueMs() > nowMs) return undefined;
    this.#notedMs = nowMs;
    // The next leader waits for whoever is awaited here, too.
    const isAwaiting = this.isAwaiting();
    const left = isAwaiting ? [] : sorted(this.#absent);
    this.#leaving = new Set(left);
    const isCompleted = !isAwaiting && this.#canComplete();
    const joined = isCompleted || state.noted.isComplete ? sorted(this.#unnoted) : [];
    return {
      ...(isCompleted && { complete: true }),
      ...(left.length > 0 && { left }),
      ...(joined.length > 0 && { joined }),
    };
  }

  /** There were more consumers than can be noted, and these fit. */
  #canComplete(): boolean {
    const { noted } = this.#core.state;
    return !noted.isComplete && this.#present.size <= noted.max;
  }

  #isNoted(hash: ConsumerHash): boolean {
    return this.#core.state.noted.has(hash) && !this.#leaving.has(hash);
  }

  /** The state changes before the dispatcher is told. */
  #compare(): void {
    const { noted } = this.#core.state;
    const changes = noted.version - this.#version;
    if (changes === 0) return;
    this.#version = noted.version;
    if (changes === 1) {
      for (const hash of noted.newest) this.#look(hash);
      return;
    }
    this.#unnoted.clear();
    this.#absent.clear();
    for (const hash of this.#present.keys()) this.#look(hash);
    for (const hash of noted.all()) this.#look(hash);
  }

  #look(hash: ConsumerHash): void {
    const isPresent = this.#present.has(hash);
    put(this.#unnoted, hash, isPresent && !this.#isNoted(hash));
    put(this.#absent, hash, !isPresent && this.#core.state.noted.has(hash));
  }
}

function put(set: Set<ConsumerHash>, hash: ConsumerHash, isIn: boolean): void {
  if (isIn) set.add(hash);
  else set.delete(hash);
}

function sorted(hashes: Iterable<ConsumerHash>): ConsumerHash[] {
  return [...hashes].sort((a, b) => a - b);
}
