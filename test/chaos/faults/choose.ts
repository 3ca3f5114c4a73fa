// Whom a fault strikes.
import { type Arena, brokerIds, describeAll, type PlacedView } from "../mixed/arena.ts";
import { waitUntil } from "../waiting.ts";

const TRANSFER_TIMEOUT_MS = 5000;

/** The node that leads most partitions; one of them by chance. */
export async function leader(arena: Arena): Promise<readonly [number]> {
  const counts = leaderCounts(arena, await describeAll(arena));
  const most = Math.max(...counts.values());
  const busiest = [...counts].filter(([, count]) => count === most).map(([id]) => id);
  return [one(arena, busiest)];
}

/** A node that follows and leads nothing: what it leads is handed over first. Of five, one may have no replica at all. */
export async function follower(arena: Arena): Promise<readonly [number]> {
  const views = await describeAll(arena);
  const id = one(arena, mostReplicas(arena, views));
  await waitUntil("a node without leaderships", TRANSFER_TIMEOUT_MS, async () => {
    const led = (await describeAll(arena)).filter(({ leaderId }) => leaderId === id);
    await Promise.allSettled(led.map((view) => handOver(arena, view)));
    return led.length === 0;
  });
  return [id];
}

/** The busiest leader, and another one. */
export async function leaderAndAnother(arena: Arena): Promise<readonly [number, number]> {
  const [first] = await leader(arena);
  const rest = brokerIds(arena).filter((id) => id !== first);
  return [first, one(arena, rest)];
}

/** The node that leads the metadata group. */
export async function controller(arena: Arena): Promise<readonly [number]> {
  let id = 0;
  await waitUntil("a controller", TRANSFER_TIMEOUT_MS, async () => {
    ({ controllerId: id } = await arena.admin.describeCluster({ timeoutMs: 2000 }));
    return id !== 0;
  });
  return [id];
}

/** The busiest leader first, then all others. */
export async function everybody(arena: Arena): Promise<readonly number[]> {
  const [first] = await leader(arena);
  return [first, ...brokerIds(arena).filter((id) => id !== first)];
}

export function one(arena: Arena, ids: readonly number[]): number {
  const id = ids[arena.random.integer(0, ids.length)];
  if (id === undefined) throw new Error("nobody to choose from");
  return id;
}

async function handOver({ admin }: Arena, view: PlacedView): Promise<void> {
  const { name } = view.topic.history;
  await admin.transferLeadership(name, view.partition, 0, { timeoutMs: TRANSFER_TIMEOUT_MS });
}

/** The nodes that have most; one more or less does not matter. */
function mostReplicas(arena: Arena, views: readonly PlacedView[]): number[] {
  const countOf = (id: number): number =>
    views.filter(({ replicas }) => replicas.includes(id)).length;
  const counts = brokerIds(arena).map((id) => ({ id, count: countOf(id) }));
  const most = Math.max(...counts.map(({ count }) => count));
  return counts.filter(({ count }) => count >= most - 1).map(({ id }) => id);
}

function leaderCounts(arena: Arena, views: readonly PlacedView[]): Map<number, number> {
  const counts = new Map(brokerIds(arena).map((id) => [id, 0]));
  for (const { leaderId } of views) {
    if (leaderId !== 0) counts.set(leaderId, (counts.get(leaderId) ?? 0) + 1);
  }
  return counts;
}
