// Changes of leaders and members under load: they must not cost anything, though nobody is to blame for them.
import { pause } from "../../support/local-cluster.ts";
import { type Arena, brokerIds, describeAll, type PlacedView } from "../mixed/arena.ts";
import { waitUntil } from "../waiting.ts";
import { everybody, leader, one } from "./choose.ts";
import { type FaultKind, type Injury, type Scene, targetOf } from "./fault.ts";
import { startAll } from "./process-faults.ts";

const STORM_ROUNDS = 8;
const STORM_PAUSE_MS = 250;
const CALL = { timeoutMs: 10_000 };
const MOVE_TIMEOUT_MS = 60_000;
const CANCEL_ATTEMPTS_MAX = 4;
const KILL_ATTEMPTS_MAX = 4;

const MINOR = { reach: "minority", losesLeader: false, holdMs: 0 } as const;

export const MEMBER_FAULTS: readonly FaultKind[] = [
  {
    ...MINOR,
    name: "transfer storm",
    effect: "blip",
    losesLeader: true,
    weight: 2,
    choose: leader,
    inflict: storm,
  },
  {
    ...MINOR,
    name: "move of replicas",
    effect: "blip",
    needsFive: true,
    weight: 2,
    choose: everybody,
    inflict: moves,
  },
  {
    ...MINOR,
    name: "cancelled move",
    effect: "blip",
    needsFive: true,
    weight: 2,
    choose: everybody,
    inflict: cancelledMove,
  },
  {
    ...MINOR,
    name: "kill of the receiver of a move",
    effect: "crash",
    needsFive: true,
    weight: 2,
    choose: outsider,
    inflict: killReceiver,
  },
];

/** Every partition changes its leader again and again. */
async function storm({ arena }: Scene): Promise<Injury> {
  let transfers = 0;
  const done = (async () => {
    for (let i = 0; i < STORM_ROUNDS; i += 1) {
      const views = await describeAll(arena).catch(() => []);
      const asked = views.map(({ partition, topic }) =>
        arena.admin.transferLeadership(topic.history.name, partition, 0, CALL),
      );
      const answers = await Promise.allSettled(asked);
      transfers += answers.filter(({ status }) => status === "fulfilled").length;
      await pause(STORM_PAUSE_MS);
    }
  })();
  return {
    done,
    proof: () => (transfers > STORM_ROUNDS ? `${transfers} transfers` : undefined),
    heal: async () => undefined,
  };
}

/** One replica of one partition of every topic goes to a node that had none. */
async function moves({ arena, before }: Scene): Promise<Injury> {
  const chosen = onePerTopic(arena, before);
  const done = (async () => {
    await Promise.all(chosen.map((view) => beginMove(arena, view)));
    await noMoves(arena);
  })();
  return {
    done,
    proof: async () => {
      const after = await describeAll(arena);
      const moved = chosen.filter((view) => !haveSameReplicas(view, after));
      return moved.length === chosen.length ? `${moved.length} replicas moved` : undefined;
    },
    heal: () => noMoves(arena),
  };
}

/** A move may be over before it can be taken back; then another one is begun. */
async function cancelledMove({ arena }: Scene): Promise<Injury> {
  let attempts = 0;
  let isTakenBack = false;
  const done = (async () => {
    while (!isTakenBack && attempts < CANCEL_ATTEMPTS_MAX) {
      attempts += 1;
      isTakenBack = await takeBackMove(arena);
    }
  })();
  return {
    done,
    proof: () =>
      isTakenBack ? `a move under way was taken back, at attempt ${attempts}` : undefined,
    heal: () => noMoves(arena),
  };
}

/** @returns whether the replicas are where they were */
async function takeBackMove(arena: Arena): Promise<boolean> {
  const [view] = onePerTopic(arena, await describeAll(arena));
  if (view === undefined) throw new Error("no topic");
  const { partition, topic } = view;
  await beginMove(arena, view);
  const { total } = await arena.admin.members.listMoves(0, CALL);
  await arena.admin.members.cancelMove({ topic: topic.history.name, partition }, CALL);
  await noMoves(arena);
  return total > 0 && haveSameReplicas(view, await describeAll(arena));
}

/** A node without a replica of some partition: it is to receive one. */
async function outsider(arena: Arena): Promise<readonly number[]> {
  const views = await describeAll(arena);
  return [
    one(
      arena,
      brokerIds(arena).filter((id) => views.some(({ replicas }) => !replicas.includes(id))),
    ),
  ];
}

/** A move may be over before its receiver dies; then another one is begun, as long as it lacks a replica of something. */
async function killReceiver(scene: Scene): Promise<Injury> {
  const { arena } = scene;
  const receiver = targetOf(scene);
  let attempts = 0;
  let view: PlacedView | undefined;
  let hasDiedMeanwhile = false;
  const done = (async () => {
    while (!hasDiedMeanwhile && attempts < KILL_ATTEMPTS_MAX) {
      view = (await describeAll(arena)).find(({ replicas }) => !replicas.includes(receiver));
      if (view === undefined) break;
      attempts += 1;
      await beginMove(arena, view, receiver);
      await arena.cluster.kill(receiver);
      // Asked when it is dead: a move that is still listed was under way when it died.
      hasDiedMeanwhile = await isMoving(arena, view, receiver);
      await pause(STORM_PAUSE_MS * 4);
      await startAll(arena, [receiver]);
      await noMoves(arena);
    }
  })();
  return {
    done,
    proof: async () => {
      if (view === undefined || !hasDiedMeanwhile) return undefined;
      const hasMoved = !haveSameReplicas(view, await describeAll(arena));
      const words = `node ${receiver} died during the move to it, at attempt ${attempts}`;
      return hasMoved ? `${words}, and the move ended` : undefined;
    },
    heal: () => startAll(arena, [receiver]),
  };
}

async function isMoving(
  { admin }: Arena,
  { partition, topic }: PlacedView,
  to: number,
): Promise<boolean> {
  const { moves } = await admin.members.listMoves(0, CALL);
  return moves.some(
    (move) =>
      move.topic === topic.history.name &&
      move.partition === partition &&
      move.replicas.includes(to) &&
      !move.previous.includes(to),
  );
}

function onePerTopic({ random, topics }: Arena, views: readonly PlacedView[]): PlacedView[] {
  return topics.flatMap((topic) => {
    const own = views.filter((view) => view.topic === topic);
    const view = own[random.integer(0, own.length)];
    return view === undefined ? [] : [view];
  });
}

async function beginMove(arena: Arena, view: PlacedView, to?: number): Promise<void> {
  const { partition, replicas, topic } = view;
  const toNode =
    to ??
    one(
      arena,
      brokerIds(arena).filter((id) => !replicas.includes(id)),
    );
  const move = { topic: topic.history.name, partition, fromNode: one(arena, replicas), toNode };
  await arena.admin.members.moveReplica(move, CALL);
}

export async function noMoves({ admin }: Pick<Arena, "admin">): Promise<void> {
  await waitUntil(
    "nothing moves",
    MOVE_TIMEOUT_MS,
    async () => (await admin.members.listMoves(0, CALL)).total === 0,
    200,
  );
}

function haveSameReplicas(view: PlacedView, after: readonly PlacedView[]): boolean {
  const now = after.find((one) => one.topic === view.topic && one.partition === view.partition);
  return view.replicas.every((id) => now?.replicas.includes(id) === true);
}
