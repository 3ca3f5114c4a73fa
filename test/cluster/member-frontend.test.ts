import { describe, expect, test } from "vitest";
import { MemberFrontend } from "../../src/cluster/member-frontend.ts";
import { creation, node, OneReplicaGroup, reasonOf, registration } from "./support.ts";

async function setUp() {
  const group = new OneReplicaGroup();
  await group.registerNodes(3);
  await group.controller.propose(creation("orders", 6, 2));
  for (const nodeId of [4, 5]) {
    await group.controller.propose(registration(nodeId, { founder: false }));
  }
  return { frontend: new MemberFrontend(group.controller, group.view), group };
}

describe("rebalance", () => {
  test("a partition that begins to move meanwhile is left out, the others are begun and told", async () => {
    const { frontend, group } = await setUp();
    const { moves } = await frontend.rebalance(false);
    expect(moves.length).toBeGreaterThan(1);
    const taken = moves[0];
    const row = group.view.image.partitionsOf("id-of-orders" as never)[taken?.partition ?? 0];
    const other = row?.replicas.find((place) => place.nodeId !== taken?.fromNode);
    if (taken === undefined || row === undefined || other === undefined) throw new Error("no plan");
    const to = node(taken.toNode === 4 ? 5 : 4);
    const { groupId } = row;
    // It is in the log before what is planned, and not applied when the plan is made.
    const meanwhile = group.controller.propose({
      type: "move-replica",
      groupId,
      from: other.nodeId,
      to,
    });
    expect(await frontend.rebalance(true)).toMatchObject({ moves, begun: moves.length - 1 });
    expect(await meanwhile).toEqual({ changed: true });
    const moving = [...group.view.image.partitions.values()].filter((one) => one.change);
    expect(moving).toHaveLength(moves.length);
  });

  test("a lost leadership ends it: what was begun is not known then", async () => {
    const { frontend, group } = await setUp();
    const begun = reasonOf(() => frontend.rebalance(true));
    group.isLeaderReady = false;
    expect(await begun).toBe("LEADERSHIP_LOST");
  });
});
