// What stands in one replica's log, seen from its disk: which entries are in the page cache, and up to where they would
// survive a power cut. Kept by disk-view.ts from the writes that pass by; asked by the checks.
import { crc32c } from "../../../src/base/crc32c.ts";
import {
  decodeFrame,
  FRAME_HEADER_BYTES,
  type Frame,
  verifyFrame,
} from "../../../src/model/entry-frame.ts";
import {
  type GroupId,
  type NodeId,
  nodeOfReplica,
  type ReplicaId,
} from "../../../src/model/ids.ts";
import type { LogIndex, Offset, Term } from "../../../src/model/positions.ts";

export const SEGMENT_HEADER_BYTES = 64;

export interface Entry {
  readonly index: LogIndex;
  readonly term: Term;
  /** Of the entry before it in the same log; undefined at the log's beginning. */
  readonly prevTerm: Term | undefined;
  readonly hash: number;
  /** It names the members from the moment on at which it is applied. */
  readonly isMembership: boolean;
  readonly baseOffset: Offset;
  readonly recordCount: number;
  /** Position in the file after it. */
  readonly end: number;
}

/** A sync under way: a cut while it runs lowers what it will have covered. */
interface RunningSync {
  size: number;
}

export class SegmentView {
  firstIndex: LogIndex;
  entries: Entry[] = [];
  size = 0;
  syncedSize = 0;
  readonly #syncs = new Set<RunningSync>();

  constructor(firstIndex: LogIndex) {
    this.firstIndex = firstIndex;
  }

  get last(): Entry | undefined {
    return this.entries.at(-1);
  }

  /** @returns what ends the sync */
  beginSync(): () => void {
    const sync: RunningSync = { size: this.size };
    this.#syncs.add(sync);
    return () => {
      this.#syncs.delete(sync);
      this.syncedSize = Math.max(this.syncedSize, sync.size);
    };
  }

  /** @returns the entries that are gone */
  cut(size: number): Entry[] {
    const kept = this.entries.findIndex(({ end }) => end > size);
    this.size = Math.min(this.size, size);
    this.syncedSize = Math.min(this.syncedSize, size);
    for (const sync of this.#syncs) sync.size = Math.min(sync.size, size);
    return kept < 0 ? [] : this.entries.splice(kept);
  }

  /** Power was lost: nobody knows what else is there before the file is read again. */
  forgetUnsynced(): void {
    this.cut(this.syncedSize);
    this.#syncs.clear();
  }
}

export class LogView {
  readonly groupId: GroupId;
  readonly replicaId: ReplicaId;
  readonly node: NodeId;
  /** Oldest first. */
  segments: SegmentView[] = [];
  /** Power was lost: which files are left is known when they are opened. */
  isUnread = false;

  constructor(groupId: GroupId, replicaId: ReplicaId) {
    this.groupId = groupId;
    this.replicaId = replicaId;
    this.node = nodeOfReplica(replicaId);
  }

  get last(): Entry | undefined {
    for (let at = this.segments.length - 1; at >= 0; at -= 1) {
      const last = this.segments[at]?.last;
      if (last !== undefined) return last;
    }
    return undefined;
  }

  get lastIndex(): LogIndex {
    return this.last?.index ?? (this.segments.at(-1)?.firstIndex ?? 1) - 1;
  }

  entry(index: LogIndex): Entry | undefined {
    for (let at = this.segments.length - 1; at >= 0; at -= 1) {
      const segment = this.segments[at];
      if (segment !== undefined && segment.firstIndex <= index) {
        return segment.entries[index - segment.firstIndex];
      }
    }
    return undefined;
  }

  /** Every entry up to here is on the disk. What came inside an image, below the log's beginning, counts. */
  get durableIndex(): LogIndex {
    let durable = (this.segments[0]?.firstIndex ?? 1) - 1;
    for (const { entries, size, syncedSize } of this.segments) {
      if (syncedSize >= size) {
        durable = entries.at(-1)?.index ?? durable;
        continue;
      }
      for (let at = entries.length - 1; at >= 0; at -= 1) {
        const entry = entries[at];
        if (entry !== undefined && entry.end <= syncedSize) return entry.index;
      }
      return durable;
    }
    return durable;
  }

  insert(segment: SegmentView): void {
    this.segments = this.segments.filter(({ firstIndex }) => firstIndex !== segment.firstIndex);
    this.segments.push(segment);
    this.segments.sort((a, b) => a.firstIndex - b.firstIndex);
  }

  remove(segment: SegmentView): void {
    this.segments = this.segments.filter((one) => one !== segment);
  }
}

export function entryOf(frame: Frame, prevTerm: Term | undefined, end: number): Entry {
  const { baseOffset, bytes, index, kind, recordCount, term } = frame;
  const isMembership = kind === "membership";
  const position = { index, term, prevTerm, baseOffset, recordCount, end };
  return { ...position, isMembership, hash: crc32c(bytes) };
}

/** The frames of a file that is found at a start, up to the first one that is damaged. */
export function framesFrom(bytes: Buffer, position: number): Frame[] {
  const frames: Frame[] = [];
  let at = position;
  while (bytes.length - at >= FRAME_HEADER_BYTES) {
    const frame = decodeFrame(bytes, at);
    if ("problem" in frame) break;
    frames.push(frame);
    at += frame.bytes.length;
  }
  return frames;
}

/** … up to the first one that a recovery does not take. */
export function intactFrom(bytes: Buffer, position: number): Frame[] {
  const frames = framesFrom(bytes, position);
  const damaged = frames.findIndex((frame) => verifyFrame(frame) !== undefined);
  return damaged < 0 ? frames : frames.slice(0, damaged);
}

/** Of a whole segment: where what a recovery takes ends. */
export function endOfIntact(bytes: Buffer): number {
  const frames = intactFrom(bytes, SEGMENT_HEADER_BYTES);
  return frames.reduce((end, frame) => end + frame.bytes.length, SEGMENT_HEADER_BYTES);
}
