// Birth and removal of a replica on a data directory. A replica is journalled, durably, before its core exists and so
// before its first vote; afterwards a missing directory is damage, never a new replica. What was removed stays in the
// journal as removed and can not come back under the same identity. Directories that nobody knows, or that are removed,
// are moved to trash/, never deleted at once (architecture §7.9, decision 15): trash-cleaner.ts does that days later.
import type { Disk, HardStateJournal, HardStateRecord } from "../log/ports.ts";
import { BrokerError } from "../model/errors.ts";
import type { GroupId, ReplicaId } from "../model/ids.ts";
import { groupName } from "./group-records.ts";
import type { JournalFlusher } from "./journal-flusher.ts";
import type { Logger } from "./ports.ts";

const GROUPS = "groups";
export const TRASH = "trash";

export interface DirectoryStores {
  readonly disk: Disk;
  readonly journal: HardStateJournal;
  readonly flusher: JournalFlusher;
  readonly logger: Logger;
}

export interface NewReplica extends Pick<HardStateRecord, "groupId" | "replicaId" | "topicId"> {
  /** It may acknowledge what is not flushed. */
  readonly isLazy: boolean;
}

export function groupDirectory(groupId: GroupId, replicaId: ReplicaId): string {
  return `${GROUPS}/${groupName(groupId, replicaId)}`;
}

/** Finds the record of a replica that exists; undefined when it is to be created. @throws BrokerError STALE_REPLICA | LOG_CORRUPT */
export function findReplica(
  { disk, journal }: DirectoryStores,
  groupId: GroupId,
  replicaId: ReplicaId,
): HardStateRecord | undefined {
  const record = journal.get(groupId);
  if (record === undefined || record.replicaId < replicaId) return undefined;
  if (record.replicaId > replicaId || record.removed) {
    const fields = { groupId, replicaId };
    throw new BrokerError("STALE_REPLICA", "this replica was removed or replaced", fields);
  }
  if (!disk.exists(groupDirectory(groupId, replicaId))) {
    const fields = { groupId, replicaId };
    throw new BrokerError("LOG_CORRUPT", "the replica is journalled, but its log is gone", fields);
  }
  return record;
}

/** Makes the directory, then the journal record, each durable: a crash in between leaves a replica that never voted. */
export async function createReplica(
  stores: DirectoryStores,
  { groupId, isLazy, replicaId, topicId }: NewReplica,
): Promise<HardStateRecord> {
  const { disk, flusher } = stores;
  const directory = groupDirectory(groupId, replicaId);
  if (disk.exists(directory)) await quarantine(stores, groupId, replicaId);
  await ensureDirectory(disk, GROUPS);
  disk.makeDirectory(directory);
  await disk.syncDirectory(GROUPS);
  const record: HardStateRecord = {
    groupId,
    replicaId,
    term: 0,
    vote: 0,
    recovering: false,
    lazy: isLazy,
    durableCommitIndex: 0,
    unrecovered: false,
    removed: false,
    topicId,
  };
  await flusher.saveDurably(record);
  return record;
}

/** Gives a replica's directory the name of another id, durably. Harmless when it has it already. */
export async function renameReplica(
  { disk }: DirectoryStores,
  groupId: GroupId,
  from: ReplicaId,
  to: ReplicaId,
): Promise<void> {
  const source = groupDirectory(groupId, from);
  if (disk.exists(source)) disk.rename(source, groupDirectory(groupId, to));
  await disk.syncDirectory(GROUPS);
}

/** Moves the replica's directory away. Harmless when it is not there. */
export async function quarantine(
  { disk, journal, logger }: DirectoryStores,
  groupId: GroupId,
  replicaId: ReplicaId,
): Promise<void> {
  const directory = groupDirectory(groupId, replicaId);
  if (!disk.exists(directory)) return;
  await ensureDirectory(disk, TRASH);
  const base = `${TRASH}/${groupName(groupId, replicaId)}-${journal.incarnation}`;
  let target = base;
  for (let copy = 1; disk.exists(target); copy += 1) target = `${base}-${copy}`;
  disk.rename(directory, target);
  await disk.syncDirectory(GROUPS);
  await disk.syncDirectory(TRASH);
  logger.warn({ groupId, replicaId, target }, "replica directory moved to the trash");
}

/** The data directory's own entry must be durable, or all below it goes with it. */
async function ensureDirectory(disk: Disk, directory: string): Promise<void> {
  if (!disk.exists(directory)) disk.makeDirectory(directory);
  await disk.syncDirectory(".");
}
