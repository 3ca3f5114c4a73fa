// Which replicas are on their way, from this node's image and, for partitions led here, from their replicas' progress.
// Plain objects with the protocol's field names. Any broker can answer; the Admin service asks.
import type { GroupId } from "../model/ids.ts";
import type { LeaderCache } from "./leader-cache.ts";
import type { MetadataImage, MetadataView } from "./metadata-image.ts";
import type { MoveProgress } from "./ports.ts";
import { type PartitionRow, placementsOf, type ReplicaPlacement } from "./topic-table.ts";

/** Moves in one answer; beyond, only their number is told. */
export const MOVES_LISTED_MAX = 1000;

export interface MoveStateAnswer extends MoveProgress {
  readonly topic: string;
  readonly partition: number;
  readonly leaderId: number;
  readonly replicas: readonly number[];
  readonly previous: readonly number[];
  readonly leaving: readonly number[];
  readonly causeNode: number;
  readonly cancelled: boolean;
  readonly isKnown: boolean;
}

export interface ListMovesAnswer {
  readonly moves: readonly MoveStateAnswer[];
  readonly total: number;
  readonly metadataIndex: number;
}

export interface MoveReaderOptions {
  readonly view: MetadataView;
  readonly leaders: LeaderCache;
  /** Of a group that this node leads; undefined for others. */
  readonly progressOf: (groupId: GroupId) => MoveProgress | undefined;
}

export class MoveReader {
  readonly #options: MoveReaderOptions;

  constructor(options: MoveReaderOptions) {
    this.#options = options;
  }

  /** @param nodeId only partitions with a wanted or leaving replica there; 0: all */
  listMoves(nodeId: number): ListMovesAnswer {
    const { image } = this.#options.view;
    const rows = movingRows(image).filter(
      (row) => nodeId === 0 || placementsOf(row).some((place) => place.nodeId === nodeId),
    );
    const nameOf = (row: PartitionRow): string => image.topics.get(row.topicId)?.name ?? "";
    const sorted = rows
      .map((row) => ({ row, topic: nameOf(row) }))
      .sort((a, b) => compare(a.topic, b.topic) || a.row.partition - b.row.partition);
    const moves = sorted
      .slice(0, MOVES_LISTED_MAX)
      .map(({ row, topic }) => this.#describe(row, topic));
    return { moves, total: rows.length, metadataIndex: image.version };
  }

  #describe(row: PartitionRow, topic: string): MoveStateAnswer {
    const { leaders, progressOf } = this.#options;
    const { change, groupId, partition, replicas } = row;
    const progress = progressOf(groupId);
    return {
      topic,
      partition,
      leaderId: leaders.get(groupId)?.nodeId ?? 0,
      replicas: nodesOf(replicas),
      previous: nodesOf(change?.previous ?? []),
      leaving: nodesOf(change?.leaving ?? []),
      causeNode: change?.cause ?? 0,
      cancelled: change?.isCancelled ?? false,
      isKnown: progress !== undefined,
      ...(progress ?? { replicasBehind: 0, bytesLeft: 0 }),
    };
  }
}

export function movingRows(image: MetadataImage): PartitionRow[] {
  return [...image.partitions.values()].filter((row) => row.change !== undefined);
}

function nodesOf(places: readonly ReplicaPlacement[]): readonly number[] {
  return places.map((place) => place.nodeId);
}

function compare(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}
