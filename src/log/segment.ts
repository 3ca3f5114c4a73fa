// One segment of a group's log: its file, opened when it is needed, and what is known of it.
import {
  type DamagedRange,
  type Disk,
  type DiskFile,
  type SegmentInfo,
  StorageError,
} from "./ports.ts";
import {
  damageMarkName,
  encodeSegmentHeader,
  indexFileName,
  type SegmentHeader,
  segmentName,
} from "./segment-format.ts";
import { SegmentIndex } from "./segment-index.ts";

export class Segment {
  readonly path: string;
  readonly indexPath: string;
  /** Beside a segment with damaged entries, so that the next start knows. */
  readonly markPath: string;
  /** Replaced when the segment is repaired: damage may have hidden details. */
  index: SegmentIndex;
  /** Entries that can not be read, ascending. */
  damage: readonly DamagedRange[] = [];
  /** Has bytes or a cut that no sync covers yet. */
  isDirty = false;
  hasIndexFile = false;
  isRemoved = false;
  readonly #disk: Disk;
  #file: DiskFile | undefined;

  constructor(disk: Disk, directory: string, index: SegmentIndex, file?: DiskFile) {
    this.#disk = disk;
    this.path = `${directory}/${segmentName(index.firstIndex)}`;
    this.indexPath = `${directory}/${indexFileName(index.firstIndex)}`;
    this.markPath = `${directory}/${damageMarkName(index.firstIndex)}`;
    this.index = index;
    this.#file = file;
  }

  /** Makes the file with its header, in the page cache only. Leaves nothing behind when it fails. */
  static create(
    disk: Disk,
    directory: string,
    header: SegmentHeader,
    spacingBytes: number,
  ): Segment {
    const path = `${directory}/${segmentName(header.firstIndex)}`;
    const file = disk.open(path, { create: true });
    try {
      file.append([encodeSegmentHeader(header)]);
    } catch (error) {
      file.close();
      disk.remove(path);
      throw error;
    }
    const segment = new Segment(disk, directory, new SegmentIndex(header, spacingBytes), file);
    segment.isDirty = true;
    return segment;
  }

  get isOpen(): boolean {
    return this.#file !== undefined;
  }

  /** Opens it if need be. @throws StorageError */
  file(): DiskFile {
    this.#file ??= this.#disk.open(this.path, { create: false });
    return this.#file;
  }

  closeFile(): void {
    this.#file?.close();
    this.#file = undefined;
  }

  /** Removes index file and file; durable with the next sync of the directory. */
  remove(): void {
    this.isRemoved = true;
    this.closeFile();
    this.removeIndexFile();
    this.setDamage([]);
    this.#disk.remove(this.path);
  }

  /** Lets go of it without removing the file: another segment has taken its name. */
  release(): void {
    this.isRemoved = true;
    this.closeFile();
    this.removeIndexFile();
    this.setDamage([]);
  }

  /** Notes what is damaged, here and beside the file; on disk with the next sync of the directory. */
  setDamage(damage: readonly DamagedRange[]): void {
    const isMarked = this.#disk.exists(this.markPath);
    this.damage = damage;
    if (damage.length > 0 && !isMarked) this.#mark();
    if (damage.length === 0 && isMarked) this.#disk.remove(this.markPath);
  }

  /** Without room for the mark the damage is found anew after a restart. */
  #mark(): void {
    try {
      this.#disk.open(this.markPath, { create: true }).close();
    } catch (error) {
      if (!(error instanceof StorageError) || error.kind !== "full") throw error;
    }
  }

  removeIndexFile(): void {
    this.hasIndexFile = false;
    if (this.#disk.exists(this.indexPath)) this.#disk.remove(this.indexPath);
  }

  info(isSealed: boolean): SegmentInfo {
    return {
      firstIndex: this.index.firstIndex,
      lastIndex: this.index.lastIndex,
      endOffset: this.index.nextOffset,
      bytes: this.index.end,
      newestAppendTimeMs: this.index.lastAppendTimeMs,
      sealed: isSealed,
    };
  }
}
