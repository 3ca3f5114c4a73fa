// Receiving side of state images: checks and stages what the transport brought, lets the core decide, and on the core's
// word flips the group to it: image durable → log emptied → keyed state replaced → memory. A crash between the steps is
// finished by recovery, which finds the durable image ahead of the rest (state-recovery.ts).
// A replica that is blocked by damaged entries takes the state only, and keeps its log (ADR 0014).
import { assert } from "../base/assert.ts";
import type { StateImage } from "../log/ports.ts";
import type { ReplicaId } from "../model/ids.ts";
import type { SnapshotMeta } from "../raft/messages.ts";
import type { ApplyLoop } from "./apply-loop.ts";
import type { Checkpoint } from "./checkpoint.ts";
import type { GroupContext } from "./group-context.ts";
import {
  type AppliedRecord,
  decodeImageRecord,
  encodeImageRecord,
  type ImageRecord,
} from "./group-records.ts";
import type { LogFlusher } from "./log-flusher.ts";
import type { ImageTransfer } from "./ports.ts";
import type { Snapshotter } from "./snapshotter.ts";
import { replaceKeyedState } from "./state-recovery.ts";

interface Staged {
  readonly from: ReplicaId;
  readonly image: StateImage;
  readonly record: ImageRecord;
}

export interface InstallParts {
  readonly prefix: string;
  readonly apply: ApplyLoop;
  readonly checkpoint: Checkpoint;
  readonly flusher: LogFlusher;
  readonly snapshotter: Snapshotter;
  /** Makes void, durably, what the journal says about the log's durable end. */
  readonly forgetDurable: () => Promise<void>;
  readonly onInstalled: (applied: AppliedRecord) => void;
}

export class ImageInstaller {
  readonly #context: GroupContext;
  readonly #parts: InstallParts;
  /** The image that the core has accepted: it asks for it when the term is durable. */
  #staged: Staged | undefined;
  #flipping: "nothing" | "all" | "state" = "nothing";

  constructor(context: GroupContext, parts: InstallParts) {
    this.#context = context;
    this.#parts = parts;
  }

  get isInstalling(): boolean {
    return this.#flipping === "all";
  }

  /** An image arrived whole. Dropped with a warning when it is not what it says. */
  receive(transfer: ImageTransfer): void {
    const { core, groupId, logger, replicaId } = this.#context;
    if (this.#flipping !== "nothing") return;
    const staged = this.#check(transfer);
    if (staged === undefined) {
      logger.warn({ groupId, index: transfer.meta.index }, "received image is not usable");
      return;
    }
    const { isInstalling } = core.status();
    core.step({
      kind: "install-snapshot",
      from: transfer.from,
      to: replicaId,
      term: transfer.term,
      snapshot: transfer.meta,
    });
    // While one is accepted, the core hears of no other; what it does not accept now, it never asks for.
    if (!isInstalling && core.status().isInstalling) this.#staged = staged;
    else if (this.#isStateWanted(transfer)) {
      this.#spawn("state", () => this.#flipState(staged));
    }
    this.#context.wake();
  }

  /** The core accepted the snapshot; it hands out no entries until snapshotInstalled. */
  install(meta: SnapshotMeta): void {
    const staged = this.#staged;
    const { index, term, logStartIndex } = meta;
    assert(staged !== undefined, "a snapshot without image", { index });
    const { image, record } = staged;
    const isSame = image.index === index && image.term === term;
    assert(isSame && record.restart.index === logStartIndex, "another image", { index });
    this.#staged = undefined;
    this.#spawn("all", () => this.#flipAll(staged));
  }

  /**
   * The core needs no image: it holds the entries. But some of them can not be read to be applied, and the leader has dropped
   * them. As for an image of our own, what it stands for has to be flushed here.
   */
  #isStateWanted({ from, meta, term }: ImageTransfer): boolean {
    const { core } = this.#context;
    const { apply, flusher } = this.#parts;
    const { isBlocked, isInstalling, leaderId } = core.status();
    if (!isBlocked || isInstalling || core.term !== term || leaderId !== from) return false;
    const isHeld = core.termAt(meta.index) === meta.term;
    const isSafe = meta.index <= Math.min(core.commitIndex, flusher.flushedIndex);
    return isHeld && isSafe && meta.index > apply.appliedIndex;
  }

  #spawn(what: "all" | "state", flip: () => Promise<void>): void {
    assert(this.#flipping === "nothing", "one image at a time");
    this.#flipping = what;
    this.#parts.apply.suspend();
    this.#context.spawn(`flip-${what}`, async () => {
      try {
        await this.#parts.snapshotter.suspend();
        await this.#parts.checkpoint.suspend();
        await flip();
      } finally {
        this.#flipping = "nothing";
      }
    });
  }

  #check(transfer: ImageTransfer): Staged | undefined {
    const { groupId, images } = this.#context;
    try {
      const image = images.decode(transfer.image);
      const record = decodeImageRecord(image.meta);
      if (record === undefined || image.groupId !== groupId) return undefined;
      const { index, term } = transfer.meta;
      const isSame = image.index === index && image.term === term && record.applied.index === index;
      const isRestartSame = record.restart.index === transfer.meta.logStartIndex;
      return isSame && isRestartSame ? { from: transfer.from, image, record } : undefined;
    } catch (error) {
      this.#context.logger.warn({ groupId, error }, "received image cannot be decoded");
      return undefined;
    }
  }

  /** The log stays: emptying it would drop entries that were acknowledged. Recovery finds an image as of our own. */
  async #flipState({ image, record }: Staged): Promise<void> {
    const { core, groupId, images, keyed, logger, metrics, stateMachine } = this.#context;
    const { apply, checkpoint, prefix } = this.#parts;
    if (!this.#context.isLive()) return;
    await images.save({ ...image, meta: encodeImageRecord({ ...record, isInstalled: false }) });
    if (!this.#context.isLive()) return;
    await replaceKeyedState(keyed, prefix, record.applied, image.pairs);
    if (!this.#context.isLive()) return;
    stateMachine.restore(image.pairs);
    apply.replace(record.applied);
    checkpoint.resume();
    metrics.count("images_installed");
    logger.info({ groupId, index: image.index }, "state taken over, its entries are damaged");
    core.applied(image.index, record.applied.membership);
    this.#parts.onInstalled(record.applied);
    this.#context.wake();
  }

  async #flipAll({ image, record }: Staged): Promise<void> {
    const { core, groupId, images, keyed, log, logger, metrics, stateMachine } = this.#context;
    const { apply, checkpoint, flusher, prefix } = this.#parts;
    await flusher.suspend();
    if (!this.#context.isLive()) return;
    // From here on the log may end below what it held: recovery must not take that for damage.
    await this.#parts.forgetDurable();
    if (!this.#context.isLive()) return;
    await images.save({ ...image, meta: encodeImageRecord({ ...record, isInstalled: true }) });
    if (!this.#context.isLive()) return;
    await log.reset(record.restart.index, record.restart.prevTerm, record.restart.offset);
    if (!this.#context.isLive()) return;
    await replaceKeyedState(keyed, prefix, record.applied, image.pairs);
    if (!this.#context.isLive()) return;
    stateMachine.restore(image.pairs);
    apply.replace(record.applied);
    checkpoint.resume();
    flusher.resume();
    metrics.count("images_installed");
    logger.info({ groupId, index: image.index, logStart: record.restart.index }, "image installed");
    core.snapshotInstalled(image.index);
    this.#parts.onInstalled(record.applied);
    this.#context.wake();
  }
}
