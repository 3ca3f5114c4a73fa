// Faults of links and connections: what is sent waits, breaks, comes late, or (between brokers only) is lost, doubled or
// overtaken. A link is directed; clients may be cut off as well.
import { replicasOf } from "../plan/seed-plan.ts";
import type { SimBroker } from "../sim-broker.ts";
import type { SimHost } from "../world.ts";
import { type Fault, type FaultContext, isRunning, pickBroker, pickVictim } from "./fault.ts";

type Link = readonly [from: string, to: string];

const LATENCY_MS_MIN = 20;
const LATENCY_MS_MAX = 600;
const TROUBLE_MAX = 0.3;
/** What was under way in a reset connection arrives within this time, or never. */
const GRACE_MS_MAX = 3;

/** One machine alone, or two halves, or two that do not hear each other; clients stay with somebody. */
export const partition: Fault = (context) => {
  const { cluster, random } = context;
  const { brokers } = cluster;
  const dice = random.next();
  const broker = pickVictim(context, () => true);
  if (broker === undefined) return false;
  let side = [broker];
  let others = brokers.filter((candidate) => candidate !== broker);
  if (dice < 0.3) others = [others[random.integer(0, others.length)] ?? broker];
  else if (dice < 0.6 && brokers.length > 3) {
    side = [broker, ...others.splice(random.integer(0, others.length), 1)];
  }
  const clients = random.next() < 0.4 ? clientHosts(context) : [];
  const hosts = [...others.map(({ host }) => host), ...clients];
  cut(context, side, both(side, hosts));
  return true;
};

/** Its followers must replace it, its clients must leave it. */
export const isolatedLeader: Fault = (context) => {
  const { cluster, random } = context;
  const { groups } = cluster;
  const group = groups[random.integer(0, groups.length)];
  const leader = group === undefined ? undefined : cluster.leaderOf(group);
  if (leader === undefined) return false;
  const others = cluster.brokers.filter((candidate) => candidate !== leader);
  cut(
    context,
    [leader],
    both(
      [leader],
      others.map(({ host }) => host),
    ),
  );
  return true;
};

/**
 * A leader and one follower, of five replicas: what it goes on to send them is in two logs, beside those of the leader that
 * the others elect, until they hear of each other again.
 */
export const leadingMinority: Fault = (context) => {
  const { cluster, random } = context;
  const groups = cluster.groupsOf((topic) => replicasOf(topic) === 5);
  const group = groups[random.integer(0, groups.length)];
  const leader = group === undefined ? undefined : cluster.leaderOf(group);
  if (leader === undefined) return false;
  const others = cluster.brokers.filter((candidate) => candidate !== leader);
  const [follower] = others.splice(random.integer(0, others.length), 1);
  if (follower === undefined) return false;
  const side = [leader, follower];
  cut(
    context,
    side,
    both(
      side,
      others.map(({ host }) => host),
    ),
  );
  return true;
};

/** Deaf or dumb, towards everybody or towards one. */
export const oneWayCut: Fault = (context) => {
  const { cluster, random } = context;
  const broker = pickVictim(context, () => true);
  if (broker === undefined) return false;
  const isDeaf = random.next() < 0.5;
  const others = cluster.brokers.filter((candidate) => candidate !== broker);
  const peers = random.next() < 0.5 ? others : others.slice(0, 1);
  const links = peers.map(({ host }): Link => {
    return isDeaf ? [host.name, broker.host.name] : [broker.host.name, host.name];
  });
  cut(context, [broker], links);
  return true;
};

/** Two halves that do not hear each other, and one node that hears and is heard by both. */
export const bridge: Fault = (context) => {
  const { cluster } = context;
  const middle = pickVictim(context, () => true);
  if (middle === undefined) return false;
  const others = cluster.brokers.filter((candidate) => candidate !== middle);
  const half = Math.ceil(others.length / 2);
  const right = others.slice(half).map(({ host }) => host);
  cut(context, [middle], both(others.slice(0, half), right));
  return true;
};

/** Connections break, and a part of what was under way still arrives. */
export const reset: Fault = (context) => {
  const { cluster, random } = context;
  const pair = pickPair(context);
  if (pair === undefined) return false;
  const pipes = cluster.network.between(pair.broker.host, pair.other);
  if (pipes.length === 0) return false;
  context.begin([pair.broker]);
  context.bit();
  for (const pipe of pipes) pipe.break("connection reset", random.next() * GRACE_MS_MAX);
  return true;
};

/** One side believes that a connection stands which the other has forgotten, until it notices itself. */
export const halfOpen: Fault = (context) => {
  const { cluster, random } = context;
  const pair = pickPair(context);
  if (pair === undefined) return false;
  const pipes = cluster.network.between(pair.broker.host, pair.other);
  if (pipes.length === 0) return false;
  context.begin([pair.broker]);
  context.bit();
  for (const pipe of pipes) pipe.breakHalf(random.next() < 0.5);
  return true;
};

/** Some streams carry nothing in one direction, while others between the same machines do. */
export const stall: Fault = (context) => {
  const { cluster, random } = context;
  const pair = pickPair(context);
  if (pair === undefined) return false;
  const clogged = cluster.network
    .between(pair.broker.host, pair.other)
    .filter(() => random.next() < 0.5)
    .map((pipe) => pipe.clog(random.next() < 0.5));
  if (clogged.length === 0) return false;
  context.begin([pair.broker]);
  context.lasting(() => {
    if (clogged.some(({ held }) => held() > 0)) context.bit();
    for (const { end } of clogged) end();
  });
  return true;
};

export const latency: Fault = (context) => {
  const { cluster, random } = context;
  const { network } = cluster;
  const calm = network.timing;
  if (calm.latencyMsMax >= LATENCY_MS_MIN * 2) return false;
  const before = network.messagesDelivered;
  context.begin([]);
  network.timing = { ...calm, latencyMsMax: random.integer(LATENCY_MS_MIN * 2, LATENCY_MS_MAX) };
  context.lasting(() => {
    network.timing = calm;
    if (network.messagesDelivered > before) context.bit();
  });
  return true;
};

/** A full queue drops; raft sends again. */
export const messageLoss: Fault = (context) => trouble(context, "loss");
/** Not what one stream does; what raft promises to bear. */
export const duplication: Fault = (context) => trouble(context, "duplication");
export const reordering: Fault = (context) => trouble(context, "reordering");

function trouble(context: FaultContext, name: "loss" | "duplication" | "reordering"): boolean {
  const { network } = context.cluster;
  if (network.troubles[name] > 0) return false;
  const before = network.troubled[name];
  context.begin([]);
  network.troubles = { ...network.troubles, [name]: context.random.next() * TROUBLE_MAX };
  context.lasting(() => {
    network.troubles = { ...network.troubles, [name]: 0 };
    if (network.troubled[name] > before) context.bit();
  });
  return true;
}

function cut(context: FaultContext, brokers: readonly SimBroker[], links: readonly Link[]): void {
  const { network } = context.cluster;
  context.begin(brokers);
  const { end, held } = network.cut(links);
  context.lasting(() => {
    if (held() > 0) context.bit();
    end();
  });
}

function both(side: readonly SimBroker[], others: readonly SimHost[]): Link[] {
  return side.flatMap(({ host }) =>
    others.flatMap((other): Link[] => [
      [host.name, other.name],
      [other.name, host.name],
    ]),
  );
}

function clientHosts({ cluster }: FaultContext): SimHost[] {
  return [cluster.clientHost, cluster.sdkHost];
}

/** A broker and another machine: two times in three a broker, else one of the clients'. */
function pickPair(
  context: FaultContext,
): { readonly broker: SimBroker; readonly other: SimHost } | undefined {
  const { random } = context;
  const broker = pickVictim(context, isRunning);
  if (broker === undefined) return undefined;
  const other =
    random.next() < 2 / 3
      ? pickBroker(context, (candidate) => candidate !== broker)?.host
      : clientHosts(context)[random.integer(0, 2)];
  return other === undefined ? undefined : { broker, other };
}
