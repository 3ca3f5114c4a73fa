// The last resort for a group that lost its majority for good (raft.md §1.12): one surviving replica becomes the whole
// group, under a new id. Everything in its log counts as committed from then on; what only the lost replicas had is lost.
// The new id keeps replicas that come back later apart: nothing that they say is addressed to anybody any more.
//
// The log gets two membership entries that name the new replica alone. A change in a log proves that the one before it is
// committed (raft/state.ts), so the replica starts as the only voter and elects itself. Each step may be repeated: a
// crash in between leaves a replica of the old id that can vote for nobody new, until the metadata asks for it again.
import type { GroupLog, HardStateRecord, KeyedStore } from "../log/ports.ts";
import { encodeFrame, type Frame, SECTION } from "../model/entry-frame.ts";
import { BrokerError } from "../model/errors.ts";
import type { GroupId, ReplicaId } from "../model/ids.ts";
import { encodeControlFrame, membershipOfFrame } from "./frames.ts";
import { type DirectoryStores, groupDirectory, renameReplica } from "./group-directory.ts";
import { groupPrefix } from "./group-records.ts";

export interface Succession {
  readonly groupId: GroupId;
  readonly from: ReplicaId;
  readonly to: ReplicaId;
  /** A command that is committed with it, as the entry before the new configuration. */
  readonly command?: Uint8Array;
}

export interface SuccessionStores extends DirectoryStores {
  readonly keyed: KeyedStore;
  readonly openLog: (directory: string, record: HardStateRecord) => GroupLog | Promise<GroupLog>;
}

/** So many entries with the new configuration: the second one proves the first. */
const DECREES = 2;

/**
 * The replica must be closed. Nothing happens when it was done before.
 * @throws BrokerError STALE_REPLICA when this directory holds another replica, LOG_CORRUPT when its log is gone
 */
export async function succeed(stores: SuccessionStores, succession: Succession): Promise<void> {
  const { disk, flusher, journal, keyed, logger, openLog } = stores;
  const { from, groupId, to } = succession;
  const record = journal.get(groupId);
  if (record?.replicaId === to && !record.removed) return;
  if (record?.replicaId !== from || record.removed) {
    const fields = { groupId, replicaId: from };
    throw new BrokerError("STALE_REPLICA", "this directory does not hold the replica", fields);
  }
  // The directory may have its new name already.
  const directory = [from, to]
    .map((id) => groupDirectory(groupId, id))
    .find((path) => disk.exists(path));
  if (directory === undefined) {
    throw new BrokerError("LOG_CORRUPT", "the replica is journalled, but its log is gone", {
      groupId,
    });
  }
  const log = await openLog(directory, record);
  let term: number;
  try {
    term = await decree(log, record, succession);
  } finally {
    log.close();
  }
  await renameReplica(stores, groupId, from, to);
  const { lazy, topicId } = record;
  await flusher.saveDurably({
    groupId,
    replicaId: to,
    term,
    vote: to,
    recovering: false,
    lazy,
    durableCommitIndex: 0,
    unrecovered: false,
    removed: false,
    topicId,
  });
  await keyed.removeRange(groupPrefix(groupId, from));
  logger.warn({ groupId, from, to, term }, "a surviving replica was made the whole group");
}

/** Writes what is missing of the decrees, durably. Returns their term, higher than any that the replica knew. */
async function decree(
  log: GroupLog,
  record: HardStateRecord,
  { command, to }: Succession,
): Promise<number> {
  const written = await decreesIn(log, to);
  const term = written > 0 ? log.lastTerm : Math.max(record.term, log.lastTerm) + 1;
  const membership = { voters: [to], learners: [] };
  const frames: Frame[] = [];
  const position = (): Parameters<typeof encodeControlFrame>[2] => {
    const index = log.lastIndex + 1 + frames.length;
    return { index, term, baseOffset: log.nextOffset, appendTimeMs: log.lastAppendTimeMs };
  };
  if (command !== undefined && written === 0) frames.push(commandFrame(command, position()));
  for (let missing = DECREES - written; missing > 0; missing -= 1) {
    frames.push(encodeControlFrame("membership", { membership }, position()));
  }
  if (frames.length > 0) log.append(frames);
  await log.sync();
  return term;
}

function commandFrame(
  bytes: Uint8Array,
  position: Parameters<typeof encodeControlFrame>[2],
): Frame {
  const fields = { ...position, kind: "data", recordCount: 0, layoutEpoch: 0 } as const;
  return encodeFrame(fields, [{ type: SECTION.COMMAND, ignorable: false, bytes }]);
}

/** How many decrees for this replica the log ends with. */
async function decreesIn(log: GroupLog, to: ReplicaId): Promise<number> {
  let count = 0;
  for (let index = log.lastIndex; count < DECREES && index >= log.firstIndex; index -= 1) {
    const [frame] = await log.read(index, index, 1);
    if (frame?.kind !== "membership") break;
    const { learners, outgoing, voters } = membershipOfFrame(frame);
    const isDecree = voters.length === 1 && voters[0] === to && learners.length === 0;
    if (!isDecree || outgoing !== undefined) break;
    count += 1;
  }
  return count;
}
