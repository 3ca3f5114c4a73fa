// The metadata went on from a survivor that lacks the newest entries. What those gave to somebody must not be given again.
import { describe, expect, test } from "vitest";
import type { MetadataCommand, OpenProducer } from "../../src/cluster/metadata-commands.ts";
import { MetadataView } from "../../src/cluster/metadata-image.ts";
import type { MetadataReply } from "../../src/cluster/metadata-reply.ts";
import { MetadataState } from "../../src/cluster/metadata-state.ts";
import { PRODUCER_EPOCH_MAX } from "../../src/cluster/producer-table.ts";
import { recoveredRevision } from "../../src/cluster/revisions.ts";
import { replicaOfPlacement } from "../../src/cluster/topic-table.ts";
import { revisionOfReplica } from "../../src/model/ids.ts";
import { creation, definition, group, id, node, registration, subscription } from "./support.ts";

class Survivor {
  readonly view = new MetadataView();
  readonly state = new MetadataState(this.view);
  index = 0;
  apply(command: MetadataCommand): MetadataReply {
    this.index += 1;
    return this.state.applyCommand(command, this.index).reply;
  }
  /** Three nodes, topic "orders" (entry 4), subscription "billing" (5), producer "meter" (6), two blocks of ids (7, 8). */
  static withHistory(): Survivor {
    const survivor = new Survivor();
    for (let nodeId = 1; nodeId <= 3; nodeId += 1) survivor.apply(registration(nodeId));
    survivor.apply(creation("orders", 2, 3));
    survivor.apply(subscription("billing"));
    survivor.apply(open());
    survivor.apply(block);
    survivor.apply(block);
    return survivor;
  }
  /** As `unsafe-recover metadata` does: the former replica was the founder on node 1. */
  recover(): number {
    const revision = recoveredRevision(this.index, id(1, 0));
    this.apply({ type: "recover-metadata", nodeId: node(1), revision });
    return revision;
  }
  /** Another node that got all rows as an image. */
  copied(): Survivor {
    const copy = new Survivor();
    copy.state.restore(this.state.pairs());
    copy.index = this.index;
    return copy;
  }
}

const block = { type: "allocate-producer-ids", nodeId: node(1), count: 1000 } as const;

function open(fields: Partial<OpenProducer> = {}): OpenProducer {
  return { type: "open-producer", name: "meter", ...fields };
}

describe("metadata that went on from one survivor", () => {
  test("no former metadata replica of any node is wanted again; a node learns it when it registers", () => {
    const survivor = Survivor.withHistory();
    const revision = survivor.recover();
    for (const row of survivor.view.image.nodes.values()) {
      expect(row.metadataRevision).toBe(revision);
    }
    const reply = survivor.apply(registration(2, { incarnation: 2 }));
    expect(reply.ok?.["metadataRevision"]).toBe(revision);
  });

  test("producer ids and groups: far above what the lost entries can have given", () => {
    const survivor = Survivor.withHistory();
    const before = Number(survivor.apply(block).ok?.["first"]);
    survivor.recover();
    const after = Number(survivor.apply(block).ok?.["first"]);
    expect(after).toBeGreaterThan(before + 1e9);
    expect(after % 2).toBe(0);
    survivor.apply(creation("other"));
    const { firstGroupId = 0 } = survivor.view.image.topicByName("other") ?? {};
    expect(firstGroupId).toBeGreaterThan(2 + 1e6);
  });

  test("revisions: whatever is numbered by its entry goes on from the recovery's, also after an image", () => {
    const survivor = Survivor.withHistory();
    const revision = survivor.recover();
    const copy = survivor.copied();
    for (const one of [survivor, copy]) {
      expect(one.view.image.version).toBe(revision);
      one.apply(registration(1, { incarnation: 2 }));
      one.apply(creation("other"));
      one.apply({ type: "move-replica", groupId: group(1), from: node(1), to: node(4) });
      one.apply(registration(4, { founder: false }));
      one.apply({ type: "move-replica", groupId: group(1), from: node(1), to: node(4) });
      const row = one.view.image.subscriptionByName("billing");
      one.apply({
        type: "alter-subscription",
        subscriptionId: row?.subscriptionId ?? "",
        version: 5,
        definition: definition("billing", { ackDeadlineMs: 1000 }),
      });
      const { image } = one.view;
      expect(image.nodes.get(node(1))?.registeredIndex).toBe(revision + 1);
      const { createdIndex, topicId } = image.topicByName("other") ?? {};
      expect(createdIndex).toBe(revision + 2);
      const [partition] = topicId === undefined ? [] : image.partitionsOf(topicId);
      expect(partition?.founders.map(revisionOfReplica)).toEqual([revision + 2]);
      expect(image.nodes.get(node(4))?.metadataRevision).toBe(revision + 4);
      const moved = image.partitions.get(group(1));
      expect(moved?.change?.index).toBe(revision + 5);
      expect(moved?.replicas.map(replicaOfPlacement)).toContain(id(4, revision + 5));
      expect(image.subscriptionByName("billing")?.version).toBe(revision + 6);
      expect(image.version).toBe(revision + 6);
    }
    expect([...copy.state.pairs()]).toEqual([...survivor.state.pairs()]);
  });

  test("a second recovery goes further still, one that was interrupted no further than it began", () => {
    const survivor = Survivor.withHistory();
    const first = survivor.recover();
    // Power was lost while it was written: the command stands in the log, what belongs to it does not.
    const again = survivor.recover();
    expect(again).toBe(first + 1);
    survivor.apply(block);
    const second = recoveredRevision(survivor.index, id(1, again));
    survivor.apply({ type: "recover-metadata", nodeId: node(1), revision: second });
    expect(second).toBeGreaterThan(again + 1e9);
    expect(survivor.view.image.version).toBe(second);
    expect(survivor.view.image.skips.map(({ to }) => to)).toEqual([first, second]);
  });

  test("refused: a revision that was given already", () => {
    const survivor = Survivor.withHistory();
    const { version } = survivor.view.image;
    const command = { type: "recover-metadata", nodeId: node(1), revision: version } as const;
    expect(survivor.apply(command).error?.fields["field"]).toBe("revision");
    expect(survivor.view.image.version).toBe(version);
  });

  test("a named producer: its next session shuts out those of the lost entries; the present one can be continued", () => {
    const survivor = Survivor.withHistory();
    const before = survivor.apply(open()).ok;
    survivor.recover();
    const [producerId, epoch] = [Number(before?.["producerId"]), Number(before?.["epoch"])];
    const previous = { producerId, epoch };
    const after = survivor.copied().apply(open({ previous })).ok;
    expect(after?.["producerId"]).toBe(producerId);
    expect(after?.["epoch"]).toBeGreaterThan(epoch + 1000);
    survivor.apply(open({ previous }));
    expect(survivor.apply(open()).ok?.["epoch"]).toBe(Number(after?.["epoch"]) + 1);
  });

  test("a named producer with no epochs left for that gets new ids", () => {
    const survivor = Survivor.withHistory();
    for (let round = 0; round * 1000 < PRODUCER_EPOCH_MAX; round += 1) {
      const before = Number(survivor.apply(open()).ok?.["producerId"]);
      survivor.recover();
      const after = survivor.apply(open()).ok;
      if (after?.["producerId"] === before) continue;
      expect(after?.["producerId"]).toBeGreaterThan(before + 1e9);
      expect(after?.["epoch"]).toBe(0);
      return;
    }
    expect.unreachable("epochs end");
  });
});

describe("revision of a recovery", () => {
  test.each([
    ["of a founder", 100, id(2, 0), 1_000_000_101],
    ["of a node that joined later", 100, id(2, 60), 1_000_000_161],
    ["after an earlier recovery", 105, id(2, 1_000_000_101), 2_000_000_207],
  ])(
    "%s: above all that its log and the lost entries can have given",
    (_, lastIndex, former, revision) => {
      expect(recoveredRevision(lastIndex, former)).toBe(revision);
    },
  );
});
