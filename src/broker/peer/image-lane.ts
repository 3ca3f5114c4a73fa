// State images on the snapshot lane: cut into checked chunks by the sender, put together by the receiver. A receiver
// holds at most one image per sending node and group; a chunk out of place discards what was collected (the leader
// starts again).
import { crc32c } from "../../base/crc32c.ts";
import type { GroupId, NodeId, ReplicaId } from "../../model/ids.ts";
import { membershipOfJson } from "../../replica/frames.ts";
import type { ImageTransfer } from "../../replica/ports.ts";
import { SnapshotChunk } from "../../rpc/generated/flotilla-internal-v1.ts";

/** Each one is a sign of life of the lane (inbound-lane.ts), on a link of 1 Mbit/s every half second. */
const CHUNK_BYTES = 64 * 1024;
/** Larger images are refused: nothing that a group keeps as state may come near it. */
const IMAGE_BYTES_MAX = 1024 * 1024 * 1024;

/** Chunks in order; only the first carries the meta data. */
export function chunksOf(transfer: ImageTransfer): SnapshotChunk[] {
  const { image } = transfer;
  const chunks: SnapshotChunk[] = [];
  for (let position = 0; position === 0 || position < image.length; position += CHUNK_BYTES) {
    const bytes = image.subarray(position, position + CHUNK_BYTES);
    chunks.push(
      SnapshotChunk.create({
        groupId: transfer.groupId,
        from: transfer.from,
        to: transfer.to,
        term: transfer.term,
        index: transfer.meta.index,
        position,
        totalBytes: image.length,
        bytes,
        crc: crc32c(bytes),
        meta: position === 0 ? Buffer.from(JSON.stringify(transfer.meta), "utf8") : Buffer.alloc(0),
      }),
    );
  }
  return chunks;
}

interface Collecting {
  readonly first: SnapshotChunk;
  readonly pieces: Buffer[];
  bytes: number;
}

/** Puts images together, one per (node, group) at a time. */
export class ImageAssembler {
  readonly #collecting = new Map<string, Collecting>();

  /** The whole image once its last chunk arrived; undefined otherwise. */
  add(node: NodeId, chunk: SnapshotChunk): ImageTransfer | undefined {
    const key = `${node}/${chunk.groupId}`;
    const current = this.#collecting.get(key);
    if (chunk.totalBytes > IMAGE_BYTES_MAX || crc32c(chunk.bytes) !== chunk.crc) {
      this.#collecting.delete(key);
      return undefined;
    }
    const collecting =
      chunk.position === 0 ? { first: chunk, pieces: [], bytes: 0 } : belongs(current, chunk);
    if (collecting === undefined) {
      this.#collecting.delete(key);
      return undefined;
    }
    collecting.pieces.push(Buffer.from(chunk.bytes));
    collecting.bytes += chunk.bytes.length;
    if (collecting.bytes < chunk.totalBytes) {
      this.#collecting.set(key, collecting);
      return undefined;
    }
    this.#collecting.delete(key);
    return transferOf(collecting);
  }

  forget(node: NodeId): void {
    for (const key of [...this.#collecting.keys()]) {
      if (key.startsWith(`${node}/`)) this.#collecting.delete(key);
    }
  }
}

function belongs(current: Collecting | undefined, chunk: SnapshotChunk): Collecting | undefined {
  if (current === undefined || current.bytes !== chunk.position) return undefined;
  const { first } = current;
  const same = first.index === chunk.index && first.term === chunk.term && first.to === chunk.to;
  return same ? current : undefined;
}

function transferOf(collecting: Collecting): ImageTransfer | undefined {
  const { first } = collecting;
  const meta = metaOf(first.meta);
  if (meta === undefined) return undefined;
  return {
    groupId: first.groupId as GroupId,
    from: first.from as ReplicaId,
    to: first.to as ReplicaId,
    term: first.term,
    meta,
    image: Buffer.concat(collecting.pieces),
  };
}

/** Undefined for anything that chunksOf() does not write: it comes from the network. */
function metaOf(bytes: Buffer): ImageTransfer["meta"] | undefined {
  try {
    const json: unknown = JSON.parse(bytes.toString("utf8"));
    const fields = (json ?? {}) as Readonly<Record<string, unknown>>;
    return {
      index: position(fields["index"]),
      term: position(fields["term"]),
      membership: membershipOfJson(fields["membership"]),
      logStartIndex: position(fields["logStartIndex"]),
      logStartPrevTerm: position(fields["logStartPrevTerm"]),
    };
  } catch {
    return undefined;
  }
}

function position(value: unknown): number {
  if (Number.isSafeInteger(value) && Number(value) >= 0) return Number(value);
  throw new TypeError("an image names positions in the log");
}
