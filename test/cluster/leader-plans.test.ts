import { describe, expect, test } from "vitest";
import {
  type LedGroup,
  type NodeFitness,
  planLeaderTransfers,
} from "../../src/cluster/leader-balance-plan.ts";
import { LeaderCache } from "../../src/cluster/leader-cache.ts";
import { Liveness, SESSION_MS } from "../../src/cluster/liveness.ts";
import { isGroupDeleted } from "../../src/cluster/metadata-image.ts";
import type { NodeRow } from "../../src/cluster/node-table.ts";
import type { NodeStatusReport } from "../../src/cluster/ports.ts";
import type { GroupId } from "../../src/model/ids.ts";
import { creation, endpointsOf, node, OneReplicaGroup, topicId } from "./support.ts";

function group(id: number): GroupId {
  return id as GroupId;
}

function led(id: number, fields: Partial<LedGroup> = {}): LedGroup {
  const replicas = [node(2), node(1), node(3)];
  return { groupId: group(id), replicas, inSync: replicas, ...fields };
}

const FIT: NodeFitness = {
  isAlive: true,
  isFenced: false,
  isDraining: false,
  isClockTrusted: true,
  aliveForMs: 5000,
};
const OPTIONS = { self: node(1), isSelfClockTrusted: true, aliveForMsMin: 5000, transfersMax: 2 };

describe("leader balance plan", () => {
  test("rate: at most transfersMax per round, lowest groups first", () => {
    const plan = planLeaderTransfers([led(3), led(1), led(2)], () => FIT, OPTIONS);
    expect(plan).toEqual([
      { groupId: 1, to: 2 },
      { groupId: 2, to: 2 },
    ]);
  });

  test("clock: a node whose time is wrong hands over what it leads, also to a replica that is not preferred", () => {
    const own = led(1, { replicas: [node(1), node(3), node(2)], inSync: [node(1), node(2)] });
    const options = { ...OPTIONS, isSelfClockTrusted: false };
    expect(planLeaderTransfers([own], () => FIT, options)).toEqual([{ groupId: 1, to: 2 }]);
    const alone = led(2, { replicas: [node(1)], inSync: [node(1)] });
    expect(planLeaderTransfers([alone], () => FIT, options)).toEqual([]);
  });

  test.each([
    ["dead", { isAlive: false }],
    ["fenced", { isFenced: true }],
    ["draining", { isDraining: true }],
    ["of another time", { isClockTrusted: false }],
    ["back for too short a time", { aliveForMs: 4999 }],
  ])("fitness: nothing moves to a node that is %s", (_, fields) => {
    expect(planLeaderTransfers([led(1)], () => ({ ...FIT, ...fields }), OPTIONS)).toEqual([]);
  });

  test("in sync: nothing moves to a replica that lags, nor away from the preferred one", () => {
    const lagging = led(1, { inSync: [node(1), node(3)] });
    const own = led(2, { replicas: [node(1), node(2)] });
    expect(planLeaderTransfers([lagging, own], () => FIT, OPTIONS)).toEqual([]);
    expect(planLeaderTransfers([led(1)], () => undefined, OPTIONS)).toEqual([]);
  });
});

function status(id: number, groups: Readonly<Record<number, number>>): NodeStatusReport {
  return {
    nodeId: id,
    incarnation: 1,
    ledGroups: Object.keys(groups).map(Number),
    ledTerms: Object.values(groups),
    draining: false,
    wallClockMs: 0,
    recoveringGroups: [],
    blockedGroups: [],
  };
}

describe("leader cache", () => {
  test("terms: an older claim never replaces a newer one", () => {
    const cache = new LeaderCache(node(1));
    cache.observeStatus(status(2, { 7: 5 }));
    cache.observeStatus(status(3, { 7: 4 }));
    expect(cache.get(group(7))).toMatchObject({ nodeId: 2, term: 5, isReady: true });
    cache.observeLocal(group(7), 0, 6, false);
    expect(cache.hasReadyLeader(group(7))).toBe(false);
    cache.observeStatus(status(3, { 7: 6 }));
    expect(cache.get(group(7))).toMatchObject({ nodeId: 3, term: 6, isReady: true });
  });

  test("withdrawal: a node that claims a group no more leads it no more", () => {
    const cache = new LeaderCache(node(1));
    cache.observeStatus(status(2, { 7: 5, 8: 1 }));
    cache.observeStatus(status(2, { 8: 1 }));
    expect(cache.get(group(7))).toMatchObject({ nodeId: 0, term: 5 });
    expect(cache.hasReadyLeader(group(8))).toBe(true);
  });

  test("readiness: a follower's view does not hide that the leader said it is ready", () => {
    const cache = new LeaderCache(node(1));
    cache.observeLocal(group(7), node(2), 5, false);
    expect(cache.get(group(7))).toMatchObject({ nodeId: 2, isReady: false });
    cache.observeStatus(status(2, { 7: 5 }));
    cache.observeLocal(group(7), node(2), 5, false);
    cache.observeLocal(group(7), 0, 5, false);
    expect(cache.hasReadyLeader(group(7))).toBe(true);
  });

  test("deleted groups: what is said of them afterwards does not bring them back", async () => {
    const metadata = new OneReplicaGroup();
    await metadata.registerNodes(3);
    const cache = new LeaderCache(node(1), (groupId) =>
      isGroupDeleted(metadata.view.image, groupId),
    );
    const said = { 0: 3, 1: 5, 2: 5, 3: 5 };
    // A peer may know of a new topic before this node does.
    cache.observeStatus(status(2, said));
    await metadata.controller.propose(creation("orders", 2));
    await metadata.controller.propose({ type: "delete-topic", topicId: topicId("id-of-orders") });
    await metadata.controller.propose(creation("other"));
    cache.forgetDeleted([group(1), group(3)]);
    expect(cache.get(group(1))).toBeUndefined();
    cache.forgetDeleted();
    const known = [0, 1, 2, 3, 4].filter((id) => cache.get(group(id)) !== undefined);
    expect(known).toEqual([0, 3]);
    cache.observeStatus(status(2, { ...said, 1: 6, 4: 1 }));
    cache.observeLocal(group(2), node(1), 7, true);
    expect([0, 1, 2, 3, 4].filter((id) => cache.hasReadyLeader(group(id)))).toEqual([0, 3, 4]);
  });

  test("own leadership: gained and lost within a term", () => {
    const cache = new LeaderCache(node(1));
    let calls = 0;
    cache.onChange(() => {
      calls += 1;
    });
    cache.observeLocal(group(7), node(1), 5, true);
    cache.observeLocal(group(7), node(1), 5, true);
    expect(calls).toBe(1);
    cache.observeLocal(group(7), 0, 5, false);
    expect(cache.hasReadyLeader(group(7))).toBe(false);
    expect(calls).toBe(2);
  });
});

function row(id: number, fields: Partial<NodeRow> = {}): NodeRow {
  return {
    nodeId: node(id),
    directoryId: `directory-${id}`,
    incarnation: 1,
    endpoints: endpointsOf(id),
    features: { min: 1, max: 1 },
    fenced: false,
    registeredIndex: id,
    metadataRevision: 0,
    retiredDirectories: [],
    ...fields,
  };
}

describe("liveness", () => {
  const hello = { nodeId: 2, incarnation: 1, draining: false };

  test("session: a silent node is fenced, a node that speaks again unfenced, itself never", () => {
    const liveness = new Liveness(node(1), 0);
    liveness.heard(hello, 1000);
    expect(liveness.fencingPlan([row(1), row(2)], SESSION_MS + 999).fence).toEqual([]);
    const later = liveness.fencingPlan([row(1), row(2)], SESSION_MS + 1000);
    expect(later.fence.map((entry) => entry.nodeId)).toEqual([2]);
    liveness.heard(hello, 20_000);
    const fenced = row(2, { fenced: true });
    expect(liveness.fencingPlan([fenced], 20_500).unfence).toEqual([fenced]);
    const restarted = row(2, { fenced: true, incarnation: 2 });
    expect(liveness.fencingPlan([restarted], 20_500).unfence).toEqual([]);
  });

  test("grace: a new metadata leader gives everybody a whole session", () => {
    const liveness = new Liveness(node(1), 0);
    liveness.startGrace(100_000);
    expect(liveness.fencingPlan([row(2)], 100_000 + SESSION_MS - 1).fence).toEqual([]);
    expect(liveness.fencingPlan([row(2)], 100_000 + SESSION_MS).fence).toHaveLength(1);
  });

  test("registration: a node that came back gets a whole session for its first status", () => {
    const liveness = new Liveness(node(1), 0);
    liveness.heard(hello, 1000);
    expect(liveness.fencingPlan([row(2)], 20_000).fence).toHaveLength(1);
    expect(liveness.fencingPlan([row(2), row(4)], 20_100).fence).toHaveLength(1);
    const back = row(2, { incarnation: 2, registeredIndex: 9 });
    expect(liveness.fencingPlan([back], 20_500).fence).toEqual([]);
    expect(liveness.fencingPlan([back], 20_499 + SESSION_MS).fence).toEqual([]);
    expect(liveness.fencingPlan([back], 20_500 + SESSION_MS).fence).toHaveLength(1);
  });

  test("uptime: counts from the first word after a gap or a restart", () => {
    const liveness = new Liveness(node(1), 0);
    liveness.heard(hello, 0);
    liveness.heard(hello, 1000);
    expect(liveness.aliveForMs(node(2), 1500)).toBe(1500);
    liveness.heard({ ...hello, incarnation: 2, draining: true }, 2000);
    liveness.heard(hello, 2100);
    expect(liveness.aliveForMs(node(2), 3000)).toBe(1000);
    expect(liveness.isDraining(node(2))).toBe(true);
    expect(liveness.aliveForMs(node(2), 2000 + SESSION_MS)).toBe(0);
    expect(liveness.silentForMs(node(3), 1)).toBeUndefined();
  });
});
