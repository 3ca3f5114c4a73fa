// Faults that take what was not synced, from disk and keyed store independently, and processes or machines that die in
// the middle of an operation of their disk.
import { isSettled } from "../health.ts";
import { isLoss, type PowerLoss } from "../power-loss.ts";
import type { Death, SimBroker } from "../sim-broker.ts";
import type { Survival } from "../sim-disk.ts";
import { type Fault, type FaultContext, pickVictim } from "./fault.ts";

const SETTLE_LIMIT_MS = 6000;
const QUIET_MS = 1500;
const ARM_LIMIT_MS = 4000;
/** Operations of a disk that pass before the machine dies at one. */
const OPERATIONS_MAX = 25;
/** Where it may die: anywhere, or at what is rare. */
const PLACES = ["", "", ".seg", "first.tmp", "hard-state", "images/", ".idx", "trash"];

/** What a fault must have done to count. */
type Effect = (losses: readonly PowerLoss[], served: number) => boolean;

/** That is what distinguishes it from a killed process. */
const LOSES: Effect = (losses) => losses.some(isLoss);
const TEARS: Effect = (losses) => losses.some(({ torn }) => torn > 0);
/** More than one at the same time. */
const SEVERAL_LOSE: Effect = (losses) => losses.filter(isLoss).length > 1;
/** A broker that served comes back from its disk, whatever was lost. */
const STOPS_SERVICE: Effect = (_, served) => served > 0;

export const powerCut: Fault = (context) => {
  const broker = pickVictim(context, ({ host }) => host.isUp);
  if (broker === undefined) return false;
  cut(context, [broker], drawDeath(context), LOSES);
  return true;
};

/**
 * Everybody has everything, on disk: then no lazy entry is on one disk only, and nothing at all may be lost. That little or
 * nothing is unsynced is what it is about, so it need not lose anything.
 */
export const quietPowerCut: Fault = (context) => {
  const { cluster } = context;
  context.when(
    () => context.quietMs() >= QUIET_MS && isSettled(cluster),
    SETTLE_LIMIT_MS,
    () => {
      const broker = pickVictim(context, ({ host }) => host.isUp);
      if (broker !== undefined) cut(context, [broker], drawDeath(context), STOPS_SERVICE);
    },
  );
  return true;
};

/** Nothing that was not synced survives, neither in the logs nor in the keyed store, or in one of them only. */
export const lostCache: Fault = (context) => {
  const broker = pickVictim(context, ({ host }) => host.isUp);
  if (broker === undefined) return false;
  const dice = context.random.next();
  const disk: Survival = dice < 0.7 ? "nothing" : "some";
  const keyed: Survival = dice > 0.4 ? "nothing" : "some";
  cut(context, [broker], { kind: "power", disk, keyed }, LOSES);
  return true;
};

/** Power goes while a log has bytes that no sync covers: its last write is torn, or has a hole. */
export const tornWrite: Fault = (context) => {
  const broker = pickVictim(context, ({ host }) => host.isUp);
  if (broker === undefined) return false;
  // The first operation is an append, nearly always; before the second one it is there, and nothing has synced it.
  const disk: Survival = context.random.next() < 0.5 ? "some" : "holes";
  arm(context, broker, { place: ".seg", after: 2 }, { kind: "power", disk, keyed: "some" }, TEARS);
  return true;
};

/** Two of three (three of five) lose power; the others go on. */
export const doubleCut: Fault = (context) => {
  const up = context.cluster.brokers.filter(({ host }) => host.isUp);
  const wanted = Math.floor(context.cluster.brokers.length / 2) + 1;
  if (up.length < wanted) return false;
  const from = context.random.integer(0, up.length);
  const victims = [...up.slice(from), ...up.slice(0, from)].slice(0, wanted);
  cut(context, victims, drawDeath(context), SEVERAL_LOSE);
  return true;
};

/** Nobody is left who remembers: the cluster must come back from its disks. It had to be more than a minority that served. */
export const blackout: Fault = (context) => {
  const { brokers } = context.cluster;
  const victims = brokers.filter(({ host }) => host.isUp);
  if (victims.length < 2) return false;
  cut(context, victims, drawDeath(context), (_, served) => served * 2 > brokers.length);
  return true;
};

/** The process dies between two operations of its disk. */
export const crashPoint: Fault = (context) => {
  const broker = pickVictim(context, ({ host }) => host.isUp);
  if (broker === undefined) return false;
  arm(context, broker, drawPoint(context), { kind: "process" }, () => true);
  return true;
};

/** The machine loses power between two operations of its disk. */
export const powerPoint: Fault = (context) => {
  const broker = pickVictim(context, ({ host }) => host.isUp);
  if (broker === undefined) return false;
  arm(context, broker, drawPoint(context), drawDeath(context), LOSES);
  return true;
};

function cut(
  context: FaultContext,
  victims: readonly SimBroker[],
  death: Death,
  isEffect: Effect,
): void {
  context.begin(victims);
  const served = victims.filter(({ isServing }) => isServing).length;
  const losses = victims.map((broker) => broker.kill(death));
  if (isEffect(losses, served)) context.bit();
  context.lasting(() => {
    for (const broker of victims) broker.boot();
  });
}

/** Where a machine dies: at so many operations of files that are called like this. */
interface Point {
  readonly place: string;
  readonly after: number;
}

function arm(
  context: FaultContext,
  broker: SimBroker,
  { after, place }: Point,
  death: Death,
  isEffect: Effect,
): void {
  const { cluster } = context;
  const { storage } = broker;
  if (storage.crashHook !== undefined) return;
  let left = after;
  storage.crashHook = (path) => {
    if (!path.includes(place)) return false;
    left -= 1;
    if (left > 0) return false;
    storage.crashHook = undefined;
    cluster.line(`n${broker.nodeId} dies at ${path}`);
    context.begin([broker]);
    const served = broker.isServing ? 1 : 0;
    if (isEffect([broker.kill(death)], served)) context.bit();
    context.lasting(() => broker.boot());
    return true;
  };
  const hook = storage.crashHook;
  cluster.world.schedule(ARM_LIMIT_MS, () => {
    if (storage.crashHook === hook) storage.crashHook = undefined;
  });
}

function drawDeath({ random }: FaultContext): Death {
  const survival = (): Survival => {
    const dice = random.next();
    if (dice < 0.4) return "some";
    return dice < 0.7 ? "holes" : "nothing";
  };
  return { kind: "power", disk: survival(), keyed: survival() };
}

function drawPoint({ random }: FaultContext): Point {
  const place = PLACES[random.integer(0, PLACES.length)] ?? "";
  return { place, after: random.integer(1, OPERATIONS_MAX) };
}
