// When `unsafe-recover` says that a partition can help itself: by live voters that count, as the vote rule counts them.
import { expect, test } from "vitest";
import { UnsafeRecovery } from "../../src/broker/unsafe-recovery.ts";
import { Liveness } from "../../src/cluster/liveness.ts";
import { replicaOfPlacement } from "../../src/cluster/topic-table.ts";
import type { ReplicaId } from "../../src/model/ids.ts";
import type { Membership } from "../../src/raft/messages.ts";
import {
  creation,
  FakeController,
  group,
  node,
  OneReplicaGroup,
  registration,
} from "../cluster/support.ts";

const GROUP = group(1);

interface Setup {
  readonly metadata: OneReplicaGroup;
  readonly liveness: Liveness;
  /** Whether nothing may be forced, by what the first replica of the partition knows. It has no leader. */
  readonly answers: (isBlocked?: boolean) => boolean;
}

/** A partition of three replicas; only node 1 is heard of. */
async function setUp(
  memberOf: (voters: readonly ReplicaId[]) => Membership = membersOnly,
): Promise<Setup> {
  const metadata = new OneReplicaGroup();
  await metadata.registerNodes(3);
  await metadata.controller.propose(creation("orders", 1, 3));
  const voters = metadata.view.image.partitions.get(GROUP)?.replicas.map(replicaOfPlacement) ?? [];
  const liveness = new Liveness(node(1), 0);
  const recovery = new UnsafeRecovery({
    nodeId: node(1),
    liveness,
    view: metadata.view,
    controller: new FakeController(() => ({})),
    nowMs: () => 0,
  });
  const answers = (isBlocked = false): boolean =>
    recovery.inspect(leaderless(memberOf(voters), isBlocked)).quorumAnswers;
  return { metadata, liveness, answers };
}

function membersOnly(voters: readonly ReplicaId[]): Membership {
  return { voters, learners: [] };
}

function leaderless(
  membership: Membership,
  isBlocked: boolean,
): Parameters<UnsafeRecovery["inspect"]>[0] {
  const positions = { commitIndex: 4, durableCommitIndex: 4, appliedIndex: 4, lastIndex: 5 };
  return {
    groupId: GROUP,
    replicaId: membership.voters[0] ?? (0 as ReplicaId),
    leaderNode: 0,
    endOffset: 5,
    highWatermark: 4,
    logStartOffset: 0,
    termAt: () => 2,
    status: () => ({
      role: "follower",
      term: 2,
      leaderId: 0,
      isLeaderReady: false,
      ...positions,
      writtenIndex: 5,
      flushedIndex: 5,
      membership,
      recovering: false,
      isBlocked,
      isInstalling: false,
      recoveringPeers: [],
      progress: [],
      transferringTo: 0,
      logBytes: 100,
      failed: undefined,
    }),
  };
}

function hear(liveness: Liveness, nodeId: number, recoveringGroups: readonly number[] = []): void {
  liveness.heard({ nodeId, incarnation: 1, draining: false, recoveringGroups }, 0);
}

test("two live voters of three can elect, one can not", async () => {
  const { answers, liveness } = await setUp();
  expect(answers()).toBe(false);
  hear(liveness, 2);
  expect(answers()).toBe(true);
});

test("a live voter that may have forgotten counts only when all are there", async () => {
  const { answers, liveness } = await setUp();
  hear(liveness, 2, [GROUP]);
  expect(answers()).toBe(false);
  hear(liveness, 3);
  expect(answers()).toBe(true);
});

test("live voters that can not apply what they hold elect nobody, if there is no other", async () => {
  const { answers, liveness } = await setUp();
  hear(liveness, 2);
  expect(answers(true)).toBe(true);
  const blockedGroups = [GROUP];
  liveness.heard({ nodeId: 2, incarnation: 1, draining: false, blockedGroups }, 0);
  expect(answers(true)).toBe(false);
  expect(answers(false)).toBe(true);
});

test("a voter whose directory was replaced is gone, although its node is alive", async () => {
  const { answers, liveness, metadata } = await setUp();
  hear(liveness, 2);
  const { controller } = metadata;
  await controller.propose({ type: "fence-node", nodeId: node(2), incarnation: 1 });
  await controller.propose(registration(2, { directoryId: "another", founder: false }));
  expect(answers()).toBe(false);
});

test("live voters of the new half elect nobody while the former half has lost its majority", async () => {
  // Node 3's disk was replaced; that the joint configuration was left, only node 2 may know.
  let wanted: readonly ReplicaId[] = [];
  const { answers, liveness, metadata } = await setUp((outgoing) => {
    return { voters: wanted, learners: [], outgoing };
  });
  const { controller, view } = metadata;
  const replaceDisk = async (nodeId: number): Promise<void> => {
    const directoryId = `another of ${nodeId}`;
    await controller.propose({ type: "fence-node", nodeId: node(nodeId), incarnation: 1 });
    await controller.propose(registration(nodeId, { directoryId, founder: false }));
    await controller.propose({ type: "replace-replicas", nodeId: node(nodeId), directoryId });
  };
  await replaceDisk(3);
  wanted = view.image.partitions.get(GROUP)?.replicas.map(replicaOfPlacement) ?? [];
  hear(liveness, 2);
  hear(liveness, 3);
  expect(answers()).toBe(true);
  await replaceDisk(2);
  expect(answers()).toBe(false);
});
