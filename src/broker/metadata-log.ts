// Opens the metadata group's log of a stopped broker for `unsafe-recover metadata`: under the same rules as the broker itself,
// and, before anybody agreed to anything, as a copy in memory, because opening a log cuts torn ends.
import { MemoryDisk } from "../log/memory-disk.ts";
import { type Disk, type GroupLog, type HardStateRecord, StorageError } from "../log/ports.ts";
import { openGroupLog } from "../log/segment-log.ts";
import { METADATA_GROUP } from "../model/ids.ts";

type Known = Pick<HardStateRecord, "durableCommitIndex" | "unrecovered">;

/** @throws StorageError "corrupt", also when single entries can not be read: nothing can go on from such a log */
export async function openMetadataLog(
  disk: Disk,
  directory: string,
  { durableCommitIndex, unrecovered }: Known,
): Promise<GroupLog> {
  const log = await openGroupLog({
    disk,
    directory,
    groupId: METADATA_GROUP,
    durableIndexHint: durableCommitIndex,
    pageCacheKept: !unrecovered,
  });
  // Opening looks at the newest segment only, where the others have an index file.
  for (const { firstIndex, lastIndex } of log.segments()) {
    if (lastIndex >= firstIndex) await log.examine(firstIndex);
  }
  const [damage] = log.damage;
  if (damage === undefined) return log;
  log.close();
  const entries = `entries ${damage.first} to ${damage.last} of the metadata are damaged`;
  throw new StorageError("corrupt", directory, `${entries}; go on from another node's directory`);
}

/** The same on a copy: the metadata is small, and the directory stays as it is. */
export function openCopyOfLog(disk: Disk, directory: string, known: Known): Promise<GroupLog> {
  const copy = new MemoryDisk();
  let path = "";
  for (const name of directory.split("/")) {
    path = path === "" ? name : `${path}/${name}`;
    copy.makeDirectory(path);
  }
  for (const name of disk.list(directory).filter(isOfLog)) {
    const file = disk.open(`${directory}/${name}`, { create: false });
    try {
      copy.open(file.path, { create: true }).append([file.readSync(0, file.size)]);
    } finally {
      file.close();
    }
  }
  return openMetadataLog(copy, directory, known);
}

/** Not the folder with the originals of repaired segments, nor what an interrupted write left. */
function isOfLog(name: string): boolean {
  return [".seg", ".idx", ".damaged"].some((ending) => name.endsWith(ending));
}
