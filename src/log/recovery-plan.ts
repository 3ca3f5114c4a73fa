// Decides what to do with the segments that are found when a log is opened: what to keep, where to cut, or to refuse.
// Pure. Called by log-recovery.ts, which looks at the files and carries the plan out.
//
// A power cut may leave anything behind of what was not synced: a torn frame, zeros inside, a later segment whose
// predecessor lost its end. All of that lies above the durable index hint and is cut. Damage at or below the hint is
// corruption: those entries were promised. A segment whose end is known nevertheless stays, damaged as it is, and is repaired
// from other replicas; otherwise the log is refused. When only the process died (page cache kept), nothing but the end of the very
// last write may be missing, so any other damage is corruption whatever the hint says.
import type { LogIndex, Offset, Term } from "../model/positions.ts";
import type { SegmentHeader } from "./segment-format.ts";

/** What a look at one segment file found. Segments after the first damaged one need not have been scanned. */
export interface SegmentFinding {
  readonly name: string;
  /** As it stands in the file; of a bridged segment, as it will stand there when it is repaired. */
  readonly header: SegmentHeader | undefined;
  /** End of the good run of frames; undefined without header, or when not scanned. */
  readonly run?: {
    readonly lastIndex: LogIndex;
    readonly lastTerm: Term;
    readonly nextOffset: Offset;
  };
  /** What follows the good run, when it is not the end of the file. */
  readonly damage?: SegmentDamage;
  /** Where the whole segment ends, if that is known in spite of the damage: the log can be opened around it. */
  readonly bridge?: SegmentBridge;
}

export interface SegmentBridge {
  readonly lastIndex: LogIndex;
  readonly lastTerm: Term;
  readonly nextOffset: Offset;
  /** It is damage, and not a torn write, only if everything up to here was promised. */
  readonly promisedTo: LogIndex;
}

export interface SegmentDamage {
  readonly position: number;
  /** The file ends inside a frame (or inside the segment's header). */
  readonly isShort: boolean;
  /** A whole, valid, later frame stands behind the damage. */
  readonly isFollowed: boolean;
  readonly detail: string;
}

export interface RecoveryOptions {
  /** Every entry up to here was synced and promised; 0: nothing. */
  readonly durableIndexHint: LogIndex;
  /** The machine ran on since the log was last written: the page cache lost nothing. */
  readonly pageCacheKept: boolean;
}

export type RecoveryPlan =
  | {
      readonly kind: "open";
      /** How many of the given segments stay, from the oldest. */
      readonly keep: number;
      /** Where to truncate the last one that stays. */
      readonly cutAt: number | undefined;
      /** Why anything is cut or removed. */
      readonly reason: string | undefined;
    }
  | { readonly kind: "corrupt"; readonly name: string; readonly detail: string };

/** @param segments all of one generation, oldest first; not empty */
export function planRecovery(
  segments: readonly SegmentFinding[],
  options: RecoveryOptions,
): RecoveryPlan {
  let keep = 0;
  let lastIndex: LogIndex = 0;
  let tear: { readonly name: string; readonly detail: string; readonly cutAt?: number } | undefined;
  let isTornWrite = false;
  for (const [number, segment] of segments.entries()) {
    const isLast = number === segments.length - 1;
    const gap = whyNotNext(segments[number - 1], segment);
    if (gap !== undefined || segment.run === undefined) {
      if (number === 0) return corrupt(segment.name, gap ?? "the first segment is unreadable");
      tear = { name: segment.name, detail: gap ?? "unreadable" };
      isTornWrite = isLast && segment.header === undefined && segment.damage?.isShort === true;
      break;
    }
    keep += 1;
    if (segment.bridge !== undefined && isPromised(segment.bridge.promisedTo, options)) {
      lastIndex = segment.bridge.lastIndex;
      continue;
    }
    lastIndex = segment.run.lastIndex;
    if (segment.damage !== undefined) {
      const { position, isShort, isFollowed, detail } = segment.damage;
      tear = { name: segment.name, detail: `byte ${position}: ${detail}`, cutAt: position };
      isTornWrite = isLast && isShort && !isFollowed;
      break;
    }
  }
  if (lastIndex < options.durableIndexHint) {
    const name = tear?.name ?? segments[keep - 1]?.name ?? "";
    const detail = tear?.detail ?? "the log is shorter than it was";
    const promised = `entries up to ${options.durableIndexHint} were durable`;
    return corrupt(name, `${detail}; the log ends at ${lastIndex}, but ${promised}`);
  }
  if (tear !== undefined && options.pageCacheKept && !isTornWrite) {
    return corrupt(tear.name, `${tear.detail}; no power was lost since it was written`);
  }
  return { kind: "open", keep, cutAt: tear?.cutAt, reason: tear && `${tear.name}: ${tear.detail}` };
}

/** Everything up to `index` was written once and can not have been lost: what is not there is damaged, not torn. */
export function isPromised(index: LogIndex, options: RecoveryOptions): boolean {
  return options.pageCacheKept || index <= options.durableIndexHint;
}

/** Why `segment` does not continue `previous`; undefined when it does. */
function whyNotNext(
  previous: SegmentFinding | undefined,
  segment: SegmentFinding,
): string | undefined {
  const { header } = segment;
  if (header === undefined) return segment.damage?.detail ?? "no header";
  const run = previous?.bridge ?? previous?.run;
  if (run === undefined) return undefined;
  if (header.firstIndex !== run.lastIndex + 1) {
    return `begins at ${header.firstIndex}, expected ${run.lastIndex + 1}`;
  }
  if (header.prevTerm !== run.lastTerm || header.baseOffset !== run.nextOffset) {
    return "does not continue the segment before it";
  }
  return undefined;
}

function corrupt(name: string, detail: string): RecoveryPlan {
  return { kind: "corrupt", name, detail };
}
