// Start of one group: finds out which keyed state belongs to the log that is there, and restores the state machine.
// The keyed store is written lazily and a log may lose what was not synced, so each can be ahead of the other; the pair
// `applied {index, term}` tells (architecture §7.4). When they contradict each other, when rows are damaged, or an image was
// half installed, the state is made again from the newest image; what the log holds beyond is applied when its commit is
// learnt.
import {
  type GroupLog,
  type ImageStore,
  type KeyedStore,
  type KeyedWrite,
  type StateImage,
  StorageError,
} from "../log/ports.ts";
import { BrokerError } from "../model/errors.ts";
import type { GroupId } from "../model/ids.ts";
import type { LogIndex, Term } from "../model/positions.ts";
import type { Membership } from "../raft/messages.ts";
import {
  type AppliedRecord,
  appliedKey,
  decodeApplied,
  decodeImageRecord,
  encodeApplied,
  type ImageRecord,
  statePrefix,
} from "./group-records.ts";
import type { StateMachine } from "./ports.ts";

export interface RecoveryStores {
  readonly groupId: GroupId;
  readonly log: GroupLog;
  readonly keyed: KeyedStore;
  /** Of this replica, in the keyed store. */
  readonly prefix: string;
  readonly images: ImageStore;
  /** The log is about to be emptied: what was noted about its durable end is made void, durably. */
  readonly beforeReset: () => Promise<void>;
}

export interface RecoveredState {
  readonly applied: AppliedRecord;
  /** Index of the newest image on disk; 0: none. */
  readonly imageIndex: LogIndex;
  /** The keyed state was not usable and was made again. */
  readonly isRebuilt: boolean;
}

interface FoundImage {
  readonly image: StateImage;
  readonly record: ImageRecord;
}

/**
 * Restores `stateMachine` and returns where it stands. May empty the log when a received image is to replace it.
 * @throws BrokerError LOG_CORRUPT when neither keyed state nor image nor a log from index 1 is there; StorageError when the
 * keyed store failed as a whole
 */
export async function recoverState(
  stores: RecoveryStores,
  stateMachine: StateMachine,
  initialMembership: Membership,
): Promise<RecoveredState> {
  const found = await loadImage(stores);
  const imageIndex = found?.image.index ?? 0;
  const stored = await unlessCorrupt(loadApplied(stores));
  if (stored !== undefined && isUsable(stored, stores.log, found)) {
    const pairs = await unlessCorrupt(loadPairs(stores));
    if (pairs !== undefined) {
      stateMachine.restore(pairs);
      return { applied: stored, imageIndex, isRebuilt: false };
    }
  }
  if (found !== undefined && reaches(found, stores.log)) {
    if (!connects(found, stores.log, stored)) {
      const { index, prevTerm, offset } = found.record.restart;
      await stores.beforeReset();
      await stores.log.reset(index, prevTerm, offset);
    }
    await replaceKeyedState(stores.keyed, stores.prefix, found.record.applied, found.image.pairs);
    stateMachine.restore(found.image.pairs);
    return { applied: found.record.applied, imageIndex, isRebuilt: true };
  }
  if (stores.log.firstIndex !== 1) {
    const fields = { groupId: stores.groupId };
    throw new BrokerError("LOG_CORRUPT", "neither state nor image for the log's start", fields);
  }
  const applied = beginning(initialMembership);
  await replaceKeyedState(stores.keyed, stores.prefix, applied, []);
  stateMachine.restore([]);
  return { applied, imageIndex, isRebuilt: stores.log.lastIndex > 0 };
}

/**
 * Flips the keyed state to `pairs`: without the applied record the state counts as missing, so a crash half-way leads to
 * the image, which the caller made durable before.
 */
export async function replaceKeyedState(
  keyed: KeyedStore,
  prefix: string,
  applied: AppliedRecord,
  pairs: Iterable<readonly [string, Uint8Array]>,
): Promise<void> {
  await keyed.batch([{ type: "delete", key: appliedKey(prefix) }], { sync: true });
  await keyed.removeRange(statePrefix(prefix));
  const writes: KeyedWrite[] = [];
  for (const [key, value] of pairs) {
    writes.push({ type: "put", key: statePrefix(prefix) + key, value });
  }
  writes.push({ type: "put", key: appliedKey(prefix), value: encodeApplied(applied) });
  await keyed.batch(writes, { sync: true });
}

function beginning(membership: Membership): AppliedRecord {
  const logStart = { index: 1, offset: 0 };
  return { index: 0, term: 0, membership, nextOffset: 0, appendTimeMs: 0, logStart };
}

function isUsable(stored: AppliedRecord, log: GroupLog, found: FoundImage | undefined): boolean {
  if (found !== undefined && isHalfInstalled(found, stored, log)) return false;
  if (stored.index <= log.lastIndex) return termOf(log, stored.index) === stored.term;
  // Ahead of the log is right only while the log fills up after an installed image.
  if (found === undefined || found.image.index !== stored.index) return false;
  return found.image.term === stored.term && isFilling(found, log);
}

/** The image was made durable, but the crash came before log and state were flipped to it. */
function isHalfInstalled(found: FoundImage, stored: AppliedRecord, log: GroupLog): boolean {
  const { image, record } = found;
  if (!record.isInstalled || image.index <= stored.index) return false;
  return !contains(log, image);
}

/** The log holds all that comes after the image. */
function reaches({ image }: FoundImage, log: GroupLog): boolean {
  return image.index + 1 >= log.firstIndex;
}

/** False: the log is of another history than the image, or ends before the image's log start; it has to be emptied. */
function connects(found: FoundImage, log: GroupLog, stored: AppliedRecord | undefined): boolean {
  if (contains(log, found.image)) return true;
  if (stored !== undefined && isHalfInstalled(found, stored, log)) return false;
  return isFilling(found, log);
}

function contains(log: GroupLog, image: StateImage): boolean {
  return image.index <= log.lastIndex && termOf(log, image.index) === image.term;
}

/** The log is a beginning of what the image's leader had, from the image's log start on. */
function isFilling(found: FoundImage, log: GroupLog): boolean {
  const { image, record } = found;
  if (log.lastIndex >= image.index) return false;
  // A log that lost its end below an image which was made from it needs the same filling.
  if (!record.isInstalled) return log.lastIndex >= log.firstIndex;
  const { index, prevTerm } = record.restart;
  return log.firstIndex === index && log.firstPrevTerm === prevTerm;
}

/** Term of an entry in [firstIndex − 1, lastIndex]; undefined outside. */
function termOf(log: GroupLog, index: LogIndex): Term | undefined {
  return index === log.firstIndex - 1 ? log.firstPrevTerm : log.termAt(index);
}

async function loadImage(stores: RecoveryStores): Promise<FoundImage | undefined> {
  const image = await stores.images.load(stores.groupId);
  if (image === undefined) return undefined;
  const record = decodeImageRecord(image.meta);
  return record === undefined ? undefined : { image, record };
}

/** Damaged rows count as missing: whatever they held can be made again. */
async function unlessCorrupt<T>(loading: Promise<T>): Promise<T | undefined> {
  try {
    return await loading;
  } catch (error) {
    if (error instanceof StorageError && error.kind === "corrupt") return undefined;
    throw error;
  }
}

async function loadApplied(stores: RecoveryStores): Promise<AppliedRecord | undefined> {
  const bytes = await stores.keyed.get(appliedKey(stores.prefix));
  return bytes === undefined ? undefined : decodeApplied(bytes);
}

async function loadPairs(stores: RecoveryStores): Promise<(readonly [string, Uint8Array])[]> {
  const prefix = statePrefix(stores.prefix);
  const pairs: (readonly [string, Uint8Array])[] = [];
  for await (const [key, value] of stores.keyed.range(prefix)) {
    pairs.push([key.slice(prefix.length), value]);
  }
  return pairs;
}
