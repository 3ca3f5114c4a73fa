// The keyed store on classic-level (contract: KeyedStore in ports.ts). It holds only what image + log can rebuild. LevelDB
// locks its directory, which doubles as the lock of the data directory. Opened by the broker's composition root.
//
// LevelDB writes to a log file of its own and begins another when its memory table is full. A synced write syncs only the
// newest of them, so after a power cut unsynced batches of an older file may be missing while later ones, even synced
// ones, are there: a hole, not a lost tail. Hence: after a synced batch the older log files are synced, too; after a clean
// close all files are; and when the page cache may have been lost otherwise, the store is not to be trusted and is opened
// with `discard` (image + log make it again). Effects and the applied position ride in one batch, which is atomic.
import { type FileHandle, open, readdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { ClassicLevel } from "classic-level";
import { type Clock, systemClock } from "../base/clock.ts";
import { crc32c } from "../base/crc32c.ts";
import { isWholeLevelLog } from "./level-log-check.ts";
import { type KeyedStore, type KeyedWrite, StorageError } from "./ports.ts";

const CRC_BYTES = 4;
const REMOVE_BATCH_KEYS = 1000;
/** So long one turn of the event loop puts rows together; looked at every so many rows. */
const TURN_MS = 5;
const ROWS_PER_LOOK = 64;

export interface LevelStoreOptions {
  /**
   * Empties the store before use. Needed when the page cache may have been lost since it was last open and it was not
   * closed cleanly. The lock is taken first, so a store in use is never harmed. Default false.
   */
  readonly discard?: boolean;
  /** Default: the system's. */
  readonly clock?: Clock;
}

type Database = ClassicLevel<Buffer, Buffer>;

/**
 * @param location directory of the store alone; made when it does not exist
 * @throws StorageError "locked" when a process has it open; "corrupt" when LevelDB cannot read it, or passes over
 * damage in it (discard it then); "io"
 */
export async function openLevelStore(
  location: string,
  options: LevelStoreOptions = {},
): Promise<KeyedStore> {
  const clock = options.clock ?? systemClock;
  if (options.discard !== true) {
    await checkLogs(location);
    return new LevelStore(location, await openDatabase(location), clock);
  }
  try {
    await (await openDatabase(location)).close();
  } catch (error) {
    // LevelDB took the lock before it found the damage, so nobody else has the store open.
    if (!(error instanceof StorageError) || error.kind !== "corrupt") throw error;
  }
  await rm(location, { recursive: true, force: true });
  return new LevelStore(location, await openDatabase(location), clock);
}

/** Before LevelDB takes its logs in and removes them. */
async function checkLogs(location: string): Promise<void> {
  const names = await unlessMissing(readdir(location));
  for (const name of names?.filter((one) => one.endsWith(".log")) ?? []) {
    const path = join(location, name);
    const bytes = await unlessMissing(readFile(path));
    if (bytes === undefined || isWholeLevelLog(bytes)) continue;
    // While somebody has the store open it may just be in the middle of a record.
    await requireUnlocked(location);
    throw new StorageError("corrupt", path, "a record of LevelDB's log is damaged or cut off");
  }
}

/** @throws StorageError "locked" */
async function requireUnlocked(location: string): Promise<void> {
  // LevelDB looks for a store that exists when it has the lock, and before it touches anything.
  const probe = new ClassicLevel(location, { errorIfExists: true, createIfMissing: false });
  try {
    await probe.open();
    await probe.close();
  } catch (error) {
    const found = openingError(location, error);
    if (found.kind === "locked") throw found;
  }
}

async function unlessMissing<T>(reading: Promise<T>): Promise<T | undefined> {
  try {
    return await reading;
  } catch (error) {
    const code = codeOf(error);
    if (code === "ENOENT") return undefined;
    // As in openingError: a file that the medium does not give back is as bad as a wrong one.
    const kind = code === "EIO" ? "corrupt" : "io";
    throw new StorageError(kind, "", messageOf(error), { cause: error });
  }
}

async function openDatabase(location: string): Promise<Database> {
  const encodings = { keyEncoding: "buffer", valueEncoding: "buffer" } as const;
  const database: Database = new ClassicLevel<Buffer, Buffer>(location, encodings);
  try {
    await database.open();
    return database;
  } catch (error) {
    throw openingError(location, error);
  }
}

function openingError(location: string, error: unknown): StorageError {
  const cause = error instanceof Error ? (error.cause ?? error) : error;
  const code = codeOf(cause);
  if (code === "LEVEL_LOCKED") {
    const message = "the data directory is in use by another process (or by this one, twice)";
    return new StorageError("locked", location, message, { cause: error });
  }
  const message = messageOf(cause);
  // A file that the medium does not give back is as bad as a wrong one. About the lock it would say nothing.
  const isUnreadable = message.endsWith("Input/output error") && !message.includes("/LOCK:");
  const kind = code === "LEVEL_CORRUPTION" || isUnreadable ? "corrupt" : "io";
  return new StorageError(kind, location, message, { cause: error });
}

class LevelStore implements KeyedStore {
  readonly #location: string;
  readonly #database: Database;
  readonly #clock: Clock;
  #failure: StorageError | undefined;
  #isClosed = false;
  /** LevelDB may run two writes in either order, so each waits for the one before. */
  #queue: Promise<unknown> = Promise.resolve();

  constructor(location: string, database: Database, clock: Clock) {
    this.#location = location;
    this.#database = database;
    this.#clock = clock;
  }

  batch(writes: readonly KeyedWrite[], options: { readonly sync: boolean }): Promise<void> {
    return this.#enqueue(async () => {
      await this.#write(writes, options.sync);
      if (options.sync) await this.#syncFiles((name) => name.endsWith(".log"));
    });
  }

  async get(key: string): Promise<Buffer | undefined> {
    this.#check();
    const bytes = Buffer.from(key, "utf8");
    let stored: Buffer | undefined;
    try {
      stored = await this.#database.get(bytes);
    } catch (error) {
      throw this.#errorOf(error);
    }
    return stored === undefined ? undefined : this.#valueOf(bytes, stored);
  }

  range(prefix: string): AsyncIterable<readonly [string, Buffer]> {
    this.#check();
    // Made here, not at the first step: the iterator shows the store as it is at the call.
    return this.#values(this.#database.iterator(boundsOf(prefix)));
  }

  async removeRange(prefix: string): Promise<void> {
    for (let isLeft = true; isLeft; ) {
      await this.#enqueue(async () => {
        isLeft = await this.#removeSome(prefix);
      });
    }
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    await this.#queue;
    await this.#database.close();
    if (this.#failure !== undefined) throw this.#failure;
    await this.#syncFiles((name) => name !== "LOCK");
  }

  async *#values(
    iterator: AsyncIterable<[Buffer, Buffer]>,
  ): AsyncGenerator<readonly [string, Buffer]> {
    try {
      for await (const [key, stored] of iterator) {
        yield [key.toString("utf8"), this.#valueOf(key, stored)];
      }
    } catch (error) {
      throw this.#errorOf(error);
    }
  }

  #valueOf(key: Buffer, stored: Buffer): Buffer {
    const value = stored.subarray(CRC_BYTES);
    if (stored.length < CRC_BYTES || stored.readUInt32BE(0) !== checksum(key, value)) {
      const message = `the value of ${JSON.stringify(key.toString("utf8"))} is damaged`;
      throw new StorageError("corrupt", this.#location, message);
    }
    return value;
  }

  /**
   * A chained batch: LevelDB's array form costs ten times as much. What is written at once can be 100,000 rows after a slow
   * write; others have their turn in between.
   */
  async #write(writes: readonly KeyedWrite[], sync: boolean): Promise<void> {
    if (writes.length === 0) return;
    const batch = this.#database.batch();
    let sinceMs = this.#clock.monotonicMs();
    for (const [at, write] of writes.entries()) {
      const isLook = at > 0 && at % ROWS_PER_LOOK === 0;
      if (isLook && this.#clock.monotonicMs() - sinceMs >= TURN_MS) {
        await this.#nextTurn();
        sinceMs = this.#clock.monotonicMs();
      }
      const { key, value } = rowOf(write);
      if (value === undefined) batch.del(key);
      else batch.put(key, value);
    }
    await batch.write({ sync });
  }

  /** @returns whether there was something to remove */
  async #removeSome(prefix: string): Promise<boolean> {
    const bounds = { ...boundsOf(prefix), limit: REMOVE_BATCH_KEYS };
    const keys = await this.#database.keys(bounds).all();
    if (keys.length === 0) return false;
    const batch = this.#database.batch();
    // As they are: a damaged key need not be UTF-8.
    for (const key of keys) batch.del(key);
    await batch.write({ sync: true });
    await this.#syncFiles((name) => name.endsWith(".log"));
    return true;
  }

  #nextTurn(): Promise<void> {
    return new Promise((resolve) => {
      this.#clock.schedule(0, resolve);
    });
  }

  async #syncFiles(isWanted: (name: string) => boolean): Promise<void> {
    for (const name of await readdir(this.#location)) {
      if (isWanted(name)) await syncIfThere(join(this.#location, name));
    }
    await syncIfThere(this.#location);
  }

  #check(): void {
    if (this.#failure !== undefined) throw this.#failure;
    if (this.#isClosed) throw new StorageError("io", this.#location, "the store is closed");
  }

  /**
   * A failed write is final: what LevelDB holds in memory and on disk may differ from then on. Damage that a write meets is
   * the store's failure, no row's.
   */
  #enqueue(work: () => Promise<void>): Promise<void> {
    if (this.#isClosed) {
      return Promise.reject(new StorageError("io", this.#location, "the store is closed"));
    }
    const run = this.#queue.then(async () => {
      if (this.#failure !== undefined) throw this.#failure;
      try {
        await work();
      } catch (error) {
        const found = this.#errorOf(error);
        const { cause, kind } = found;
        const isDamage = kind === "corrupt";
        this.#failure = isDamage
          ? new StorageError("io", this.#location, messageOf(cause), { cause: found })
          : found;
        throw this.#failure;
      }
    });
    this.#queue = run.catch(() => undefined);
    return run;
  }

  #errorOf(error: unknown): StorageError {
    if (error instanceof StorageError) return error;
    const message = messageOf(error);
    const isFull = message.includes("No space left");
    const isCorrupt = codeOf(error) === "LEVEL_CORRUPTION" || message.startsWith("Corruption");
    const kind = isFull ? "full" : isCorrupt ? "corrupt" : "io";
    return new StorageError(kind, this.#location, message, { cause: error });
  }
}

interface Row {
  readonly key: Buffer;
  /** With its checksum; undefined: the key is deleted. */
  readonly value: Buffer | undefined;
}

function rowOf(write: KeyedWrite): Row {
  const key = Buffer.from(write.key, "utf8");
  if (write.type === "delete") return { key, value: undefined };
  const value = Buffer.allocUnsafe(CRC_BYTES + write.value.length);
  value.set(write.value, CRC_BYTES);
  value.writeUInt32BE(checksum(key, write.value), 0);
  return { key, value };
}

/** Covers the key too, so that a value under another key is found out. */
function checksum(key: Buffer, value: Uint8Array): number {
  return crc32c(value, crc32c(key));
}

/** All keys that begin with the prefix's bytes; no UTF-8 byte is 0xFF, so the successor of the last byte is a byte. */
function boundsOf(prefix: string): { readonly gte: Buffer; readonly lt?: Buffer } {
  const gte = Buffer.from(prefix, "utf8");
  if (gte.length === 0) return { gte };
  const lt = Buffer.from(gte);
  lt.writeUInt8(lt.readUInt8(lt.length - 1) + 1, lt.length - 1);
  return { gte, lt };
}

/** LevelDB removes a log file once its content stands, synced, in a table: then there is nothing left to sync. */
async function syncIfThere(path: string): Promise<void> {
  let file: FileHandle;
  try {
    file = await open(path, "r");
  } catch (error) {
    if (codeOf(error) === "ENOENT") return;
    throw error;
  }
  try {
    await file.sync();
  } finally {
    await file.close();
  }
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && "code" in error ? error.code : undefined;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
