// Faults of processes: killed, stopped for a while, restarted in good order.
import { readFileSync } from "node:fs";
import { pause } from "../../support/local-cluster.ts";
import { PAUSE_MS } from "../leader-faults.ts";
import type { Arena } from "../mixed/arena.ts";
import { controller, everybody, follower, leader, leaderAndAnother } from "./choose.ts";
import { FAIL_OVER_MS_MAX, type FaultKind, type Injury, type Scene, targetOf } from "./fault.ts";

const END_TIMEOUT_MS = 10_000;
const START_TIMEOUT_MS = 60_000;
const STOP_TIMEOUT_MS = 40_000;
/** Long enough for a majority to notice, and for clients to be refused. */
const OUTAGE_MS = 3000;
const STUTTERS = 25;
const STUTTER_STOP_MS = 120;
const STUTTER_GO_MS = 60;
const CRASHES = 3;
const CRASH_AFTER_MS = 700;

const KILL = { effect: "crash", holdMs: 500, inflict: kill } as const;
const PAUSE = { effect: "pause", holdMs: PAUSE_MS, inflict: stop } as const;

export const PROCESS_FAULTS: readonly FaultKind[] = [
  { ...KILL, name: "kill leader", ...losing(), choose: leader, weight: 2 },
  { ...KILL, name: "kill follower", ...minor(), choose: follower, holdMs: OUTAGE_MS },
  { ...KILL, name: "kill controller", ...minor(), choose: controller, holdMs: OUTAGE_MS },
  { ...KILL, name: "kill two", ...major(), choose: leaderAndAnother, holdMs: OUTAGE_MS },
  { ...KILL, name: "kill all", ...major(), choose: everybody, holdMs: 1000 },
  { ...KILL, name: "bounce leader", ...losing(), choose: leader, inflict: bounce, weight: 2 },
  { ...KILL, name: "crash loop", ...minor(), choose: leader, inflict: crashLoop, holdMs: 0 },
  { ...PAUSE, name: "pause leader", ...losing(), choose: leader, weight: 2 },
  { ...PAUSE, name: "pause follower", ...minor(), choose: follower },
  { ...PAUSE, name: "pause two", ...major(), choose: leaderAndAnother },
  { ...PAUSE, name: "stutter leader", ...minor(), choose: leader, inflict: stutter, holdMs: 0 },
  {
    name: "restart leader",
    effect: "restart",
    ...minor(),
    losesLeader: true,
    choose: leader,
    holdMs: 0,
    weight: 2,
    inflict: restart,
  },
  {
    name: "rolling restart",
    effect: "restart",
    ...minor(),
    losesLeader: true,
    choose: everybody,
    holdMs: 0,
    inflict: restart,
  },
];

function losing() {
  return { reach: "minority", losesLeader: true, boundMs: FAIL_OVER_MS_MAX } as const;
}

function minor() {
  return { reach: "minority", losesLeader: false } as const;
}

function major() {
  return { reach: "majority", losesLeader: false } as const;
}

async function kill({ arena, victims }: Scene): Promise<Injury> {
  await Promise.all(victims.map((id) => arena.cluster.kill(id)));
  return { proof: () => killedProof(arena, victims), heal: () => startAll(arena, victims) };
}

/** Back before the others have elected anybody. */
async function bounce({ arena, victims }: Scene): Promise<Injury> {
  await Promise.all(victims.map((id) => arena.cluster.kill(id)));
  const proof = killedProof(arena, victims);
  for (const id of victims) arena.cluster.start(id);
  return { proof: () => proof, heal: () => startAll(arena, victims) };
}

/** It dies again and again soon after it was started. */
async function crashLoop(scene: Scene): Promise<Injury> {
  const { arena } = scene;
  const target = targetOf(scene);
  let deaths = 0;
  const crash = async (): Promise<void> => {
    await arena.cluster.kill(target);
    if (arena.cluster.endOf(target)?.signal === "SIGKILL") deaths += 1;
  };
  await crash();
  const done = (async () => {
    for (let i = 0; i < CRASHES; i += 1) {
      arena.cluster.start(target);
      await pause(CRASH_AFTER_MS);
      await crash();
    }
  })();
  return {
    done,
    proof: () => (deaths > CRASHES ? `node ${target} died ${deaths} times` : undefined),
    heal: () => startAll(arena, [target]),
  };
}

async function stop({ arena, victims }: Scene): Promise<Injury> {
  for (const id of victims) arena.cluster.signal(id, "SIGSTOP");
  return {
    proof: () => {
      const stopped = victims.filter((id) => stateOf(arena.cluster.pid(id)) === "T");
      return stopped.length === victims.length ? `stopped: node ${stopped.join(", ")}` : undefined;
    },
    heal: async () => {
      for (const id of victims) arena.cluster.signal(id, "SIGCONT");
    },
  };
}

/** An event loop that hardly gets to run: stopped two thirds of the time, in short pieces. */
async function stutter(scene: Scene): Promise<Injury> {
  const { cluster } = scene.arena;
  const target = targetOf(scene);
  let seen = 0;
  const done = (async () => {
    for (let i = 0; i < STUTTERS; i += 1) {
      cluster.signal(target, "SIGSTOP");
      await pause(STUTTER_STOP_MS);
      if (stateOf(cluster.pid(target)) === "T") seen += 1;
      cluster.signal(target, "SIGCONT");
      await pause(STUTTER_GO_MS);
    }
  })();
  return {
    done,
    proof: () => (seen > STUTTERS / 2 ? `node ${target} seen stopped ${seen} times` : undefined),
    heal: async () => cluster.signal(target, "SIGCONT"),
  };
}

/** SIGTERM and start, one victim after the other. */
async function restart({ arena, victims }: Scene): Promise<Injury> {
  const { cluster, problems } = arena;
  let ended = 0;
  const done = (async () => {
    for (const [at, id] of victims.entries()) {
      const code = await cluster.stop(id, STOP_TIMEOUT_MS);
      if (code === 0) ended += 1;
      else problems.push(`node ${id} ended with ${code} after SIGTERM, not with 0`);
      if (at === victims.length - 1) return;
      cluster.start(id);
      await cluster.waitHealthy(id, START_TIMEOUT_MS);
    }
  })();
  return {
    done,
    proof: () => (ended === victims.length ? `${ended} ended in good order` : undefined),
    heal: () => startAll(arena, victims),
  };
}

export async function startAll({ cluster }: Arena, ids: readonly number[]): Promise<void> {
  await Promise.all(
    ids.map(async (id) => {
      // Its storage failed, and it takes a few seconds to end.
      if (cluster.isRunning(id) && !(await cluster.isReady(id))) {
        await Promise.race([cluster.ended(id), pause(END_TIMEOUT_MS)]);
      }
      cluster.start(id);
      await cluster.waitHealthy(id, START_TIMEOUT_MS);
    }),
  );
}

export function killedProof({ cluster }: Arena, ids: readonly number[]): string | undefined {
  const killed = ids.filter((id) => cluster.endOf(id)?.signal === "SIGKILL");
  return killed.length === ids.length ? `SIGKILL ended node ${killed.join(", ")}` : undefined;
}

/** "T": stopped. Undefined where there is no /proc; then nothing can be proved. */
function stateOf(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    return stat.slice(stat.lastIndexOf(")") + 2)[0];
  } catch {
    return undefined;
  }
}
