// Full disks: what shows that the broker felt it is what it did – it refused messages with DISK_FULL, or it ended with ENOSPC.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { RESERVE_MIB } from "../disk/disks.ts";
import type { Arena } from "../mixed/arena.ts";
import { waitUntil } from "../waiting.ts";
import { type Injury, type Scene, targetOf } from "./fault.ts";
import { startAll } from "./process-faults.ts";

const FELT_TIMEOUT_MS = 15_000;
const METRICS_TIMEOUT_MS = 2000;
const REFUSED = /^flotilla_partition_produce_batches_total\{[^}]*result="DISK_FULL"[^}]*\} (\d+)/gm;
const NO_SPACE = /node \d+ stopped: .*(?:ENOSPC|No space left on device)/;

/** @param leaveMib below the reserve: messages are refused; 0: writes fail */
export function fillUp(leaveMib: number): (scene: Scene) => Promise<Injury> {
  return async (scene) => {
    const { arena } = scene;
    const target = targetOf(scene);
    const watch = {
      refused: await refusedBatches(arena, target),
      log: logOf(arena, target).length,
    };
    const bytes = await arena.disks.fill(target, leaveMib);
    const isFull = bytes < RESERVE_MIB * 1024 * 1024;
    let felt: string | undefined;
    const done = waitUntil("a full disk is felt", FELT_TIMEOUT_MS, async () => {
      felt = await feltBy(arena, target, watch);
      return felt !== undefined;
    }).catch(() => undefined);
    return {
      done,
      proof: () =>
        isFull && felt !== undefined
          ? `${bytes} bytes were left on the disk of node ${target}, ${felt}`
          : undefined,
      heal: async () => {
        arena.disks.free(target);
        await startAll(arena, [target]);
      },
    };
  };
}

async function feltBy(
  arena: Arena,
  id: number,
  before: { readonly refused: number; readonly log: number },
): Promise<string | undefined> {
  const log = logOf(arena, id).slice(before.log);
  if (!arena.cluster.isRunning(id) && NO_SPACE.test(log)) return "and it ended with ENOSPC";
  const refused = (await refusedBatches(arena, id)) - before.refused;
  return refused > 0 ? `${refused} batches were refused with DISK_FULL` : undefined;
}

/** Of all partitions that it leads, since it started; rejects when it does not answer. */
async function refusedBatches({ cluster }: Arena, id: number): Promise<number> {
  const signal = AbortSignal.timeout(METRICS_TIMEOUT_MS);
  const answer = await fetch(`http://${cluster.node(id).admin}/metrics`, { signal });
  const counts = [...(await answer.text()).matchAll(REFUSED)].map(([, count]) => Number(count));
  return counts.reduce((sum, count) => sum + count, 0);
}

function logOf({ cluster }: Arena, id: number): string {
  return readFileSync(join(cluster.directory, `node-${id}.log`), "utf8");
}
