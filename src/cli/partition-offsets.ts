// Offsets for `topic describe`. The asked broker knows them only of partitions that it leads, so the others' leaders are
// asked, a group of partitions at a time. What nobody tells stays unknown. Called by sdk.ts.
import type { PartitionDetails } from "./client-port.ts";

/** Questions at the same time. */
export const QUESTIONS_MAX = 64;

/** What a broker tells of a partition: zeros where it does not lead. */
export type AskedPartition = PartitionDetails & Offsets & { readonly bytes: number };

export interface Offsets {
  readonly logStartOffset: number;
  readonly highWatermark: number;
}

/** @param ask asks a partition's leader */
export async function withOffsets(
  partitions: readonly AskedPartition[],
  ask: (partition: number) => Promise<Offsets>,
): Promise<readonly PartitionDetails[]> {
  const open = partitions.filter((one) => !isToldByLeader(one) && one.leaderId !== 0);
  const found = new Map<number, Offsets>();
  // One that is gone must not cost its time again for each group.
  const silent = new Set<number>();
  while (open.length > 0) {
    const group = open.splice(0, QUESTIONS_MAX).filter(({ leaderId }) => !silent.has(leaderId));
    await Promise.all(
      group.map(async ({ partition }) => {
        try {
          found.set(partition, await ask(partition));
        } catch {
          // The table is worth showing without it.
        }
      }),
    );
    for (const { leaderId } of group) silent.add(leaderId);
    for (const { leaderId, partition } of group) if (found.has(partition)) silent.delete(leaderId);
  }
  return partitions.map((one) => {
    if (isToldByLeader(one)) return one;
    const offsets = found.get(one.partition);
    const { highWatermark, logStartOffset } = offsets ?? {};
    return { ...one, logStartOffset, highWatermark, bytes: undefined };
  });
}

/** A leader is in sync with itself; others name nobody. */
function isToldByLeader({ inSync }: PartitionDetails): boolean {
  return inSync.length > 0;
}
