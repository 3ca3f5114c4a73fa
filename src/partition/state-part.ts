// A feature's share of a partition's replicated state. PartitionState hands to its parts what it does not know itself:
// commands by their type, stored keys by their prefix. The delivery room has one (a subscription's cursor); this room
// knows only the form. A part obeys the rules of a StateMachine: same commands, same state; no clock, no randomness.
import type { KeyedWrite } from "../log/ports.ts";
import type { Offset } from "../model/positions.ts";
import type { ApplyContext } from "../replica/ports.ts";

/** Where a part's command stands. `baseOffset` is the end of the log there: nothing at or above it was written before. */
export interface PartContext extends ApplyContext {
  /** First offset that is kept. */
  readonly logStartOffset: Offset;
}

/** What became of a part's command. */
export interface PartReply {
  /** "done", "no-op", or a word of the part's own for what was refused without an effect. */
  readonly outcome: string;
}

export interface StatePart {
  /** Of commands; no two parts, nor the partition itself, know the same one. */
  readonly commandTypes: ReadonlySet<string>;
  /** Of stored keys, e.g. "d/"; no prefix is the beginning of another one. */
  readonly keyPrefix: string;
  /**
   * Looks at a command of one of its types before it is appended.
   * @throws FrameError "unknown-section" for a form that apply() would not know
   */
  check(command: Readonly<Record<string, unknown>>): void;
  /**
   * A command of one of its types. What changes is added to `writes`.
   * @throws FrameError "unknown-section" for a form that this release does not know: that stops the replica
   */
  apply(
    command: Readonly<Record<string, unknown>>,
    context: PartContext,
    writes: KeyedWrite[],
  ): PartReply;
  /** Messages below `context.logStartOffset` are gone (AdvanceLogStart was applied). */
  logStartMoved(context: PartContext, writes: KeyedWrite[]): void;
  /** Replaces its whole state; gets only keys with its prefix, in any order. */
  restore(pairs: Iterable<readonly [string, Uint8Array]>): void;
  /** Its whole state; at every index the same as all writes so far. */
  pairs(): Iterable<readonly [string, Uint8Array]>;
  /** The lowest offset that somebody still needs; undefined: there is nobody who could need one. */
  lowestCursor(): Offset | undefined;
}
