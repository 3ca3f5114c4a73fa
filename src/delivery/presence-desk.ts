// Whether the consumers that matter are there: a new leader waits for those of the last one, and notes how many it has itself, so
// that the next leader knows for how many to wait (docs/adr/0015, Fencing). Only where order counts. Part of the dispatcher; pure.
import type { DispatchCore } from "./dispatch-core.ts";

/** That there are fewer consumers is noted at most this often. */
const NOTE_MS = 1000;

export class PresenceDesk<B> {
  readonly #core: DispatchCore<B>;
  readonly #awaited: number;
  #awaitUntilMs: number;
  #notedMs = Number.NEGATIVE_INFINITY;

  constructor(core: DispatchCore<B>) {
    const { definition, nowMs, state } = core;
    this.#core = core;
    this.#awaited = definition.mode === "shared" ? 0 : state.sessions;
    this.#awaitUntilMs = this.#awaited > 0 ? nowMs + definition.ackDeadlineMs : 0;
  }

  /** When waiting ends at the latest; not in the future: it has ended. */
  get awaitUntilMs(): number {
    return this.#awaitUntilMs;
  }

  /** Consumers of the last leader are not all back: somebody may still work on anything. */
  isAwaiting(): boolean {
    const { consumers, nowMs } = this.#core;
    if (this.#awaitUntilMs <= nowMs) return false;
    if (consumers.resumedCount < this.#awaited) return true;
    this.#awaitUntilMs = 0;
    return false;
  }

  /** The next leader would not wait for all consumers that are here, and hand out what one of them works on. */
  isUncounted(): boolean {
    const { consumers, definition, state } = this.#core;
    return definition.mode !== "shared" && consumers.count > state.sessions;
  }

  /** When the number of consumers should be noted; Infinity: it is, or it does not matter. */
  noteDueMs(): number {
    const { consumers, state, definition, update, nowMs } = this.#core;
    const isNoted = consumers.count === state.sessions;
    if (isNoted || definition.mode === "shared" || update.underWay !== undefined) {
      return Number.POSITIVE_INFINITY;
    }
    if (this.isAwaiting()) return this.#awaitUntilMs;
    // Nothing goes out before more consumers are noted; that there are fewer has time.
    return this.isUncounted() ? nowMs : this.#notedMs + NOTE_MS;
  }

  /** The number to note with an update that is being made; undefined: none. */
  takeNote(): number | undefined {
    const { consumers, nowMs } = this.#core;
    if (this.noteDueMs() > nowMs) return undefined;
    this.#notedMs = nowMs;
    return consumers.count;
  }
}
