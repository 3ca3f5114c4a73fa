import { describe, expect, test } from "vitest";
import { seededRandom } from "../../src/base/random.ts";
import type { MetadataCommand } from "../../src/cluster/metadata-commands.ts";
import { MetadataView } from "../../src/cluster/metadata-image.ts";
import type { MetadataReply } from "../../src/cluster/metadata-reply.ts";
import { MetadataState } from "../../src/cluster/metadata-state.ts";
import { planContinuations, planRemovals } from "../../src/cluster/removal-plan.ts";
import {
  type PartitionRow,
  placementsOf,
  replicaOfPlacement,
} from "../../src/cluster/topic-table.ts";
import { creation, group, id, node, registration, topicId } from "./support.ts";

class Subject {
  readonly view = new MetadataView();
  readonly state = new MetadataState(this.view);
  index = 0;
  apply(command: MetadataCommand): MetadataReply {
    this.index += 1;
    return this.state.applyCommand(command, this.index).reply;
  }
  row(groupId = 1): PartitionRow {
    const row = this.view.image.partitions.get(group(groupId));
    if (row === undefined) throw new Error("no such partition");
    return row;
  }
  nodes(groupId = 1): readonly number[] {
    return this.row(groupId).replicas.map((place) => place.nodeId);
  }
  /** As the leader of each group does once it has followed. */
  finishAll(): void {
    for (const { change, groupId } of [...this.view.image.partitions.values()]) {
      if (change !== undefined)
        this.apply({ type: "finish-move", groupId, changeIndex: change.index });
    }
  }
}

/** Nodes 1 … count in service, topic "orders" with its replicas on the first ones. */
function withTopic(count: number, partitions = 1, replicas = 3): Subject {
  const subject = new Subject();
  for (let nodeId = 1; nodeId <= 3; nodeId += 1) subject.apply(registration(nodeId));
  subject.apply(creation("orders", partitions, replicas));
  for (let nodeId = 4; nodeId <= count; nodeId += 1) {
    subject.apply(registration(nodeId, { founder: false }));
  }
  return subject;
}

const move = (from: number, to: number, groupId = 1): MetadataCommand => ({
  type: "move-replica",
  groupId: group(groupId),
  from: node(from),
  to: node(to),
});
const cancelMove = { type: "cancel-move", groupId: group(1) } as const;
const decommission = (nodeId: number, fields: object = {}): MetadataCommand => ({
  type: "decommission-node",
  nodeId: node(nodeId),
  successor: 0,
  mustBeFenced: false,
  ...fields,
});
const cancel = (nodeId: number): MetadataCommand => ({
  type: "cancel-decommission",
  nodeId: node(nodeId),
});
const fence = (nodeId: number): MetadataCommand => ({
  type: "fence-node",
  nodeId: node(nodeId),
  incarnation: 1,
});

describe("move of a replica", () => {
  test("begins, keeps the old replica until it is finished, keeps its place in the order", () => {
    const subject = withTopic(4);
    const before = subject.nodes();
    expect(subject.apply(move(before[0] ?? 0, 4)).ok).toEqual({ changed: true });
    expect(subject.nodes()).toEqual([4, before[1], before[2]]);
    expect(subject.row().replicas[0]).toMatchObject({ directoryId: "directory-4", revision: 6 });
    expect(subject.row().change?.leaving.map((place) => place.nodeId)).toEqual([before[0]]);
    const wrong = { type: "finish-move", groupId: group(1), changeIndex: 5 } as const;
    expect(subject.apply(wrong).ok).toEqual({ changed: false });
    expect(placementsOf(subject.row())).toHaveLength(4);
    subject.finishAll();
    expect(subject.row()).not.toHaveProperty("change");
    expect(placementsOf(subject.row())).toHaveLength(3);
  });

  test("repeated proposal: the second one changes nothing", () => {
    const subject = withTopic(4);
    subject.apply(move(1, 4));
    expect(subject.apply(move(1, 4)).ok).toEqual({ changed: false });
  });

  test.each([
    ["from a node without replica", move(4, 5), "INVALID_REQUEST", "fromNode"],
    ["to a node with one", move(1, 2), "INVALID_REQUEST", "toNode"],
    ["to an unknown node", move(1, 9), "INVALID_REQUEST", "toNode"],
    ["of an unknown partition", move(1, 4, 7), "UNKNOWN_TOPIC_OR_PARTITION", undefined],
  ])("refused: %s", (_, command, reason, field) => {
    const subject = withTopic(5);
    const { error } = subject.apply(command);
    expect(error?.reason).toBe(reason);
    expect(error?.fields["field"]).toBe(field);
    expect(subject.row().change).toBeUndefined();
  });

  test("refused: to a node that is out of service, and a second move of the same partition", () => {
    const subject = withTopic(5);
    subject.apply(fence(5));
    expect(subject.apply(move(1, 5)).error?.fields["field"]).toBe("toNode");
    subject.apply(move(1, 4));
    const { error } = subject.apply(move(2, 1));
    expect(error?.reason).toBe("CHANGE_IN_PROGRESS");
    expect(error?.fields).toEqual({ topic: "orders", partition: 0 });
  });

  test("cancelled: the former placement is wanted again, with the very same replicas, and once only", () => {
    const subject = withTopic(4);
    const { replicas } = subject.row();
    subject.apply(move(1, 4));
    expect(subject.apply(cancelMove).ok).toEqual({ changed: true });
    expect(subject.row().replicas).toEqual(replicas);
    expect(subject.row().change?.leaving.map((place) => place.nodeId)).toEqual([4]);
    expect(subject.apply(cancelMove).ok).toEqual({ changed: false });
    expect(subject.row().replicas).toEqual(replicas);
    subject.finishAll();
    expect(placementsOf(subject.row())).toEqual(replicas);
  });

  test("the target dies on the way: the move gets another aim, nothing that may be a member is forgotten", () => {
    const subject = withTopic(5);
    const { replicas } = subject.row();
    subject.apply(move(1, 4));
    subject.apply(fence(4));
    expect(subject.apply(move(4, 5)).ok).toEqual({ changed: true });
    expect(subject.nodes()).toContain(5);
    expect(
      subject
        .row()
        .change?.leaving.map((place) => place.nodeId)
        .sort(),
    ).toEqual([1, 4]);
    expect(subject.row().change?.previous).toEqual(replicas);
    subject.apply(cancelMove);
    expect(subject.row().replicas).toEqual(replicas);
    expect(
      subject
        .row()
        .change?.leaving.map((place) => place.nodeId)
        .sort(),
    ).toEqual([4, 5]);
  });

  test("an emptied disk on the way: its placements are renewed wherever they stand", () => {
    const subject = withTopic(4);
    subject.apply(move(1, 4));
    subject.apply(fence(1));
    subject.apply(registration(1, { directoryId: "new", founder: false }));
    subject.apply({ type: "replace-replicas", nodeId: node(1), directoryId: "new" });
    const { change } = subject.row();
    for (const list of [change?.leaving, change?.previous]) {
      const place = list?.find((one) => one.nodeId === 1);
      expect(place).toMatchObject({ directoryId: "new", revision: subject.index });
    }
  });
});

describe("decommissioning", () => {
  test("all replicas of the node go elsewhere, it gets no new ones, and it is unregistered when it is empty", () => {
    const subject = withTopic(4, 6);
    expect(subject.apply(decommission(2)).ok).toEqual({ changed: true, partitions: 6 });
    for (let groupId = 1; groupId <= 6; groupId += 1) {
      expect([...subject.nodes(groupId)].sort()).toEqual([1, 3, 4]);
      expect(subject.row(groupId).change?.cause).toBe(2);
    }
    subject.apply(creation("later", 3, 3));
    expect(subject.nodes(7)).not.toContain(2);
    const voters = [id(1, 0), id(3, 0), id(4, 4)];
    expect(planRemovals(subject.view.image, voters)).toEqual([]);
    subject.finishAll();
    expect(planRemovals(subject.view.image, [...voters, id(2, 0)])).toEqual([]);
    const [removal] = planRemovals(subject.view.image, voters);
    expect(removal).toMatchObject({ nodeId: 2 });
    if (removal !== undefined) subject.apply(removal);
    expect(subject.view.image.nodes.has(node(2))).toBe(false);
    const back = subject.apply(registration(2, { incarnation: 9 }));
    expect(back.error?.fields["cause"]).toBe("retired-directory");
  });

  test("the id of a removed node can be used by another directory, as a new member", () => {
    const subject = withTopic(4);
    subject.apply(decommission(2));
    subject.finishAll();
    for (const removal of planRemovals(subject.view.image, [])) subject.apply(removal);
    const reply = subject.apply(registration(2, { directoryId: "new", founder: true }));
    expect(reply.ok?.["metadataRevision"]).toBe(subject.index);
    expect(subject.view.image.removedNodes.size).toBe(0);
    const old = subject.apply(registration(2, { incarnation: 9 }));
    expect(old.error?.fields["cause"]).toBe("retired-directory");
  });

  test("unregistering: not before it is empty, not after it was cancelled", () => {
    const subject = withTopic(4);
    subject.apply(decommission(2));
    const early = { type: "unregister-node", nodeId: node(2), decommissionIndex: 6 } as const;
    expect(subject.apply(early).ok).toEqual({ changed: false });
    subject.apply(cancel(2));
    subject.finishAll();
    expect(subject.apply(early).ok).toEqual({ changed: false });
    expect(subject.view.image.nodes.has(node(2))).toBe(true);
  });

  test("restart and new directory on the way: it still leaves", () => {
    const subject = withTopic(4);
    subject.apply(decommission(2));
    subject.apply(registration(2, { incarnation: 2 }));
    expect(subject.view.image.nodes.get(node(2))?.decommission).toBeDefined();
    subject.apply({ type: "fence-node", nodeId: node(2), incarnation: 2 });
    subject.apply(registration(2, { directoryId: "new" }));
    expect(subject.view.image.nodes.get(node(2))?.decommission).toBeDefined();
  });

  test("cancel: moves under way are turned round, finished ones stay, the node gets replicas again", () => {
    const subject = withTopic(4, 2);
    const { replicas } = subject.row(2);
    subject.apply(decommission(2));
    const { change } = subject.row(1);
    subject.apply({ type: "finish-move", groupId: group(1), changeIndex: change?.index ?? 0 });
    expect(subject.apply(cancel(2)).ok).toEqual({ changed: true, partitions: 1 });
    expect(subject.nodes(1)).not.toContain(2);
    expect(subject.row(2).replicas).toEqual(replicas);
    expect(subject.apply(cancel(2)).ok).toEqual({ changed: false, partitions: 0 });
    subject.finishAll();
    expect(planRemovals(subject.view.image, [])).toEqual([]);
    expect(subject.apply(move(4, 2)).ok).toEqual({ changed: true });
  });

  test("a single move of a leaving node is not turned round by itself", () => {
    const subject = withTopic(4);
    subject.apply(decommission(2));
    const { error } = subject.apply(cancelMove);
    expect(error?.reason).toBe("INVALID_REQUEST");
    expect(error?.fields).toEqual({ field: "nodeId", nodeId: 2 });
  });

  test("refused when too few nodes would be left, with both numbers", () => {
    const subject = withTopic(3);
    const { error } = subject.apply(decommission(2));
    expect(error?.reason).toBe("NOT_ENOUGH_NODES");
    expect(error?.fields).toEqual({ field: "nodeId", nodesAvailable: 2, nodesNeeded: 3 });
    expect(subject.view.image.nodes.get(node(2))?.decommission).toBeUndefined();
    const fenced = withTopic(4);
    fenced.apply(fence(4));
    expect(fenced.apply(decommission(2)).error?.reason).toBe("NOT_ENOUGH_NODES");
    const alone = new Subject();
    alone.apply(registration(1));
    expect(alone.apply(decommission(1)).error?.fields["nodesNeeded"]).toBe(1);
  });

  test("refused: unknown nodes, a partition that is moving, a successor that cannot", () => {
    const subject = withTopic(5, 2);
    expect(subject.apply(decommission(9)).error?.fields).toEqual({ field: "nodeId", nodeId: 9 });
    const bad = subject.apply(decommission(2, { successor: node(2) }));
    expect(bad.error?.fields["field"]).toBe("replacementNode");
    subject.apply(move(1, 4));
    expect(subject.apply(decommission(2)).error?.reason).toBe("CHANGE_IN_PROGRESS");
  });

  test("dead node for good: only when it is fenced, all to its successor", () => {
    const subject = withTopic(5, 4);
    const replace = decommission(2, { successor: node(5), mustBeFenced: true });
    expect(subject.apply(replace).error?.fields).toEqual({ field: "nodeId", nodeId: 2 });
    subject.apply(fence(2));
    expect(subject.apply(replace).ok).toEqual({ changed: true, partitions: 4 });
    expect(subject.apply(replace).ok).toEqual({ changed: false, partitions: 4 });
    for (let groupId = 1; groupId <= 4; groupId += 1) {
      expect([...subject.nodes(groupId)].sort()).toEqual([1, 3, 5]);
    }
  });

  test("dead target of a decommissioning: its replacement does not wait for what can not end", () => {
    const subject = withTopic(5);
    subject.apply(decommission(2));
    const target = subject.nodes().find((nodeId) => nodeId > 3) ?? 0;
    subject.apply(fence(target));
    const reply = subject.apply(decommission(target, { mustBeFenced: true }));
    expect(reply.ok).toEqual({ changed: true, partitions: 1 });
    expect([...subject.nodes()].sort()).toEqual([1, 3, target === 4 ? 5 : 4]);
  });
});

describe("forced recovery", () => {
  const recover = (nodeId: number, revision: number): MetadataCommand => ({
    type: "recover-group",
    groupId: group(1),
    nodeId: node(nodeId),
    replicaId: id(nodeId, revision),
  });

  test("the survivor gets a new id, the others are given up, fresh replicas stand beside it", () => {
    const subject = withTopic(4);
    subject.apply(fence(2));
    subject.apply(fence(3));
    expect(subject.apply(recover(1, 4)).ok).toEqual({ changed: true, replicas: 2, index: 8 });
    const { index } = subject;
    expect(subject.nodes()).toEqual([1, 4]);
    expect(subject.row().replicas.map((place) => place.revision)).toEqual([index, index]);
    expect(placementsOf(subject.row())).toHaveLength(2);
    expect(subject.apply(recover(1, 4)).ok).toEqual({ changed: false });
    expect(subject.apply(cancelMove).ok).toEqual({ changed: false });
    subject.finishAll();
    // It has fewer than its topic wants: one more can be added, but not two.
    subject.apply({ type: "unfence-node", nodeId: node(2), incarnation: 1 });
    expect(
      subject.apply({ type: "move-replica", groupId: group(1), from: 0, to: node(2) }).ok,
    ).toEqual({
      changed: true,
    });
    expect(subject.nodes()).toEqual([1, 4, 2]);
    subject.finishAll();
    subject.apply({ type: "unfence-node", nodeId: node(3), incarnation: 1 });
    const more = subject.apply({ type: "move-replica", groupId: group(1), from: 0, to: node(3) });
    expect(more.error?.fields["field"]).toBe("fromNode");
  });

  test("a survivor whose node is about to leave: what it holds is moved on as soon as it has been settled", () => {
    const subject = withTopic(5);
    subject.apply(decommission(1));
    subject.apply(fence(2));
    subject.apply(fence(3));
    subject.apply(recover(1, 4));
    expect(planContinuations(subject.view.image)).toEqual([]);
    const survivors = subject.nodes();
    expect(survivors).toContain(1);
    subject.finishAll();
    expect(planRemovals(subject.view.image, [])).toEqual([]);
    // 4 and 5 hold replicas already: somebody else must come back first.
    expect(planContinuations(subject.view.image)).toEqual([]);
    subject.apply({ type: "unfence-node", nodeId: node(2), incarnation: 1 });
    const [goOn] = planContinuations(subject.view.image);
    if (goOn === undefined) throw new Error("nothing to continue");
    expect(subject.apply({ ...goOn, decommissionIndex: 1 }).ok).toEqual({ changed: false });
    expect(subject.apply(goOn).ok).toEqual({ changed: true, partitions: 1 });
    expect([...subject.nodes()].sort()).toEqual([2, 4, 5]);
    expect(subject.row().change?.cause).toBe(1);
    expect(planContinuations(subject.view.image)).toEqual([]);
    subject.finishAll();
    expect(planRemovals(subject.view.image, [])).toMatchObject([{ nodeId: 1 }]);
  });

  test("a decommissioning that is cancelled after it was continued: the survivor stays", () => {
    const subject = withTopic(5);
    subject.apply(decommission(1));
    subject.apply(fence(2));
    subject.apply(recover(1, 4));
    subject.finishAll();
    const before = subject.nodes();
    subject.apply({ type: "unfence-node", nodeId: node(2), incarnation: 1 });
    for (const goOn of planContinuations(subject.view.image)) subject.apply(goOn);
    expect(subject.apply(cancel(1)).ok).toEqual({ changed: true, partitions: 1 });
    expect(subject.nodes()).toEqual(before);
  });

  test("refused: a node that does not hold the replica, or holds it on another disk", () => {
    const subject = withTopic(4);
    expect(subject.apply(recover(4, 4)).error?.fields["field"]).toBe("nodeId");
    expect(subject.apply(recover(1, 9)).error?.fields["field"]).toBe("nodeId");
    subject.apply(fence(1));
    subject.apply(registration(1, { directoryId: "new" }));
    expect(subject.apply(recover(1, 4)).error?.fields["field"]).toBe("nodeId");
  });
});

describe("voters of the metadata group", () => {
  test("five need five nodes in service", () => {
    const subject = withTopic(5);
    subject.apply(fence(5));
    const five = { type: "set-metadata-voters", count: 5 } as const;
    expect(subject.apply(five).error?.fields).toEqual({
      field: "count",
      nodesAvailable: 4,
      nodesNeeded: 5,
    });
    subject.apply({ type: "unfence-node", nodeId: node(5), incarnation: 1 });
    expect(subject.apply(five).ok).toEqual({ count: 5 });
    expect(subject.view.image.metadataVoters).toBe(5);
  });
});

describe("random changes", () => {
  test("replicas stay distinct and complete, and whatever may be a member keeps its place (random logs)", () => {
    const seed = Number(process.env["SEED"] ?? 311);
    console.info(`seed=${seed}`);
    const random = seededRandom(seed);
    const subject = withTopic(6, 8);
    const any = (): MetadataCommand => {
      const a = random.integer(1, 7);
      const b = random.integer(1, 7);
      const groupId = group(random.integer(1, 9));
      const changeIndex = subject.view.image.partitions.get(groupId)?.change?.index ?? 1;
      const decommissionIndex = subject.view.image.nodes.get(node(a))?.decommission?.index ?? 1;
      switch (random.integer(0, 9)) {
        case 0:
          return move(a, b, groupId);
        case 1:
          return { type: "cancel-move", groupId };
        case 2:
        case 3:
          return { type: "finish-move", groupId, changeIndex };
        case 4:
          return decommission(a, { successor: random.next() < 0.5 ? 0 : node(b) });
        case 5:
          return cancel(a);
        case 6:
          if (random.next() < 0.3) {
            return { type: "continue-decommission", nodeId: node(a), decommissionIndex };
          }
          return { type: "unregister-node", nodeId: node(a), decommissionIndex };
        case 7:
          return random.next() < 0.5 ? fence(a) : registration(a, { directoryId: `again-${b}` });
        default:
          return { type: "replace-replicas", nodeId: node(a), directoryId: `again-${b}` };
      }
    };
    const changed = new Set<string>();
    for (let step = 0; step < 1500; step += 1) {
      const before = new Map(subject.view.image.partitions);
      const command = any();
      const reply = subject.apply(command);
      if (reply.ok?.["changed"] === true) changed.add(command.type);
      for (const row of subject.view.image.partitions.values()) {
        const places = placementsOf(row);
        expect(row.replicas).toHaveLength(3);
        expect(new Set(places.map((place) => place.nodeId)).size).toBe(places.length);
        for (const place of row.change?.previous ?? []) expect(places).toContainEqual(place);
        // Only two things end a placement: the group's own report, and the loss of the directory.
        if (command.type === "finish-move" || command.type === "replace-replicas") continue;
        const ids = new Set(places.map(replicaOfPlacement));
        const was = before.get(row.groupId);
        for (const place of was === undefined ? [] : placementsOf(was)) {
          expect(ids.has(replicaOfPlacement(place))).toBe(true);
        }
      }
    }
    expect([...changed].sort()).toEqual([
      "cancel-decommission",
      "cancel-move",
      "decommission-node",
      "fence-node",
      "finish-move",
      "move-replica",
      "unregister-node",
    ]);
    const restored = new Subject();
    restored.state.restore([...subject.state.pairs()]);
    expect([...restored.state.pairs()]).toHaveLength([...subject.state.pairs()].length);
    expect(restored.view.image.removedNodes).toEqual(subject.view.image.removedNodes);
    expect(restored.view.image.topicByName("orders")?.topicId).toBe(topicId("id-of-orders"));
  });
});
