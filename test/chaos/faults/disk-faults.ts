// Faults of disks: slow, failing, full, and without what had not been flushed when the power went.
import { readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { RESERVE_MIB } from "../disk/disks.ts";
import { Injection } from "../disk/injection.ts";
import type { Arena } from "../mixed/arena.ts";
import { waitUntil } from "../waiting.ts";
import { everybody, follower, leader, leaderAndAnother } from "./choose.ts";
import { type FaultKind, type Injury, type Scene, targetOf } from "./fault.ts";
import { fillUp } from "./full-disk.ts";
import { killedProof, startAll } from "./process-faults.ts";

const FLUSHES = ["fdatasync", "fsync"];
const WRITES = ["write", "writev"];
const SLOW = "delay_enter=250000";
const SLOW_MS = 4000;
const FULL_MS = 4000;
const OUTAGE_MS = 1500;
const EXIT_TIMEOUT_MS = 15_000;
const PATHS_MAX = 200;

const POWER = { effect: "power", needs: ["images"], holdMs: OUTAGE_MS, inflict: powerCut } as const;
const LOSING = { reach: "minority", losesLeader: true } as const;
const MINOR = { reach: "minority", losesLeader: false } as const;
const STRACE = { needs: ["strace"] } as const;

export const DISK_FAULTS: readonly FaultKind[] = [
  { ...POWER, ...LOSING, name: "power cut of leader", choose: leader, weight: 2 },
  { ...POWER, ...MINOR, name: "power cut of follower", choose: follower },
  {
    ...POWER,
    name: "power cut of two",
    reach: "majority",
    losesLeader: false,
    choose: leaderAndAnother,
  },
  { ...POWER, name: "power cut of all", reach: "majority", losesLeader: false, choose: everybody },
  {
    ...STRACE,
    ...MINOR,
    name: "slow disk of leader",
    effect: "slow",
    choose: leader,
    holdMs: SLOW_MS,
    inflict: slowDisk,
  },
  {
    ...STRACE,
    ...MINOR,
    name: "slow disk of follower",
    effect: "slow",
    choose: follower,
    holdMs: SLOW_MS,
    inflict: slowDisk,
  },
  {
    ...STRACE,
    ...LOSING,
    name: "failing flush of leader",
    effect: "disk",
    choose: leader,
    holdMs: 0,
    inflict: failingFlush,
  },
  {
    ...STRACE,
    ...MINOR,
    name: "failing flush of follower",
    effect: "disk",
    choose: follower,
    holdMs: 0,
    inflict: failingFlush,
  },
  {
    ...STRACE,
    ...MINOR,
    name: "no space for writes of leader",
    effect: "disk",
    choose: leader,
    holdMs: 2500,
    inflict: noSpace,
  },
  {
    ...MINOR,
    name: "full disk of leader",
    effect: "disk",
    needs: ["images"],
    choose: leader,
    holdMs: FULL_MS,
    inflict: fillUp(RESERVE_MIB / 2),
  },
  {
    ...MINOR,
    name: "full disk of follower",
    effect: "disk",
    needs: ["images"],
    choose: follower,
    holdMs: FULL_MS,
    inflict: fillUp(0),
  },
];

async function powerCut({ arena, victims }: Scene): Promise<Injury> {
  const { cluster, disks } = arena;
  await Promise.all(victims.map((id) => cluster.kill(id)));
  const killed = killedProof(arena, victims);
  const losses = await disks.cutPower(victims);
  const isCut = losses.length === victims.length && losses.every(({ isMarkGone }) => isMarkGone);
  const bytesGone = losses.map((loss) => loss.bytesGone).join(" ");
  const words = `what was written just before is gone, of the brokers' files ${bytesGone} bytes`;
  return {
    proof: () => (killed !== undefined && isCut ? `${killed}; ${words}` : undefined),
    heal: () => startAll(arena, victims),
  };
}

async function slowDisk(scene: Scene): Promise<Injury> {
  const injection = await inject(scene, FLUSHES, SLOW);
  return {
    proof: () => countProof(injection.count(), "flushes were delayed"),
    heal: () => injection.detach(),
  };
}

/**
 * The broker must stop by itself: what was not flushed is not known to be there any more. Nor does it start again on that
 * directory, so the node gets a new one and becomes another replica.
 */
async function failingFlush(scene: Scene): Promise<Injury> {
  const { arena } = scene;
  const target = targetOf(scene);
  const injection = await inject(scene, FLUSHES, "error=EIO");
  const done = waitUntil("the broker with a failing disk ends", EXIT_TIMEOUT_MS, () => {
    return !arena.cluster.isRunning(target);
  }).catch((error: unknown) => {
    arena.problems.push(`node ${target} goes on after fdatasync failed: ${String(error)}`);
  });
  return {
    done,
    proof: () => countProof(injection.count(), "flushes failed"),
    heal: async () => {
      await injection.detach();
      await replaceDirectory(arena, target);
    },
  };
}

async function replaceDirectory(arena: Arena, id: number): Promise<void> {
  const { cluster, disks } = arena;
  await cluster.kill(id);
  rmSync(disks.dataDir(id), { recursive: true, force: true });
  await cluster.command(["cluster", "init", "--join", String(id), "--config", cluster.configPath]);
  await startAll(arena, [id]);
}

/** ENOSPC for what is appended to logs, though the disk has room. */
async function noSpace(scene: Scene): Promise<Injury> {
  const { arena } = scene;
  const target = targetOf(scene);
  const logs = filesUnder(join(arena.disks.dataDir(target), "groups"));
  const injection = await inject(scene, WRITES, "error=ENOSPC", logs);
  return {
    proof: () => countProof(injection.count(), "writes failed with ENOSPC"),
    heal: async () => {
      await injection.detach();
      await startAll(arena, [target]);
    },
  };
}

function inject(
  scene: Scene,
  calls: readonly string[],
  what: string,
  paths: readonly string[] = [],
): Promise<Injection> {
  const { arena } = scene;
  const pid = arena.cluster.pid(targetOf(scene));
  const file = join(arena.directory, `strace-${arena.random.uuid()}`);
  return Injection.attach({ pid, calls, what, paths, file });
}

function countProof(count: number, what: string): string | undefined {
  return count > 0 ? `${count} ${what}` : undefined;
}

function filesUnder(directory: string): string[] {
  const entries = readdirSync(directory, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile());
  return files.map((entry) => join(entry.parentPath, entry.name)).slice(0, PATHS_MAX);
}
