// What an operator orders while other things go wrong: replicas move, nodes join, leave, or stay after all. Through the
// same calls of the Admin service as the command line's, each of which may be refused, or be carried out unheard.
import { isBrokerError } from "../../../src/model/errors.ts";
import { METADATA_GROUP, type NodeId } from "../../../src/model/ids.ts";
import { adminService } from "../../../src/rpc/methods.ts";
import type { Method } from "../../../src/rpc/ports.ts";
import { replicasOf } from "../plan/seed-plan.ts";
import type { SimBroker } from "../sim-broker.ts";
import { type Fault, type FaultContext, pickVictim } from "./fault.ts";

const ORDER_DEADLINE_MS = 6000;
const JOIN_LIMIT_MS = 20_000;
const VOTERS_LIMIT_MS = 10_000;

interface Move {
  readonly topic: string;
  readonly partition: number;
  readonly fromNode: NodeId;
  readonly toNode: NodeId;
}

export const move: Fault = (context) => {
  const wish = drawMove(context);
  if (wish === undefined) return false;
  context.begin(nodesOf(context, wish));
  order(context, [], async () => {
    const { changed } = await call(context, adminService.moveReplica, wish);
    if (changed) context.bit();
  });
  return true;
};

/** Turned round somewhere on its way, or too late. */
export const cancelledMove: Fault = (context) => {
  const wish = drawMove(context);
  if (wish === undefined) return false;
  context.begin(nodesOf(context, wish));
  order(context, [], async () => {
    await call(context, adminService.moveReplica, wish);
  });
  context.lasting(() => {
    order(context, [], async () => {
      const { partition, topic } = wish;
      const { changed } = await call(context, adminService.cancelMove, { topic, partition });
      if (changed) context.bit();
    });
  });
  return true;
};

export const rebalance: Fault = (context) => {
  context.begin([]);
  order(context, [], async () => {
    const { begun } = await call(context, adminService.rebalance, { execute: true });
    if (begun > 0) context.bit();
  });
  return true;
};

/** One or all of the empty machines join. */
export const grow: Fault = (context) => {
  const { cluster, random } = context;
  const spare = cluster.machines.filter((broker) => !cluster.brokers.includes(broker));
  const joining = random.next() < 0.5 ? spare.slice(0, 1) : spare;
  if (joining.length === 0) return false;
  context.begin(joining);
  for (const broker of joining) cluster.admit(broker);
  context.when(
    () => joining.some(({ isServing }) => isServing),
    JOIN_LIMIT_MS,
    () => context.bit(),
  );
  return true;
};

/** A node, up or down, is to leave for good: its replicas go elsewhere, then it ends. */
export const shrink: Fault = (context) => {
  const broker = pickLeaving(context);
  if (broker === undefined) return false;
  context.begin([broker]);
  decommission(context, broker, () => context.bit());
  return true;
};

export const cancelledShrink: Fault = (context) => {
  const broker = pickLeaving(context);
  if (broker === undefined) return false;
  context.begin([broker]);
  decommission(context, broker, () => undefined);
  context.lasting(() => {
    order(context, [broker], async () => {
      const { nodeId } = broker;
      const { changed } = await call(context, adminService.cancelDecommission, { nodeId });
      if (changed) context.bit();
    });
  });
  return true;
};

/** Bites when another number of nodes votes than before: the order may ask for what is so already. */
export const metadataVoters: Fault = (context) => {
  const before = metadataVotersOf(context);
  context.begin([]);
  order(context, [], async () => {
    const count = context.random.next() < 0.5 ? 3 : 5;
    await call(context, adminService.setMetadataVoters, { count });
    const isOther = (): boolean => {
      const voters = metadataVotersOf(context);
      return voters !== undefined && voters !== before;
    };
    if (before === undefined || before === count) return;
    context.when(isOther, VOTERS_LIMIT_MS, () => context.bit());
  });
  return true;
};

/** In force; undefined while nobody leads the metadata. */
function metadataVotersOf({ cluster }: FaultContext): number | undefined {
  const leader = cluster.leaderOf(METADATA_GROUP)?.node?.replicas.get(METADATA_GROUP);
  return leader?.status().membership.voters.length;
}

function decommission(context: FaultContext, broker: SimBroker, done: () => void): void {
  const { nodeId } = broker;
  broker.mayLeave = true;
  order(context, [broker], async () => {
    const wish = { nodeId, replacementNode: 0, onlyIfFenced: false };
    const { changed } = await call(context, adminService.decommissionNode, wish);
    if (changed) done();
  });
}

function pickLeaving(context: FaultContext): SimBroker | undefined {
  const { brokers, plan } = context.cluster;
  // There would be too few for the replicas afterwards.
  if (brokers.length <= Math.max(...plan.topics.map(replicasOf))) return undefined;
  return pickVictim(context, () => true);
}

/** Any partition of a topic that stays, from one that holds it to one that does not. */
function drawMove({ cluster, random }: FaultContext): Move | undefined {
  const image = cluster.metadata;
  const groups = cluster.groups.filter((group) => group !== METADATA_GROUP);
  const group = groups[random.integer(0, groups.length)];
  const row = group === undefined ? undefined : image?.partitions.get(group);
  const topic = row === undefined ? undefined : image?.topics.get(row.topicId);
  if (row === undefined || topic === undefined) return undefined;
  const holders = row.replicas.map(({ nodeId }) => nodeId);
  const others = [...(image?.nodes.keys() ?? [])].filter((nodeId) => !holders.includes(nodeId));
  const fromNode = holders[random.integer(0, holders.length)];
  const toNode = others[random.integer(0, others.length)];
  if (fromNode === undefined || toNode === undefined) return undefined;
  return { topic: topic.name, partition: row.partition, fromNode, toNode };
}

function nodesOf({ cluster }: FaultContext, { fromNode, toNode }: Move): SimBroker[] {
  return [cluster.broker(fromNode), cluster.broker(toNode)];
}

/** Refused is as good as done; what became of an order nobody heard the end of is seen in the metadata. */
function order(
  { cluster }: FaultContext,
  about: readonly SimBroker[],
  give: () => Promise<void>,
): void {
  for (const broker of about) broker.orders += 1;
  cluster.run(cluster.clientHost, "order", async () => {
    try {
      await give();
    } catch (error) {
      if (!isBrokerError(error)) throw error;
    } finally {
      for (const broker of about) broker.orders -= 1;
    }
  });
}

function call<Request, Response>(
  { operator }: FaultContext,
  method: Method<Request, Response, "unary">,
  request: Request,
): Promise<Response> {
  return operator.call("admin", method, request, { deadlineMs: ORDER_DEADLINE_MS });
}
