import { describe, expect, test } from "vitest";
import {
  caughtUp,
  inSyncNodes,
  isUnderReplicated,
  recoveringMembers,
  unfitMembers,
} from "../../src/broker/led-groups.ts";
import { type NodeId, type ReplicaId, replicaIdOf } from "../../src/model/ids.ts";
import type { RaftStatus, ReplicaProgress } from "../../src/raft/raft.ts";

const id = (nodeId: number): ReplicaId => replicaIdOf(nodeId as NodeId, 7);

function peer(nodeId: number, fields: Partial<ReplicaProgress>): ReplicaProgress {
  return {
    replicaId: id(nodeId),
    state: "replicate",
    matchIndex: 40,
    durableIndex: 40,
    nextIndex: 41,
    isRecentlyActive: true,
    isLearner: false,
    recovering: false,
    damaged: false,
    ...fields,
  };
}

function status(lastIndex: number, progress: readonly ReplicaProgress[]): RaftStatus {
  const voters = [id(1), ...progress.filter((one) => !one.isLearner).map((one) => one.replicaId)];
  const learners = progress.filter((one) => one.isLearner).map((one) => one.replicaId);
  return {
    role: "leader",
    term: 3,
    leaderId: id(1),
    isLeaderReady: true,
    commitIndex: lastIndex,
    durableCommitIndex: lastIndex,
    appliedIndex: lastIndex,
    lastIndex,
    writtenIndex: lastIndex,
    flushedIndex: lastIndex,
    membership: { voters, learners },
    recovering: false,
    isBlocked: false,
    isInstalling: false,
    recoveringPeers: [],
    progress,
    transferringTo: 0,
  };
}

test("under-replicated: fewer in sync than vote, or than the topic wants", () => {
  const alone = status(40, []);
  expect(isUnderReplicated(id(1), alone, 1)).toBe(false);
  expect(isUnderReplicated(id(1), alone, 3)).toBe(true);
  const pair = status(40, [peer(2, {})]);
  expect(isUnderReplicated(id(1), pair, 2)).toBe(false);
  expect(isUnderReplicated(id(1), status(40, [peer(2, { isRecentlyActive: false })]), 1)).toBe(
    true,
  );
  // The metadata group has no topic.
  expect(isUnderReplicated(id(1), pair, 0)).toBe(false);
});

describe("caught up", () => {
  test("a learner that has just joined and never spoke is not, however short the log is", () => {
    // It counts as active from the moment it joins; promoted unheard, it could take the group's majority away.
    const joined = peer(4, { isLearner: true, matchIndex: 0, state: "probe" });
    expect(caughtUp(id(1), status(40, [peer(2, {}), joined]))).toEqual([id(1), id(2)]);
    const spoke = peer(4, { isLearner: true, matchIndex: 1 });
    expect(caughtUp(id(1), status(40, [peer(2, {}), spoke]))).toContain(id(4));
  });

  test("who is silent or far behind is not", () => {
    const silent = peer(2, { isRecentlyActive: false });
    const behind = peer(3, { matchIndex: 40 });
    expect(caughtUp(id(1), status(2000, [silent, behind]))).toEqual([id(1)]);
  });

  test("in sync are voters only, by node", () => {
    const peers = [peer(3, {}), peer(2, {}), peer(4, { isLearner: true })];
    expect(inSyncNodes(id(1), status(40, peers))).toEqual([1, 2, 3]);
  });
});

test("recovering members: the replica itself and what it heard of others, strangers left out", () => {
  const known = { ...status(40, [peer(2, {}), peer(3, {})]), recoveringPeers: [id(3), id(9)] };
  expect(recoveringMembers(id(1), known)).toEqual([id(3)]);
  expect(recoveringMembers(id(1), { ...known, recovering: true })).toEqual([id(1), id(3)]);
});

test("unfit to lead: whoever may have forgotten, or can not read all of its entries", () => {
  const peers = [peer(2, { damaged: true }), peer(3, {}), peer(4, {})];
  const known = { ...status(40, peers), recoveringPeers: [id(4)] };
  expect(unfitMembers(id(1), known)).toEqual([id(2), id(4)]);
});
