// The journal of terms and votes of all groups of a node (contract: HardStateJournal in ports.ts). A forgotten vote is
// unsafe, so a bad record that was synced refuses the start: each hard state says up to where the file was synced when it
// was written. What lies above was promised to nobody, and a power cut may keep any of it. Bytes: hard-state-format.ts.
// Every open writes a new file with one record per group and renames it over the old one; so does a sync that finds the
// file grown large. Called by the broker (open, close) and the replica room (get, save, sync).
import { crc32c } from "../base/crc32c.ts";
import type { GroupId } from "../model/ids.ts";
import {
  CLOSED,
  decodeHardState,
  decodeOpened,
  encodeHardState,
  encodeHeader,
  encodeOpened,
  encodeRecord,
  encodeSynced,
  HARD_STATE,
  HARD_STATE_BYTES_TYPICAL,
  HEADER_BYTES,
  JOURNAL_MAGIC,
  JOURNAL_VERSION,
  OPENED,
  payloadAt,
  provesSynced,
  RECORD_HEADER_BYTES,
  SYNCED,
} from "./hard-state-format.ts";
import {
  type Disk,
  type DiskFile,
  type HardStateJournal,
  type HardStateRecord,
  StorageError,
} from "./ports.ts";

const COMPACT_BYTES_MIN = 256 * 1024;
/** Compacted when the file is this many times as large as what it would be. */
const COMPACT_FACTOR = 4;

export interface JournalOptions {
  /** Of the running kernel; "" when it is not known. */
  readonly bootId: string;
  /** Relative to the data directory. Default "hard-state.journal". */
  readonly path?: string;
  /** The data directory is known to have had a journal: StorageError "missing" instead of a new one. Default false. */
  readonly mustExist?: boolean;
}

/** @throws StorageError "corrupt" (nothing is changed then) | "version" | "missing" | "io" | "full" */
export async function openHardStateJournal(
  disk: Disk,
  options: JournalOptions,
): Promise<HardStateJournal> {
  const path = options.path ?? "hard-state.journal";
  if (options.mustExist === true && !disk.exists(path)) {
    throw new StorageError("missing", path, "the journal of terms and votes is gone");
  }
  const found = disk.exists(path) ? load(disk, path, options.bootId) : NOTHING;
  const journal = new FileJournal(disk, path, options.bootId, found);
  await journal.rewrite();
  return journal;
}

interface Loaded {
  readonly incarnation: number;
  readonly bootId: string;
  readonly wasClean: boolean;
  readonly records: ReadonlyMap<GroupId, HardStateRecord>;
}

const NOTHING: Loaded = { incarnation: 0, bootId: "", wasClean: false, records: new Map() };

class FileJournal implements HardStateJournal {
  readonly incarnation: number;
  readonly bootChanged: boolean;
  readonly wasClean: boolean;
  readonly #disk: Disk;
  readonly #path: string;
  readonly #bootId: string;
  readonly #records: Map<GroupId, HardStateRecord>;
  #file: DiskFile | undefined;
  #failure: Error | undefined;
  #isClosed = false;
  #queue: Promise<unknown> = Promise.resolve();
  /** A sync that has not begun yet: it covers what is saved until it does. */
  #waitingSync: Promise<void> | undefined;
  /** Grows with each save; up to where a finished sync covers. */
  #saved = 0;
  #synced = 0;
  /** Bytes of the current file that a finished sync covers; 0 while its first records are written. */
  #syncedEnd = 0;

  constructor(disk: Disk, path: string, bootId: string, found: Loaded) {
    this.#disk = disk;
    this.#path = path;
    this.#bootId = bootId;
    this.incarnation = found.incarnation + 1;
    this.bootChanged = bootId === "" || found.bootId !== bootId;
    this.#records = new Map(found.records);
    this.wasClean = found.wasClean;
    if (this.bootChanged) {
      for (const [groupId, record] of this.#records) {
        const recovering = record.recovering || (record.lazy && !this.wasClean);
        this.#records.set(groupId, { ...record, unrecovered: true, recovering });
      }
    }
  }

  get(groupId: GroupId): HardStateRecord | undefined {
    return this.#records.get(groupId);
  }

  all(): readonly HardStateRecord[] {
    return [...this.#records.values()];
  }

  save(record: HardStateRecord): void {
    this.#check();
    try {
      this.#file?.append([encodeRecord(encodeHardState(record, this.#syncedEnd))]);
    } catch (error) {
      throw this.#fail(error);
    }
    this.#records.set(record.groupId, record);
    this.#saved += 1;
  }

  sync(): Promise<void> {
    if (this.#waitingSync !== undefined) return this.#waitingSync;
    const run = this.#enqueue(async () => {
      this.#waitingSync = undefined;
      this.#check();
      const saved = this.#saved;
      if (saved === this.#synced) return;
      if (this.#isLarge()) await this.rewrite();
      else await this.#syncFile();
      this.#synced = saved;
    });
    this.#waitingSync = run;
    return run;
  }

  close(options: { readonly clean: boolean }): Promise<void> {
    return this.#enqueue(async () => {
      if (this.#isClosed) return;
      if (options.clean) this.#check();
      this.#isClosed = true;
      if (options.clean) {
        // Synced before, so that a closing record proves everything in front of it.
        await this.#file?.sync();
        this.#file?.append([encodeRecord(Buffer.from([CLOSED]))]);
        await this.#file?.sync();
      }
      this.#file?.close();
    });
  }

  /** Writes a new file with the newest record of each group; what is saved meanwhile goes to the new file already. */
  async rewrite(): Promise<void> {
    const temporary = `${this.#path}.tmp`;
    if (this.#disk.exists(temporary)) this.#disk.remove(temporary);
    const file = this.#disk.open(temporary, { create: true });
    const chunks = [encodeHeader(), encodeRecord(encodeOpened(this.incarnation, this.#bootId))];
    for (const record of this.#records.values()) {
      chunks.push(encodeRecord(encodeHardState(record, 0)));
    }
    // The file appears whole, by its rename: so its last record is never one whose loss would not be seen.
    chunks.push(encodeRecord(encodeSynced(chunks.reduce((sum, { length }) => sum + length, 0))));
    file.append(chunks);
    this.#file?.close();
    this.#file = file;
    // This much appears whole, by the rename; what is saved meanwhile stands behind it.
    this.#syncedEnd = file.size;
    await file.sync();
    this.#disk.rename(temporary, this.#path);
    await this.#disk.syncDirectory(this.#path.split("/").slice(0, -1).join("/"));
  }

  async #syncFile(): Promise<void> {
    const file = this.#file;
    if (file === undefined) return;
    const end = file.size;
    await file.sync();
    if (file !== this.#file) return;
    this.#syncedEnd = end;
    file.append([encodeRecord(encodeSynced(end))]);
  }

  #isLarge(): boolean {
    const size = this.#file?.size ?? 0;
    const needed = this.#records.size * (RECORD_HEADER_BYTES + HARD_STATE_BYTES_TYPICAL);
    return size > COMPACT_BYTES_MIN && size > needed * COMPACT_FACTOR;
  }

  #check(): void {
    if (this.#failure !== undefined) throw this.#failure;
    if (this.#isClosed) throw new StorageError("io", this.#path, "the journal is closed");
  }

  #fail(error: unknown): unknown {
    if (error instanceof Error) this.#failure ??= error;
    return error;
  }

  /** One at a time; a failure is final: a sync is never retried. */
  #enqueue(work: () => Promise<void>): Promise<void> {
    const run = this.#queue.then(async () => {
      try {
        await work();
      } catch (error) {
        throw this.#fail(error);
      }
    });
    this.#queue = run.catch(() => undefined);
    return run;
  }
}

function load(disk: Disk, path: string, bootId: string): Loaded {
  const file = disk.open(path, { create: false });
  const bytes = file.readSync(0, file.size);
  file.close();
  checkHeader(bytes, path);
  const records = new Map<GroupId, HardStateRecord>();
  let opened = { incarnation: 0, bootId: "" };
  let wasClean = false;
  let at = HEADER_BYTES;
  while (at < bytes.length) {
    const payload = payloadAt(bytes, at);
    if (payload === undefined) {
      refuseUnlessTorn(bytes, at, path, bootId !== "" && opened.bootId === bootId);
      break;
    }
    const type = payload[0];
    wasClean = type === CLOSED;
    if (type === OPENED) opened = decodeOpened(payload);
    else if (type === HARD_STATE) {
      const record = decodeHardState(payload);
      records.set(record.groupId, record);
    } else if (type !== CLOSED && type !== SYNCED) {
      throw new StorageError("version", path, `record type ${type} is not known here`);
    }
    at += RECORD_HEADER_BYTES + payload.length;
  }
  if (opened.incarnation === 0) throw new StorageError("corrupt", path, "no opening record");
  return { ...opened, wasClean: wasClean && at === bytes.length, records };
}

/** The journal appears by a rename after a sync, so its header is never torn. */
function checkHeader(bytes: Buffer, path: string): void {
  const isOurs = bytes.length >= HEADER_BYTES && bytes.readUInt32BE(0) === JOURNAL_MAGIC;
  if (!isOurs || crc32c(bytes.subarray(0, 12)) !== bytes.readUInt32BE(12)) {
    throw new StorageError("corrupt", path, "damaged header");
  }
  if (bytes.readUInt16BE(4) !== JOURNAL_VERSION) {
    throw new StorageError("version", path, "a newer program wrote this journal");
  }
}

/**
 * A bad record is a torn write only if no valid one behind it was written after it had been synced, and, when the page
 * cache cannot have been lost, only if the file ends inside it.
 */
function refuseUnlessTorn(bytes: Buffer, at: number, path: string, isSameBoot: boolean): void {
  for (let later = at + 1; later < bytes.length; later += 1) {
    const payload = payloadAt(bytes, later);
    if (payload !== undefined && (isSameBoot || provesSynced(payload, at))) {
      throw new StorageError("corrupt", path, `bad record at byte ${at} before a good one`);
    }
  }
  if (!isSameBoot) return;
  const rest = bytes.length - at;
  const needed =
    rest < RECORD_HEADER_BYTES ? rest + 1 : RECORD_HEADER_BYTES + bytes.readUInt32BE(at);
  if (needed <= rest) {
    throw new StorageError("corrupt", path, `bad record at byte ${at}; no power was lost since`);
  }
}
