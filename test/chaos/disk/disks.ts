// The disks of the brokers: an ext4 image each where they can be mounted, else plain folders. On images power can be cut
// and the disk filled up.
import { mkdirSync, rmSync, statfsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Random } from "../../../src/base/random.ts";
import { ImageMounts } from "../image-mounts.ts";
import { runTool } from "../network/command.ts";
import type { CutLoss } from "./unsynced.ts";

/** Room for what a run writes; the image file grows with it. */
const IMAGE_MIB = 2048;
/** The brokers' reserve, storage.diskFreeMin. */
export const RESERVE_MIB = 32;
const MIB = 1024 * 1024;
const PIECE_BYTES_MIN = 32 * 1024;

export class Disks {
  readonly #directory: string;
  readonly #random: Random;
  readonly #images: ImageMounts | undefined;

  private constructor(directory: string, random: Random, images: ImageMounts | undefined) {
    this.#directory = directory;
    this.#random = random;
    this.#images = images;
  }

  /** @param directory must exist */
  static async create(
    directory: string,
    nodeIds: readonly number[],
    random: Random,
    areImages: boolean,
  ): Promise<Disks> {
    const images = areImages ? new ImageMounts(directory, nodeIds, IMAGE_MIB) : undefined;
    await images?.create();
    const disks = new Disks(directory, random, images);
    for (const id of nodeIds) disks.#newBoot(id);
    return disks;
  }

  dataDir(nodeId: number): string {
    return join(this.#root(nodeId), "data");
  }

  /** What the broker takes for the kernel's boot id (new-boot.mjs). */
  bootFile(nodeId: number): string {
    return join(this.#directory, `boot-${nodeId}`);
  }

  /** Of dead brokers: what had not reached the disk is gone, and the machine has been switched on again. */
  async cutPower(nodeIds: readonly number[]): Promise<readonly CutLoss[]> {
    if (this.#images === undefined) throw new Error("power can only be cut on images");
    const losses = await this.#images.cutPower(nodeIds);
    for (const id of nodeIds) this.#newBoot(id);
    return losses;
  }

  /** @param leaveMib so much stays free @returns bytes free afterwards */
  async fill(nodeId: number, leaveMib: number): Promise<number> {
    const ballast = this.#ballast(nodeId);
    mkdirSync(ballast, { recursive: true });
    const wanted = (): number => this.freeBytes(nodeId) - leaveMib * MIB;
    // The file system needs some of the room itself: what can not be had at once is tried in smaller pieces.
    for (let size = wanted(), piece = 0; size >= PIECE_BYTES_MIN; piece += 1) {
      const file = join(ballast, String(piece));
      const isTaken = await runTool("fallocate", ["-l", String(size), file]).then(
        () => true,
        () => false,
      );
      size = isTaken ? wanted() : Math.floor(size / 2);
    }
    return this.freeBytes(nodeId);
  }

  free(nodeId: number): void {
    rmSync(this.#ballast(nodeId), { recursive: true, force: true });
  }

  freeBytes(nodeId: number): number {
    const { bavail, bsize } = statfsSync(this.#root(nodeId));
    return bavail * bsize;
  }

  async close(): Promise<void> {
    await this.#images?.close();
  }

  #root(nodeId: number): string {
    if (this.#images !== undefined) return this.#images.mountPoint(nodeId);
    const directory = join(this.#directory, `disk-${nodeId}`);
    mkdirSync(directory, { recursive: true });
    return directory;
  }

  #ballast(nodeId: number): string {
    return join(this.#root(nodeId), "ballast");
  }

  #newBoot(nodeId: number): void {
    writeFileSync(this.bootFile(nodeId), `${this.#random.uuid()}\n`);
  }
}
