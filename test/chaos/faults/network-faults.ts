// Faults of links. What was swallowed, reset or slowed down is counted by the network, and that is the proof.
import { pause } from "../../support/local-cluster.ts";
import { brokerIds } from "../mixed/arena.ts";
import { CLIENT, separate } from "../network/network.ts";
import { everybody, follower, leader } from "./choose.ts";
import {
  FAIL_OVER_MS_MAX,
  type FaultKind,
  type Injury,
  ONE_WAY_MS_MAX,
  type Scene,
  targetOf,
} from "./fault.ts";

/** Longer than everything that a node waits before it gives another one up. */
const CUT_MS = 4000;
const FLAPS = 5;
const FLAP_MS = 500;
const RESETS = 6;
const RESET_MS = 300;
const CALM_MS = 400;
/** A broker notices after 2 to 3 s that a lane is silent (src/broker/peer/inbound-lane.ts), and dials anew. */
const FORGOTTEN_MS = 6000;

const CUT = { effect: "cut", holdMs: CUT_MS } as const;
const LOSING = { ...CUT, reach: "minority", losesLeader: true, choose: leader } as const;
const MINOR = { ...CUT, reach: "minority", losesLeader: false } as const;

export const NETWORK_FAULTS: readonly FaultKind[] = [
  { ...LOSING, name: "isolate leader", boundMs: FAIL_OVER_MS_MAX, weight: 2, inflict: isolate },
  {
    ...LOSING,
    name: "cut leader from brokers",
    boundMs: FAIL_OVER_MS_MAX,
    inflict: cutFromBrokers,
  },
  { ...MINOR, name: "isolate follower", choose: follower, inflict: isolate },
  { ...LOSING, name: "leader cannot send", boundMs: ONE_WAY_MS_MAX, inflict: oneWay("out") },
  { ...LOSING, name: "leader cannot receive", boundMs: ONE_WAY_MS_MAX, inflict: oneWay("in") },
  { ...MINOR, name: "follower cannot send", choose: follower, inflict: oneWay("out") },
  { ...MINOR, name: "follower cannot receive", choose: follower, inflict: oneWay("in") },
  { ...MINOR, name: "bridge", choose: everybody, inflict: bridge },
  { ...MINOR, name: "cut leader from one follower", choose: everybody, inflict: pairCut },
  {
    ...CUT,
    name: "shatter",
    reach: "majority",
    losesLeader: false,
    choose: everybody,
    inflict: shatter,
  },
  { ...MINOR, name: "cut client from leader", choose: leader, inflict: cutClient },
  { ...MINOR, name: "flapping link", choose: leader, holdMs: 0, inflict: flap },
  { ...MINOR, name: "resets", effect: "blip", choose: leader, holdMs: 0, inflict: resets },
  { ...MINOR, name: "forgotten lanes", choose: everybody, holdMs: FORGOTTEN_MS, inflict: forget },
  { ...MINOR, name: "slow link of leader", effect: "slow", choose: leader, inflict: slow },
  { ...MINOR, name: "slow link of follower", effect: "slow", choose: follower, inflict: slow },
  {
    ...CUT,
    name: "ring",
    reach: "partial",
    losesLeader: false,
    needsFive: true,
    choose: everybody,
    inflict: ring,
  },
  {
    ...CUT,
    name: "two against three",
    reach: "partial",
    losesLeader: false,
    needsFive: true,
    choose: everybody,
    inflict: split,
  },
];

function isolate(scene: Scene): Promise<Injury> {
  const target = targetOf(scene);
  // The client may have nothing to say to a broker that leads nothing.
  const brokers = [target, ...scene.others];
  return cut(scene, [...pairs([target], [...scene.others, CLIENT])], brokers);
}

/** The client still reaches it, and is told off. */
function cutFromBrokers(scene: Scene): Promise<Injury> {
  return cut(scene, [...pairs([targetOf(scene)], scene.others)]);
}

function oneWay(direction: "out" | "in"): (scene: Scene) => Promise<Injury> {
  return (scene) => {
    const target = targetOf(scene);
    const ways = scene.others.map(
      (other): Way => (direction === "out" ? [target, other] : [other, target]),
    );
    return cut(scene, ways);
  };
}

/** The first victim, the busiest leader, sees everybody; the two halves of the others see only it. */
function bridge({ arena, victims, ...rest }: Scene): Promise<Injury> {
  const [, ...others] = victims;
  const half = Math.ceil(others.length / 2);
  const ways = [...pairs(others.slice(0, half), others.slice(half))];
  return cut({ arena, victims, ...rest }, ways);
}

function pairCut(scene: Scene): Promise<Injury> {
  const [first, second = CLIENT] = scene.victims;
  return cut(scene, [...pairs([first ?? CLIENT], [second])]);
}

/** Nobody hears anybody. */
function shatter(scene: Scene): Promise<Injury> {
  const ids = brokerIds(scene.arena);
  return cut(
    scene,
    ids.flatMap((a) => ids.filter((b) => b !== a).map((b): Way => [a, b])),
  );
}

/** Everybody hears two neighbours. */
function ring(scene: Scene): Promise<Injury> {
  const ids = brokerIds(scene.arena);
  const areNeighbours = (a: number, b: number): boolean => {
    const distance = Math.abs(ids.indexOf(a) - ids.indexOf(b));
    return distance === 1 || distance === ids.length - 1;
  };
  const ways = ids.flatMap((a) =>
    ids.filter((b) => a !== b && !areNeighbours(a, b)).map((b): Way => [a, b]),
  );
  return cut(scene, ways);
}

function split(scene: Scene): Promise<Injury> {
  const [first = 0, second = 0, ...others] = scene.victims;
  return cut(scene, [...pairs([first, second], others)]);
}

function cutClient(scene: Scene): Promise<Injury> {
  // A broker that hears nothing from the client has nothing to say to it.
  return cut(scene, [...pairs([targetOf(scene)], [CLIENT])], [CLIENT]);
}

async function flap(scene: Scene): Promise<Injury> {
  const { network } = scene.arena;
  const target = targetOf(scene);
  const before = await network.swallowed(target);
  const done = (async () => {
    for (let i = 0; i < FLAPS; i += 1) {
      await separate(network, [target], scene.others);
      await pause(FLAP_MS);
      await network.heal();
      await pause(FLAP_MS);
    }
  })();
  return {
    done,
    proof: async () => swallowedProof((await network.swallowed(target)) - before),
    heal: () => network.heal(),
  };
}

async function resets(scene: Scene): Promise<Injury> {
  const { network } = scene.arena;
  const target = targetOf(scene);
  const before = await network.resets();
  const done = (async () => {
    for (let i = 0; i < RESETS; i += 1) {
      for (const other of [...scene.others, CLIENT]) await network.refuse(target, other);
      await pause(RESET_MS);
      await network.heal();
      await pause(CALM_MS);
    }
  })();
  return {
    done,
    proof: async () => {
      const count = (await network.resets()) - before;
      return count > 0 ? `${count} connections or packets were answered with a reset` : undefined;
    },
    heal: () => network.heal(),
  };
}

/**
 * The connections that carry entries die alone, from every leader to every other broker: heartbeats keep the leaders in office, and
 * nothing is committed before the brokers notice. By then a leader's entries are most of what it ever sent on a connection.
 */
async function forget({ arena, before: views }: Scene): Promise<Injury> {
  const { network } = arena;
  const leaders = [...new Set(views.map(({ leaderId }) => leaderId))].filter((id) => id !== 0);
  const counts = (): Promise<number[]> => Promise.all(leaders.map((id) => network.swallowed(id)));
  const before = await counts();
  for (const from of leaders) {
    for (const to of brokerIds(arena)) if (from !== to) await network.forgetBusiest(from, to);
  }
  return {
    proof: async () => {
      const lost = (await counts()).map((count, at) => count - (before[at] ?? 0));
      if (lost.some((count) => count === 0)) return undefined;
      return swallowedProof(lost.reduce((sum, count) => sum + count, 0));
    },
    heal: () => network.heal(),
  };
}

async function slow(scene: Scene): Promise<Injury> {
  const { network } = scene.arena;
  const before = await network.slowed();
  await network.slow(targetOf(scene));
  return {
    proof: async () => {
      const count = (await network.slowed()) - before;
      return count > 0 ? `${count} packets had to wait` : undefined;
    },
    heal: () => network.heal(),
  };
}

/** From, to. */
type Way = readonly [number, number];

function* pairs(side: readonly number[], others: readonly number[]): Generator<Way> {
  for (const a of side) {
    for (const b of others) {
      yield [a, b];
      yield [b, a];
    }
  }
}

/** It bit when every sender that was cut off (or every one of `witnesses`) lost something. */
async function cut(
  { arena }: Scene,
  ways: readonly Way[],
  witnesses?: readonly number[],
): Promise<Injury> {
  const { network } = arena;
  const senders = witnesses ?? [...new Set(ways.map(([from]) => from))];
  const before = await Promise.all(senders.map((id) => network.swallowed(id)));
  for (const [from, to] of ways) await network.block(from, to);
  return {
    proof: async () => {
      const after = await Promise.all(senders.map((id) => network.swallowed(id)));
      const lost = after.map((count, at) => count - (before[at] ?? 0));
      if (!lost.every((count) => count > 0)) return undefined;
      return swallowedProof(lost.reduce((sum, count) => sum + count, 0));
    },
    heal: () => network.heal(),
  };
}

function swallowedProof(count: number): string | undefined {
  return count > 0 ? `${count} packets were swallowed` : undefined;
}
