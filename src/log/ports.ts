// Ports of the storage room: the disk and the keyed store below it, and what it offers above: group log,
// hard-state journal, state images. Each port has a real, an in-memory and a fault-injecting implementation,
// and one conformance suite (test/conformance) that all of them run.
import type { Frame } from "../model/entry-frame.ts";
import type { GroupId, ReplicaId, TopicId } from "../model/ids.ts";
import type { LogIndex, Offset, Term } from "../model/positions.ts";

/** One open file. Appends and truncations are synchronous and land in the page cache; only sync() waits for the disk. */
export interface DiskFile {
  readonly path: string;
  readonly size: number;
  /** Writes all chunks at the end, in order, completely (loops on short writes). Throws StorageError. */
  append(chunks: readonly Uint8Array[]): void;
  /** Reads exactly [position, position + length), or up to the end of the file; does not block the event loop. */
  read(position: number, length: number): Promise<Buffer>;
  /** As read, blocking: for recovery and small page-cached reads. */
  readSync(position: number, length: number): Buffer;
  truncate(size: number): void;
  /** Makes everything appended or truncated so far durable (fdatasync). An error is final: never retried. */
  sync(): Promise<void>;
  close(): void;
}

/** A data directory. Paths are relative to it, with "/" between names. Throws StorageError. */
export interface Disk {
  /** Opens for reading and appending; `create` makes a new, empty file and fails when one exists. */
  open(path: string, options: { readonly create: boolean }): DiskFile;
  exists(path: string): boolean;
  /** Names (not paths) in a directory, sorted; empty when it does not exist. */
  list(directory: string): string[];
  makeDirectory(path: string): void;
  rename(from: string, to: string): void;
  remove(path: string): void;
  /** Removes a directory with all it holds; harmless when it does not exist. */
  removeTree(path: string): void;
  /** Makes creations, renames and removals inside `directory` durable. */
  syncDirectory(directory: string): Promise<void>;
  freeBytes(): number;
}

/** A failed disk operation. `fatal`: the node must stop acking, voting and leading (an fsync or write error). */
export class StorageError extends Error {
  override readonly name = "StorageError";
  readonly kind: "io" | "full" | "corrupt" | "locked" | "missing" | "version";
  readonly path: string;
  constructor(kind: StorageError["kind"], path: string, message: string, options?: ErrorOptions) {
    super(`${path}: ${message}`, options);
    this.kind = kind;
    this.path = path;
  }
}

/** Bytes of a segment that are not what was written. Whoever reads there is refused; the rest of the log is readable. */
export class DamageError extends StorageError {
  /** First index of the segment. */
  readonly segment: LogIndex;
  /** The log knew before: a look at the segment would tell nothing new. */
  readonly isKnown: boolean;
  constructor(
    place: { readonly segment: LogIndex; readonly path: string; readonly isKnown: boolean },
    message: string,
    options?: ErrorOptions,
  ) {
    super("corrupt", place.path, message, options);
    this.segment = place.segment;
    this.isKnown = place.isKnown;
  }
}

/** The disk does not give bytes back (an unreadable sector): for whoever needs them as bad as wrong ones. */
export function isUnreadable(error: unknown): boolean {
  return error instanceof StorageError && error.kind === "io";
}

/** Entries of one segment whose bytes are not what was written. What the log knows of them otherwise is right. */
export interface DamagedRange {
  readonly first: LogIndex;
  /** Inclusive. */
  readonly last: LogIndex;
  /** Why, in words. */
  readonly detail: string;
}

/**
 * Gives entries [first, last] from elsewhere, in order, in pieces of bounded size. Throws when it has no (more) of them: those
 * it gave are used nevertheless.
 */
export type EntrySource = (first: LogIndex, last: LogIndex) => AsyncIterable<readonly Frame[]>;

/** Awaited before each piece of so many bytes is read; rejects to end the walk. */
export type Pace = (bytes: number) => Promise<void>;

export interface RepairOptions {
  /** Nobody needs what is below. Default: all is needed. */
  readonly from?: LogIndex;
  /** For what is read from the disk. */
  readonly pace?: Pace;
}

export type KeyedWrite =
  | { readonly type: "put"; readonly key: string; readonly value: Uint8Array }
  | { readonly type: "delete"; readonly key: string };

/**
 * Ordered keyed store of one node (classic-level). Values carry a CRC of ours; keys are UTF-8, compared bytewise.
 * StorageError "corrupt" of get and range: rows are damaged. Any other failure is that of the whole store, and final.
 */
export interface KeyedStore {
  /**
   * Atomic. `sync`: durable with everything written before it. Batches are executed in call order. The writes and their values
   * belong to the store until it resolves.
   */
  batch(writes: readonly KeyedWrite[], options: { readonly sync: boolean }): Promise<void>;
  get(key: string): Promise<Buffer | undefined>;
  /** Keys with this prefix, ascending. */
  range(prefix: string): AsyncIterable<readonly [string, Buffer]>;
  /** Deletes a prefix with one or more synced batches. */
  removeRange(prefix: string): Promise<void>;
  /** Makes everything written durable. Idempotent. @throws StorageError when it may not be */
  close(): Promise<void>;
}

/**
 * The log of one raft group: append-only segments of entry frames.
 * Invariant: frames are dense in index; baseOffset of each = baseOffset + recordCount of the one before.
 */
export interface GroupLog {
  /** First index in the log; lastIndex + 1 when empty. */
  readonly firstIndex: LogIndex;
  readonly lastIndex: LogIndex;
  readonly lastTerm: Term;
  /** Term of entry firstIndex − 1 (0 at the beginning of time). */
  readonly firstPrevTerm: Term;
  /** Offset of the first record that is in the log, or nextOffset when there is none. */
  readonly startOffset: Offset;
  /** Offset that the next record gets. */
  readonly nextOffset: Offset;
  /** appendTime of the last frame; 0 when there is none. */
  readonly lastAppendTimeMs: number;
  /** Bytes of frames on disk. */
  readonly bytes: number;
  /** Runs of equal term over [firstIndex, lastIndex]. */
  readonly termRuns: readonly { readonly term: Term; readonly from: LogIndex }[];
  /** Indexes of membership frames in [from, lastIndex]; read while recovering. */
  membershipIndexes(from: LogIndex): readonly LogIndex[];

  /** Writes frames at lastIndex + 1 … (asserted). One write call per segment touched. */
  append(frames: readonly Frame[]): void;
  /**
   * Removes entries ≥ fromIndex. Durable with the next sync().
   * @throws StorageError "corrupt" when damage hides where that entry begins; nothing was changed then
   */
  truncateSuffix(fromIndex: LogIndex): void;
  /** Makes all appends and truncations so far durable, older segments first. */
  sync(): Promise<void>;
  /** Drops whole segments that hold only entries < index. Returns the new firstIndex (≤ index). */
  truncatePrefix(index: LogIndex): Promise<LogIndex>;
  /** Empties the log: the next entry is `index`, with `prevTerm` before it and `nextOffset` as next offset. Durable. */
  reset(index: LogIndex, prevTerm: Term, nextOffset: Offset): Promise<void>;

  termAt(index: LogIndex): Term | undefined;
  /**
   * Frames from `from` on, at most up to `last` (inclusive), about `bytesMax` bytes but at least one frame.
   * Each frame's CRCs are checked. @throws StorageError "corrupt"; BrokerError OFFSET_OUT_OF_RANGE is the caller's business.
   */
  read(from: LogIndex, last: LogIndex, bytesMax: number): Promise<Frame[]>;
  /** Index of the frame that holds `offset`, or of the next one with records; undefined when offset ≥ nextOffset. */
  indexOfOffset(offset: Offset): Promise<LogIndex | undefined>;
  /** Base offset of the first frame with records whose appendTime ≥ timeMs; undefined when there is none. */
  offsetOfTime(timeMs: number): Promise<Offset | undefined>;
  /** Sealed segments, oldest first, for retention: what would go if the log started after each. */
  segments(): readonly SegmentInfo[];

  /** What is known to be damaged, ascending. Reads there fail with DamageError. Remembered across restarts. */
  readonly damage: readonly DamagedRange[];
  /**
   * Verifies all bytes of the segment that holds `index`, as fast as `pace` lets it, and notes what is damaged in it.
   * Changes no entry. Empty also when the segment left the log meanwhile.
   */
  examine(index: LogIndex, pace?: Pace): Promise<readonly DamagedRange[]>;
  /**
   * Writes the segment that holds `index` anew, with what `source` gives for its damaged entries: a copy beside it, verified
   * and synced, takes its place by one rename; the original goes to the directory's `damaged/`. Nothing happens when the
   * segment left the log meanwhile. Entries that the source does not give stay damaged; so do those below `options.from`,
   * which it is not asked for. Whatever else is refused or fails before the rename leaves the log as it was.
   * @throws StorageError "corrupt" when the source's entries do not fit; what the source throws; "full"
   */
  repair(index: LogIndex, source: EntrySource, options?: RepairOptions): Promise<void>;
  close(): void;
}

export interface SegmentInfo {
  readonly firstIndex: LogIndex;
  /** Inclusive. */
  readonly lastIndex: LogIndex;
  /** Offset after the segment's last record. */
  readonly endOffset: Offset;
  readonly bytes: number;
  /** appendTime of the newest frame. */
  readonly newestAppendTimeMs: number;
  readonly sealed: boolean;
}

/** What the journal knows of one replica on this data directory. Written before the first vote (architecture §7.9). */
export interface HardStateRecord {
  readonly groupId: GroupId;
  readonly replicaId: ReplicaId;
  readonly term: Term;
  /** 0: nobody. */
  readonly vote: ReplicaId | 0;
  /**
   * May have lost entries that it acknowledged (ADR 0012): set by the journal in the write that notes a new boot after a run
   * that did not end cleanly, for those that are lazy; cleared when the replica holds everything again.
   */
  readonly recovering: boolean;
  /** Has given unflushed acknowledgements: a loss of power makes it recovering. */
  readonly lazy: boolean;
  /**
   * Entries ≤ this were on this disk and, flushed, on a majority's when the record was written: a log that ends before it
   * is damaged, not torn. Lowered, durably, before a log is emptied for an image.
   */
  readonly durableCommitIndex: LogIndex;
  /**
   * Power was lost, and this replica's log was not recovered since: its end may be torn. Set in the same write that notes
   * the new boot, so that a process which dies before it opened all logs does not make the next one take them for whole.
   */
  readonly unrecovered: boolean;
  /** True after the replica was removed on purpose; the record stays so that it is never taken for new. */
  readonly removed: boolean;
  /** Whose data it holds; undefined: not a topic's (the metadata group). Never changes. */
  readonly topicId?: TopicId | undefined;
}

/** Synced journal of hard states of all groups of a node, with CRC per record; a bad record before the tail is fatal. */
export interface HardStateJournal {
  /** Grows by one for each open of the journal; durable before open() resolved. */
  readonly incarnation: number;
  /** The kernel's boot id at the previous open differs from now (or is unknown): page cache may have been lost. */
  readonly bootChanged: boolean;
  /** The previous run ended with close({ clean: true }). */
  readonly wasClean: boolean;
  get(groupId: GroupId): HardStateRecord | undefined;
  all(): readonly HardStateRecord[];
  /** Writes to the page cache; durable after the next sync(). */
  save(record: HardStateRecord): void;
  /** One fdatasync for all records saved so far. */
  sync(): Promise<void>;
  close(options: { readonly clean: boolean }): Promise<void>;
}

/** A state image: the complete keyed state of a group at one index, in one CRC-checked file. */
export interface StateImage {
  readonly groupId: GroupId;
  /** Everything ≤ index is in `pairs`. */
  readonly index: LogIndex;
  readonly term: Term;
  /** Opaque to the store: membership, log start and its previous term, offsets (replica room writes it, JSON). */
  readonly meta: Uint8Array;
  readonly pairs: readonly (readonly [string, Uint8Array])[];
}

export interface ImageStore {
  /** Write temporary, sync, rename, sync directory; older images of the group are removed afterwards. */
  save(image: StateImage): Promise<void>;
  /**
   * Newest image that can be read and whose checks pass; undefined when there is none. Leftover temporary files are ignored
   * and removed.
   */
  load(groupId: GroupId): Promise<StateImage | undefined>;
  /** Encoded form that travels between nodes, and back (checked; throws StorageError "corrupt"). */
  encode(image: StateImage): Buffer;
  decode(bytes: Uint8Array): StateImage;
  remove(groupId: GroupId): Promise<void>;
}
