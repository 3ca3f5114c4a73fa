// After a failed flush nobody knows what is on the disk: the kernel may have marked lost pages as clean, so a restart would
// take them for durable (raft.md §1.14). The directory is marked, and a broker refuses to start from it.
import { type Disk, StorageError } from "../log/ports.ts";

const MARKER = "storage-failed";

/** Best effort: the disk that failed has to take it. */
export function markStorageFailed(disk: Disk): void {
  try {
    if (disk.exists(MARKER)) return;
    const file = disk.open(MARKER, { create: true });
    file.append([Buffer.from("a flush of this directory failed\n", "utf8")]);
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
