// After a failed flush nobody knows what is on the disk: the kernel may have marked lost pages as clean, so a restart would
// take them for durable (raft.md §1.14). The directory is marked, and a broker refuses to start from it.
// A keyed store that failed has a mark of its own: what it lost was its own, and the next start empties it.
import { type Disk, StorageError } from "../log/ports.ts";

const MARKER = "storage-failed";
const KEYED_MARKER = "keyed-failed";

export function markStorageFailed(disk: Disk): void {
  mark(disk, MARKER, "a flush of this directory failed\n");
}

export function markKeyedFailed(disk: Disk): void {
  mark(disk, KEYED_MARKER, "keyed/ failed and is emptied at the next start\n");
}

/** Best effort: the disk that failed has to take it. */
function mark(disk: Disk, path: string, text: string): void {
  try {
    if (disk.exists(path)) return;
    const file = disk.open(path, { create: true });
    file.append([Buffer.from(text, "utf8")]);
    file.sync().then(
      () => file.close(),
      () => file.close(),
    );
  } catch {
    // The process ends anyway; without the marker the next start trusts what it reads.
  }
}

export function isStorageFailed(disk: Disk): boolean {
  return disk.exists(MARKER);
}

export function isKeyedFailed(disk: Disk): boolean {
  return disk.exists(KEYED_MARKER);
}

/** The keyed store is empty, durably. */
export function clearKeyedFailed(disk: Disk): void {
  if (disk.exists(KEYED_MARKER)) disk.remove(KEYED_MARKER);
}

/** @throws StorageError "io" when a former run could not flush */
export function requireSoundStorage(disk: Disk): void {
  if (!isStorageFailed(disk)) return;
  throw new StorageError(
    "io",
    MARKER,
    "an earlier flush failed, so this directory may have lost acknowledged data; give the node a new directory with " +
      '"flotilla cluster init --join" and keep this one for inspection',
  );
}
