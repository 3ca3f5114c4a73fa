// Three brokers become five, and five become three, under load: the first and the last fault of an act with five.

import type { FaultKind, Injury } from "../faults/fault.ts";
import { noMoves } from "../faults/member-faults.ts";
import { waitUntil } from "../waiting.ts";
import { type Arena, brokerIds, describeAll } from "./arena.ts";
import { addBroker } from "./arena-opening.ts";
import type { FaultRecord } from "./result.ts";
import { runFault } from "./rounds.ts";

const NEWCOMERS: readonly number[] = [4, 5];
const CALL = { timeoutMs: 15_000 };
const LEAVE_TIMEOUT_MS = 90_000;

const GROWTH: Omit<FaultKind, "name" | "inflict"> = {
  effect: "blip",
  reach: "minority",
  losesLeader: false,
  holdMs: 0,
  choose: async () => NEWCOMERS,
};

export function grow(arena: Arena): Promise<FaultRecord> {
  return runFault(arena, { ...GROWTH, name: "growth to five", inflict: growNow }, 5);
}

/** The nodes that came leave again, with their replicas. */
export function shrink(arena: Arena): Promise<FaultRecord> {
  const kind: FaultKind = { ...GROWTH, name: "shrinking to three", inflict: shrinkNow };
  return runFault(arena, { ...kind, effect: "restart" }, 5);
}

async function growNow({ arena }: { readonly arena: Arena }): Promise<Injury> {
  const { members } = arena.admin;
  const done = (async () => {
    for (const id of NEWCOMERS) await addBroker(arena, id);
    await members.setMetadataVoters(5, CALL);
    await members.rebalance(true, CALL);
    await noMoves(arena);
  })();
  return {
    done,
    proof: async () => {
      const views = await describeAll(arena);
      const count = views.filter(({ replicas }) => replicas.some((id) => NEWCOMERS.includes(id)));
      return count.length > 0 ? `${count.length} partitions have replicas on new nodes` : undefined;
    },
    heal: async () => undefined,
  };
}

async function shrinkNow({ arena }: { readonly arena: Arena }): Promise<Injury> {
  const { admin, cluster } = arena;
  const done = (async () => {
    for (const id of NEWCOMERS) {
      await admin.members.decommissionNode({ nodeId: id }, CALL);
      const hasEnded = (): boolean => !cluster.isRunning(id);
      await waitUntil(`node ${id} leaves and ends`, LEAVE_TIMEOUT_MS, hasEnded);
      await cluster.forgetNode(id);
    }
  })();
  return {
    done,
    proof: () => (brokerIds(arena).length === 3 ? "both nodes left and ended" : undefined),
    heal: async () => undefined,
  };
}
