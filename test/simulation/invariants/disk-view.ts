// What a node's disk holds of what was promised: logs, hard states, images. Fed by the simulated disk with each operation
// that passes by; tells the checks what happened and answers their questions. It outlives crashes, as the disk does.
import { decodeFrame, FRAME_HEADER_BYTES } from "../../../src/model/entry-frame.ts";
import type { GroupId, NodeId, ReplicaId } from "../../../src/model/ids.ts";
import type { LogIndex } from "../../../src/model/positions.ts";
import { ByReplica } from "./by-replica.ts";
import { type HardStateView, JournalFile } from "./journal-view.ts";
import {
  type Entry,
  entryOf,
  framesFrom,
  intactFrom,
  LogView,
  SEGMENT_HEADER_BYTES,
  SegmentView,
} from "./log-view.ts";

export interface DiskEvents {
  /** An entry was written; not told of entries that are found at a start. */
  onEntry(log: LogView, entry: Entry): void;
  /** Entries were cut off the end of a log. */
  onCut(log: LogView, entries: readonly Entry[]): void;
  /** The log begins anew, empty, after an image. */
  onRestart(log: LogView, firstIndex: LogIndex): void;
  /** The oldest segment goes. */
  onDropped(log: LogView, lastIndex: LogIndex, imageIndex: LogIndex): void;
  /** Power was lost, and these entries with it: the end of what the log held. */
  onLost(log: LogView, entries: readonly Entry[]): void;
  onHardState(node: NodeId, state: HardStateView): void;
  onHardStateDurable(node: NodeId, state: HardStateView): void;
}

/** A file of which something is known; others are undefined. */
export type FileView =
  | { readonly kind: "segment"; readonly log: LogView; readonly segment: SegmentView }
  | { readonly kind: "journal"; readonly journal: JournalFile }
  | { readonly kind: "image"; readonly groupId: GroupId };

const SEGMENT_PATH = /^(groups\/(\d+)-(\d+))\/(\d+)\.seg$/;
const FIRST_PATH = /^(groups\/(\d+)-(\d+))\/first\.tmp$/;
const IMAGE_PATH = /^images\/(\d+)-.*\.tmp$/;
const IMAGE_NAME = /^images\/(\d+)-(\d+)\.image$/;
const JOURNAL = "hard-state.journal";

interface NamedImage {
  readonly groupId: GroupId;
  readonly index: LogIndex;
  readonly path: string;
}

export class DiskView {
  readonly node: NodeId;
  readonly #events: DiskEvents;
  readonly #logs = new ByReplica<LogView>();
  readonly #files = new Map<string, FileView>();
  readonly #hardStates = new ByReplica<HardStateView>();
  /** Newest image of each group that is complete and named, durably. */
  readonly #images = new Map<GroupId, LogIndex>();
  /** Named since the last sync of the directory. */
  #newImages: NamedImage[] = [];
  #newJournal: JournalFile | undefined;

  constructor(node: NodeId, events: DiskEvents) {
    this.node = node;
    this.#events = events;
  }

  log(groupId: GroupId, replicaId: ReplicaId): LogView | undefined {
    return this.#logs.get(groupId, replicaId);
  }

  logsOf(groupId: GroupId): LogView[] {
    return this.#logs.values().filter((log) => log.groupId === groupId);
  }

  /** What is on the disk for good. */
  hardState(groupId: GroupId, replicaId: ReplicaId): HardStateView | undefined {
    return this.#hardStates.get(groupId, replicaId);
  }

  /**
   * Power was lost: only what was synced is certain until the files are read again.
   * @param left what is left of a file; undefined when it is gone
   */
  powerLost(left: (path: string) => Buffer | undefined): void {
    const lost = this.#logs.values().map((log) => [log, this.#lostOf(log, left)] as const);
    for (const [log, entries] of lost) if (entries.length > 0) this.#events.onLost(log, entries);
    for (const log of this.#logs.values()) {
      for (const segment of log.segments) segment.forgetUnsynced();
      log.isUnread = true;
    }
    // A name that is found afterwards was on the medium, although nobody had made sure of it.
    for (const { groupId, index, path } of this.#newImages) {
      if (left(path) !== undefined) this.#images.set(groupId, index);
    }
    this.#files.clear();
    this.#newImages = [];
    this.#newJournal = undefined;
  }

  /** Another disk, an empty one. What the former replicas had written stays known: their ids never come back. */
  replaced(): void {
    this.#files.clear();
    this.#images.clear();
    this.#newImages = [];
    this.#newJournal = undefined;
  }

  created(path: string): FileView | undefined {
    const first = FIRST_PATH.exec(path);
    if (first !== null) {
      return this.#add(path, {
        kind: "segment",
        log: this.#logOf(first),
        segment: new SegmentView(0),
      });
    }
    const match = SEGMENT_PATH.exec(path);
    if (match !== null) {
      const log = this.#logOf(match);
      const segment = new SegmentView(Number(match[4]));
      log.insert(segment);
      return this.#add(path, { kind: "segment", log, segment });
    }
    const image = IMAGE_PATH.exec(path);
    if (image !== null) {
      return this.#add(path, { kind: "image", groupId: Number(image[1]) as GroupId });
    }
    if (path !== `${JOURNAL}.tmp`) return undefined;
    const journal = new JournalFile((state) => {
      this.#hardStates.set(state.groupId, state.replicaId, state);
      this.#events.onHardStateDurable(this.node, state);
    });
    return this.#add(path, { kind: "journal", journal });
  }

  /** @param read the whole file: asked for when nothing is known of it, and all of it is durable then */
  opened(path: string, read: () => Buffer): FileView | undefined {
    const known = this.#files.get(path);
    if (known !== undefined) return known;
    const match = SEGMENT_PATH.exec(path);
    if (match === null) return undefined;
    const log = this.#logOf(match);
    const segment = new SegmentView(Number(match[4]));
    if (log.isUnread) log.segments = [];
    log.isUnread = false;
    const bytes = read();
    let position = SEGMENT_HEADER_BYTES;
    for (const frame of framesFrom(bytes, position)) {
      position += frame.bytes.length;
      const prevTerm = segment.last?.term ?? log.entry(segment.firstIndex - 1)?.term;
      segment.entries.push(entryOf(frame, prevTerm, position));
    }
    segment.size = bytes.length;
    segment.syncedSize = bytes.length;
    log.insert(segment);
    return this.#add(path, { kind: "segment", log, segment });
  }

  appended(file: FileView, chunks: readonly Uint8Array[]): void {
    for (const chunk of chunks) {
      const bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length);
      if (file.kind === "journal") {
        for (const state of file.journal.append(bytes)) this.#events.onHardState(this.node, state);
      } else if (file.kind === "segment") this.#appended(file.log, file.segment, bytes);
    }
  }

  cut({ log, segment }: Extract<FileView, { readonly kind: "segment" }>, size: number): void {
    const entries = segment.cut(size);
    if (entries.length > 0) this.#events.onCut(log, entries);
  }

  /** @returns what ends the sync */
  syncBegun(file: FileView): () => void {
    if (file.kind === "segment") return file.segment.beginSync();
    if (file.kind === "image") return () => undefined;
    const { size } = file.journal;
    return () => file.journal.synced(size);
  }

  /** @param read the whole file under its new name */
  renamed(from: string, to: string, read: () => Buffer): void {
    const file = this.#files.get(from);
    this.#files.delete(from);
    const image = IMAGE_NAME.exec(to);
    if (image !== null) {
      const groupId = Number(image[1]) as GroupId;
      this.#newImages.push({ groupId, index: Number(image[2]), path: to });
    }
    if (file === undefined) {
      // A repaired copy took the place of a segment.
      if (SEGMENT_PATH.test(to)) this.#files.delete(to);
      this.opened(to, read);
      return;
    }
    this.#files.set(to, file);
    if (file.kind === "journal") this.#newJournal = file.journal;
    const match = SEGMENT_PATH.exec(to);
    if (match === null || file.kind !== "segment") return;
    const { log, segment } = file;
    segment.firstIndex = Number(match[4]);
    log.segments = [segment];
    this.#events.onRestart(log, segment.firstIndex);
  }

  removed(path: string): void {
    const file = this.#files.get(path);
    this.#files.delete(path);
    if (file?.kind !== "segment") return;
    const { log, segment } = file;
    const isOldest = log.segments[0] === segment;
    const isNewest = log.segments.at(-1) === segment;
    log.remove(segment);
    if (isNewest && !isOldest && segment.entries.length > 0) {
      this.#events.onCut(log, segment.entries);
    }
    const { last } = segment;
    if (isOldest && last !== undefined) {
      this.#events.onDropped(log, last.index, this.#images.get(log.groupId) ?? 0);
    }
  }

  directorySynced(directory: string): void {
    if (directory === "images") {
      for (const { groupId, index } of this.#newImages) this.#images.set(groupId, index);
      this.#newImages = [];
    } else if (directory === "" || directory === ".") {
      this.#newJournal?.named();
      this.#newJournal = undefined;
    }
  }

  /** A recovery keeps what is intact from the beginning on. */
  #lostOf(log: LogView, left: (path: string) => Buffer | undefined): Entry[] {
    const paths = new Map<SegmentView, string>();
    for (const [path, file] of this.#files) {
      if (file.kind === "segment" && file.log === log) paths.set(file.segment, path);
    }
    for (const [at, segment] of log.segments.entries()) {
      const path = paths.get(segment);
      const bytes = path === undefined ? undefined : left(path);
      const found = bytes === undefined ? [] : intactFrom(bytes, SEGMENT_HEADER_BYTES);
      if (found.length >= segment.entries.length) continue;
      const behind = log.segments.slice(at + 1).flatMap(({ entries }) => entries);
      return [...segment.entries.slice(found.length), ...behind];
    }
    return [];
  }

  #appended(log: LogView, segment: SegmentView, bytes: Buffer): void {
    segment.size += bytes.length;
    if (bytes.length < FRAME_HEADER_BYTES) return;
    const frame = decodeFrame(bytes, 0);
    // The segment's own header is no frame.
    if ("problem" in frame) return;
    const prevTerm = segment.last?.term ?? log.entry(segment.firstIndex - 1)?.term;
    const entry = entryOf(frame, prevTerm, segment.size);
    segment.entries.push(entry);
    this.#events.onEntry(log, entry);
  }

  #logOf(match: RegExpExecArray): LogView {
    const groupId = Number(match[2]) as GroupId;
    const replicaId = Number(match[3]) as ReplicaId;
    let log = this.#logs.get(groupId, replicaId);
    if (log === undefined) {
      log = new LogView(groupId, replicaId);
      this.#logs.set(groupId, replicaId, log);
    }
    return log;
  }

  #add(path: string, file: FileView): FileView {
    this.#files.set(path, file);
    return file;
  }
}
