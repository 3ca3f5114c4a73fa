// Data directories on ext4 images of their own, so that a power cut can be made: what a process wrote and did not flush
// is in the page cache of the mount, not in the image file. A copy of the image taken while it is mounted is what a disk
// would hold after the cut.
import { execFile } from "node:child_process";
import { mkdirSync, mkdtempSync, renameSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { type CutLoss, lossSince, writeMark } from "./disk/unsynced.ts";

const run = promisify(execFile);

const IMAGE_MIB = 256;

export interface ImageMount {
  readonly nodeId: number;
  readonly image: string;
  readonly mountPoint: string;
}

export class ImageMounts {
  readonly #mounts: readonly ImageMount[];
  readonly #mounted = new Set<ImageMount>();
  readonly #sizeMib: number;
  #cuts = 0;

  /** @param directory holds images and mount points; must exist @param sizeMib of each image; it takes no room at first */
  constructor(directory: string, nodeIds: readonly number[], sizeMib = IMAGE_MIB) {
    this.#sizeMib = sizeMib;
    this.#mounts = nodeIds.map((nodeId) => ({
      nodeId,
      image: join(directory, `disk-${nodeId}.img`),
      mountPoint: join(directory, `disk-${nodeId}`),
    }));
  }

  mountPoint(nodeId: number): string {
    const mount = this.#mounts.find((candidate) => candidate.nodeId === nodeId);
    if (mount === undefined) throw new Error(`no disk for node ${nodeId}`);
    return mount.mountPoint;
  }

  /** Formats and mounts all images. */
  async create(): Promise<void> {
    for (const mount of this.#mounts) {
      await run("truncate", ["-s", `${this.#sizeMib}M`, mount.image]);
      await run("mkfs.ext4", ["-q", "-m", "0", mount.image]);
      mkdirSync(mount.mountPoint, { recursive: true });
      await this.#mount(mount);
    }
  }

  /** Makes everything written so far durable, whatever the brokers' flushes do. */
  async flush(): Promise<void> {
    for (const mount of this.#mounted) await run("sync", ["-f", mount.mountPoint]);
  }

  /**
   * The power cut: copies the images (of some nodes; default: all) at once as they are, then continues on the copies under
   * the same paths. Nothing may have a file open there any more.
   * @returns what each of them lost by it
   */
  async cutPower(nodeIds?: readonly number[]): Promise<readonly CutLoss[]> {
    const cut = this.#mounts.filter(({ nodeId }) => nodeIds?.includes(nodeId) ?? true);
    this.#cuts += 1;
    const seen = new Map(
      cut.map((mount) => [mount, writeMark(mount.mountPoint, `cut ${this.#cuts} `)]),
    );
    await Promise.all(cut.map(({ image }) => copySparse(image, `${image}.cut`)));
    for (const mount of cut) {
      await this.#unmount(mount);
      renameSync(`${mount.image}.cut`, mount.image);
      await this.#mount(mount);
    }
    return [...seen].map(([{ mountPoint }, before]) => lossSince(mountPoint, before));
  }

  /** Unmounts everything; the second try detaches what is busy. Never throws. */
  async close(): Promise<void> {
    for (const mount of [...this.#mounted]) {
      try {
        await this.#unmount(mount);
      } catch {
        await run("umount", ["-l", mount.mountPoint]).catch(() => undefined);
        this.#mounted.delete(mount);
      }
    }
  }

  async #mount(mount: ImageMount): Promise<void> {
    await run("mount", ["-o", "loop", mount.image, mount.mountPoint]);
    this.#mounted.add(mount);
  }

  async #unmount(mount: ImageMount): Promise<void> {
    await run("umount", [mount.mountPoint]);
    this.#mounted.delete(mount);
  }
}

/** Why images cannot be mounted here; undefined when they can. */
export async function mountProblem(): Promise<string | undefined> {
  if (process.platform !== "linux") return `${process.platform} has no loop-mounted ext4`;
  const directory = mkdtempSync(join(tmpdir(), "flotilla-probe-"));
  const probe = new ImageMounts(directory, [1]);
  try {
    await probe.create();
    return undefined;
  } catch (error) {
    return error instanceof Error ? (error.message.split("\n")[0] ?? error.message) : String(error);
  } finally {
    await probe.close();
    rmSync(directory, { recursive: true, force: true });
  }
}

function copySparse(from: string, to: string): Promise<unknown> {
  return run("cp", ["--sparse=always", "--reflink=auto", from, to]);
}
