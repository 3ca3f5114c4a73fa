// Faults of processes and machines: killed, stopped, paused, told to hand a leadership over, with a wrong clock.
import { isBrokerError } from "../../../src/model/errors.ts";
import { type Fault, isRunning, pickBroker, pickVictim } from "./fault.ts";

const SKEW_MS_MAX = 20_000;
const JUMP_MS = 3_600_000;
const DRAIN_MS = 3000;

/** SIGKILL: the page cache stays. */
export const kill: Fault = (context) => {
  const broker = pickVictim(context, ({ host }) => host.isUp);
  if (broker === undefined) return false;
  context.begin([broker]);
  if (broker.isServing) context.bit();
  broker.kill({ kind: "process" });
  context.lasting(() => broker.boot());
  return true;
};

/** All of them at once: what was acknowledged is in their page caches. */
export const killAll: Fault = (context) => {
  const brokers = context.cluster.brokers.filter(({ host }) => host.isUp);
  if (brokers.length < 2) return false;
  context.begin(brokers);
  context.bit();
  for (const broker of brokers) broker.kill({ kind: "process" });
  context.lasting(() => {
    for (const broker of brokers) broker.boot();
  });
  return true;
};

/** As an operator would: leaderships are handed over, everything is flushed. */
export const restart: Fault = (context) => {
  const broker = pickVictim(context, (candidate) => isRunning(candidate) && candidate.isServing);
  if (broker === undefined) return false;
  const { cluster } = context;
  const { generation } = broker.host;
  context.begin([broker]);
  cluster.run(broker.host, "stop", async () => {
    await broker.stop(DRAIN_MS);
    context.bit();
  });
  context.lasting(() => {
    // It may hang in a pause or on its disk: then it is not waited for.
    if (broker.host.generation === generation) broker.kill({ kind: "process" });
    broker.boot();
  });
  return true;
};

/** SIGSTOP, SIGCONT. */
export const pause: Fault = (context) => {
  const broker = pickVictim(context, isRunning);
  if (broker === undefined) return false;
  const { host } = broker;
  const { generation } = host;
  context.begin([broker]);
  host.pause();
  context.lasting(() => {
    if (host.generation === generation && host.resume() > 0) context.bit();
  });
  return true;
};

export const transfer: Fault = (context) => {
  const { cluster, random } = context;
  const { groups } = cluster;
  const group = groups[random.integer(0, groups.length)];
  const leader = group === undefined ? undefined : cluster.leaderOf(group);
  if (group === undefined || leader === undefined || leader.host.isPaused) return false;
  const target = pickBroker(context, (candidate) => candidate !== leader);
  if (target === undefined) return false;
  context.begin([leader, target]);
  cluster.run(leader.host, "transfer", async () => {
    try {
      await leader.node?.replicas.get(group)?.transferLeadership(target.nodeId);
      context.bit();
    } catch (error) {
      if (!isBrokerError(error)) throw error;
    }
  });
  return true;
};

/** The wall clock is wrong for a while: nothing but timestamps may follow it. */
export const clockJump: Fault = (context) => {
  const broker = pickVictim(context, () => true);
  if (broker === undefined) return false;
  const { random } = context;
  const isFar = random.next() < 0.3;
  const sign = random.next() < 0.5 ? -1 : 1;
  const skewMs = isFar ? sign * JUMP_MS : random.integer(-SKEW_MS_MAX, SKEW_MS_MAX + 1);
  const { host } = broker;
  const before = host.wrongTimes;
  context.begin([broker]);
  host.wallSkewMs += skewMs;
  context.lasting(() => {
    if (host.wrongTimes > before) context.bit();
    host.wallSkewMs -= skewMs;
  });
  return true;
};
