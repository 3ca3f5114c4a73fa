// Committed frames for readers: from the core's tail when they are in memory, else from the log.
import { DamageError, StorageError } from "../log/ports.ts";
import type { Frame } from "../model/entry-frame.ts";
import { BrokerError } from "../model/errors.ts";
import type { LogIndex } from "../model/positions.ts";
import type { GroupContext } from "./group-context.ts";

/**
 * Frames from `from` on without I/O, about `bytesMax` bytes but at least one.
 *
 * @param commitIndex last index that may be returned
 * @returns empty when `from` > commitIndex; undefined when the first one left memory
 */
export function readTail(
  context: GroupContext,
  from: LogIndex,
  commitIndex: LogIndex,
  bytesMax: number,
): readonly Frame[] | undefined {
  const frames: Frame[] = [];
  let bytes = 0;
  for (let index = from; index <= commitIndex; index += 1) {
    const entry = context.core.tailEntry(index);
    if (entry === undefined) break;
    if (frames.length > 0 && bytes + entry.bytes > bytesMax) break;
    frames.push(entry.handle);
    bytes += entry.bytes;
  }
  return frames.length === 0 && from <= commitIndex ? undefined : frames;
}

/** As readTail, but waits for the disk when it must. @throws BrokerError LOG_CORRUPT | STORAGE_FAILED */
export async function readCommitted(
  context: GroupContext,
  from: LogIndex,
  commitIndex: LogIndex,
  bytesMax: number,
): Promise<readonly Frame[]> {
  const inMemory = readTail(context, from, commitIndex, bytesMax);
  if (inMemory !== undefined) return inMemory;
  const last = Math.min(commitIndex, context.log.lastIndex);
  if (from > last) return [];
  return guarded(context, () => context.log.read(from, last, bytesMax));
}

/** Resolves to undefined, and lets the replica know, when what is to be read is damaged: it is repaired later. */
export async function unlessDamaged<T>(
  context: GroupContext,
  read: () => Promise<T>,
): Promise<T | undefined> {
  try {
    return await read();
  } catch (error) {
    if (!(error instanceof DamageError)) throw error;
    if (context.isLive()) context.damaged(error);
    return undefined;
  }
}

/** Turns a failed read of the log into what callers may see; damage is reported to the replica first. */
export async function guarded<T>(context: GroupContext, read: () => Promise<T>): Promise<T> {
  if (context.isLogReplaced()) {
    throw new BrokerError("LEADER_UNKNOWN", "the replica installs an image right now");
  }
  try {
    return await read();
  } catch (cause) {
    if (!(cause instanceof StorageError)) throw cause;
    const isDamage = cause instanceof DamageError;
    if (isDamage) context.damaged(cause);
    const reason = isDamage ? "LOG_CORRUPT" : "STORAGE_FAILED";
    throw new BrokerError(reason, "stored entries cannot be read", {}, { cause });
  }
}
