import { describe, expect, test } from "vitest";
import { type Random, seededRandom } from "../../src/base/random.ts";
import {
  encodeMetadataCommand,
  type MetadataCommand,
  type OpenProducer,
} from "../../src/cluster/metadata-commands.ts";
import { MetadataView } from "../../src/cluster/metadata-image.ts";
import type { MetadataReply } from "../../src/cluster/metadata-reply.ts";
import { MetadataState } from "../../src/cluster/metadata-state.ts";
import { nextSession, PRODUCER_EPOCH_MAX } from "../../src/cluster/producer-table.ts";
import { StorageError } from "../../src/log/ports.ts";
import { encodeFrame, SECTION } from "../../src/model/entry-frame.ts";
import { nodeOfReplica, revisionOfReplica } from "../../src/model/ids.ts";
import {
  creation,
  definition,
  node,
  reasonOf,
  registration,
  subscription,
  topicId,
} from "./support.ts";

class Subject {
  readonly view = new MetadataView();
  readonly state = new MetadataState(this.view);
  readonly store = new Map<string, string>();
  index = 0;
  apply(command: MetadataCommand, index = this.index + 1): MetadataReply {
    this.index = index;
    const { reply, writes } = this.state.applyCommand(command, index);
    for (const write of writes) {
      if (write.type === "put") this.store.set(write.key, Buffer.from(write.value).toString());
      else this.store.delete(write.key);
    }
    return reply;
  }
  pairs(): Record<string, string> {
    const pairs: Record<string, string> = {};
    for (const [key, value] of this.state.pairs()) pairs[key] = Buffer.from(value).toString();
    return pairs;
  }
}

function withNodes(count: number): Subject {
  const subject = new Subject();
  for (let id = 1; id <= count; id += 1) subject.apply(registration(id));
  return subject;
}

function opening(name: string, random: Random): OpenProducer {
  const token = random.next() < 0.5 ? `t${random.integer(0, 3)}` : undefined;
  const previous = { producerId: 2 * random.integer(1, 6), epoch: random.integer(0, 3) };
  return { type: "open-producer", name, token, ...(random.next() < 0.3 ? { previous } : {}) };
}

/** A command that is often acceptable and sometimes not. */
function anyCommand(random: Random): MetadataCommand {
  const id = random.integer(1, 6);
  const name = `topic-${random.integer(0, 8)}`;
  const drawn = topicId(`id-${random.integer(0, 12)}`);
  switch (random.integer(0, 12)) {
    case 9:
      return { ...subscription(name), subscriptionId: drawn };
    case 10:
      return {
        type: "alter-subscription",
        subscriptionId: drawn,
        version: random.integer(0, 3) * 10,
        definition: definition(name, { ackDeadlineMs: random.integer(1000, 1003) }),
      };
    case 11:
      return { type: "delete-subscription", subscriptionId: drawn };
    case 0:
      return registration(id, {
        incarnation: random.integer(1, 4),
        directoryId: `directory-${id}-${random.integer(0, 3)}`,
        founder: random.next() < 0.5,
      });
    case 1:
      return { type: "fence-node", nodeId: node(id), incarnation: random.integer(1, 4) };
    case 2:
      return { type: "unfence-node", nodeId: node(id), incarnation: random.integer(1, 4) };
    case 3:
    case 4:
      return {
        ...creation(name, random.integer(1, 9), random.integer(1, 4)),
        topicId: drawn,
      };
    case 5:
      return { type: "alter-topic", topicId: drawn, settings: { flush: name, other: "" } };
    case 6:
      return { type: "delete-topic", topicId: drawn };
    case 7:
      return random.next() < 0.5
        ? opening(name, random)
        : { type: "allocate-producer-ids", nodeId: node(id), count: 10 };
    default:
      return random.next() < 0.8
        ? {
            type: "replace-replicas",
            nodeId: node(id),
            directoryId: `directory-${id}-${random.integer(0, 3)}`,
          }
        : { type: "raise-feature-level", level: 1 };
  }
}

describe("metadata state", () => {
  test("snapshot: state at every index, restored, goes on to the same state (random logs)", () => {
    const seed = Number(process.env["SEED"] ?? 20_240);
    console.info(`seed=${seed}`);
    const random = seededRandom(seed);
    const commands = Array.from({ length: 300 }, () => anyCommand(random));
    const whole = new Subject();
    const replies: MetadataReply[] = [];
    const images: (readonly (readonly [string, Uint8Array])[])[] = [];
    for (const command of commands) {
      images.push([...whole.state.pairs()]);
      replies.push(whole.apply(command));
      expect(Object.fromEntries(whole.store)).toEqual(whole.pairs());
    }
    for (let cut = 0; cut < commands.length; cut += 7) {
      const restored = new Subject();
      restored.state.restore(images[cut] ?? []);
      restored.index = cut;
      const rest = commands.slice(cut).map((command) => restored.apply(command));
      expect(rest).toEqual(replies.slice(cut));
      expect(restored.pairs()).toEqual(whole.pairs());
      expect(restored.view.image.topicNames).toEqual(whole.view.image.topicNames);
      expect(restored.view.image.subscriptions.rows).toEqual(whole.view.image.subscriptions.rows);
    }
  });

  test("invariants: group ids are unique, replicas carry the creating index (random logs)", () => {
    const random = seededRandom(77);
    const subject = new Subject();
    const groups = new Map<number, string>();
    for (let step = 0; step < 600; step += 1) {
      subject.apply(anyCommand(random));
      for (const row of subject.view.image.partitions.values()) {
        const owner = groups.get(row.groupId);
        expect(owner ?? row.topicId).toBe(row.topicId);
        groups.set(row.groupId, row.topicId);
        expect(new Set(row.replicas.map((replica) => replica.nodeId)).size).toBe(
          row.replicas.length,
        );
        const topic = subject.view.image.topics.get(row.topicId);
        for (const founder of row.founders) {
          expect(revisionOfReplica(founder)).toBe(topic?.createdIndex);
          expect(row.replicas.some((r) => r.nodeId === nodeOfReplica(founder))).toBe(true);
        }
      }
    }
    expect(groups.size).toBeGreaterThan(30);
  });

  test("create: partitions get groups, slots and spread replicas (three nodes)", () => {
    const subject = withNodes(3);
    expect(subject.apply(creation("orders", 6, 3))).toEqual({ ok: { topicId: "id-of-orders" } });
    const topic = subject.view.image.topicByName("orders");
    expect(topic?.layout.epoch).toBe(1);
    expect(
      topic?.layout.slots
        .flat()
        .map((range) => range.to - range.from)
        .reduce((a, b) => a + b),
    ).toBe(4096);
    const rows = subject.view.image.partitionsOf(topicId("id-of-orders"));
    expect(rows.map((row) => row.groupId)).toEqual([1, 2, 3, 4, 5, 6]);
    expect(rows.map((row) => row.replicas[0]?.nodeId).sort()).toEqual([1, 1, 2, 2, 3, 3]);
    expect(rows[0]?.replicas[0]?.directoryId).toBe(`directory-${rows[0]?.replicas[0]?.nodeId}`);
  });

  test("create: repeated proposals and taken names (same id succeeds, another id is refused)", () => {
    const subject = withNodes(1);
    subject.apply(creation("orders"));
    expect(subject.apply(creation("orders")).ok).toEqual({ topicId: "id-of-orders" });
    const other = subject.apply({ ...creation("orders"), topicId: topicId("other") });
    expect(other.error?.reason).toBe("TOPIC_EXISTS");
  });

  test("create: too few nodes in service (fenced ones do not count)", () => {
    const subject = withNodes(3);
    subject.apply({ type: "fence-node", nodeId: node(3), incarnation: 1 });
    const reply = subject.apply(creation("orders", 1, 3));
    expect(reply.error?.reason).toBe("INVALID_REPLICATION_FACTOR");
    expect(reply.error?.fields).toEqual({ nodesAvailable: 2, replicationFactor: 3 });
    subject.apply(creation("orders", 4, 2));
    for (const row of subject.view.image.partitions.values()) {
      expect(row.replicas.map((replica) => replica.nodeId).sort()).toEqual([1, 2]);
    }
  });

  test("delete: a topic created again under the same name is another one (new id, new groups)", () => {
    const subject = withNodes(1);
    subject.apply(creation("orders", 2));
    subject.apply({ type: "delete-topic", topicId: topicId("id-of-orders") });
    expect(subject.view.image.topicByName("orders")).toBeUndefined();
    expect(subject.apply(creation("orders", 2)).error?.reason).toBe("INVALID_REQUEST");
    subject.apply({ ...creation("orders", 2), topicId: topicId("second") });
    expect([...subject.view.image.partitions.keys()]).toEqual([3, 4]);
    expect(subject.view.image.deletedTopics.get(topicId("id-of-orders"))).toMatchObject({
      firstGroupId: 1,
      partitions: 2,
    });
    const again = subject.apply({ type: "delete-topic", topicId: topicId("id-of-orders") });
    expect(again.ok).toBeDefined();
    expect(subject.view.image.topicByName("orders")?.topicId).toBe("second");
  });

  test("alter: values merge, an empty one restores the default", () => {
    const subject = withNodes(1);
    subject.apply({ ...creation("orders"), settings: { flush: "async", a: "1" } });
    const id = topicId("id-of-orders");
    subject.apply({ type: "alter-topic", topicId: id, settings: { flush: "", b: "2" } });
    expect(subject.view.image.topics.get(id)?.settings).toEqual({ a: "1", b: "2" });
    const reply = subject.apply({ type: "alter-topic", topicId: topicId("none"), settings: {} });
    expect(reply.error?.reason).toBe("UNKNOWN_TOPIC_OR_PARTITION");
  });

  test("producers: names keep their ids and get a higher epoch (blocks never overlap)", () => {
    const subject = withNodes(1);
    const block = subject.apply({ type: "allocate-producer-ids", nodeId: node(1), count: 10 });
    expect(block.ok).toEqual({ first: 2, count: 10 });
    const first = subject.apply({ type: "open-producer", name: "billing" });
    expect(first.ok).toEqual({ producerId: 12, weakProducerId: 13, epoch: 0 });
    const second = subject.apply({ type: "open-producer", name: "billing" });
    expect(second.ok).toEqual({ producerId: 12, weakProducerId: 13, epoch: 1 });
    const next = subject.apply({ type: "allocate-producer-ids", nodeId: node(1), count: 1 });
    // A pair has one id for acks=all, which is even, and a weak one: an odd block would turn that around for ever.
    expect(next.ok).toEqual({ first: 14, count: 2 });
    const after = subject.apply({ type: "open-producer", name: "shipping" });
    expect(after.ok).toEqual({ producerId: 16, weakProducerId: 17, epoch: 0 });
  });

  test("producers: who had a session gets the next one only while nobody else has opened the name", () => {
    const subject = withNodes(1);
    const open = { type: "open-producer", name: "billing" } as const;
    subject.apply(open);
    const own = subject.apply({ ...open, previous: { producerId: 2, epoch: 0 } });
    expect(own.ok).toEqual({ producerId: 2, weakProducerId: 3, epoch: 1 });
    const successor = subject.apply(open);
    expect(successor.ok).toMatchObject({ epoch: 2 });
    const before = subject.pairs();
    const zombie = subject.apply({ ...open, previous: { producerId: 2, epoch: 1 } });
    expect(zombie.error).toMatchObject({ reason: "PRODUCER_FENCED", fields: { producerEpoch: 2 } });
    const others = [
      { ...open, previous: { producerId: 4, epoch: 2 } },
      { ...open, previous: { producerId: 2, epoch: 3 } },
      { ...open, name: "nobody", previous: { producerId: 2, epoch: 2 } },
    ];
    for (const command of others) {
      expect(subject.apply(command).error?.reason, command.name).toBe("PRODUCER_FENCED");
    }
    expect(subject.pairs()).toEqual(before);
    const third = subject.apply({ ...open, previous: { producerId: 2, epoch: 2 } });
    expect(third.ok).toMatchObject({ epoch: 3 });
  });

  test("producers: the same token again gives the same session (first opening, later one, after a restore)", () => {
    const subject = withNodes(1);
    const open = { type: "open-producer", name: "billing" } as const;
    const first = subject.apply({ ...open, token: "a" });
    const before = subject.pairs();
    expect(subject.apply({ ...open, token: "a" })).toEqual(first);
    expect(subject.pairs()).toEqual(before);
    const previous = { producerId: 2, epoch: 0 };
    const second = subject.apply({ ...open, token: "b", previous });
    expect(second.ok).toMatchObject({ epoch: 1 });
    const restored = new Subject();
    restored.state.restore([...subject.state.pairs()]);
    restored.index = subject.index;
    for (const one of [subject, restored]) {
      expect(one.apply({ ...open, token: "b", previous })).toEqual(second);
      expect(one.apply({ ...open, token: "c" }).ok).toMatchObject({ epoch: 2 });
      const late = one.apply({ ...open, token: "b", previous });
      expect(late.error?.reason).toBe("PRODUCER_FENCED");
    }
  });

  test("producers: an opening without a token is never a repetition, and ends the former token", () => {
    const subject = withNodes(1);
    const open = { type: "open-producer", name: "billing" } as const;
    subject.apply({ ...open, token: "a" });
    expect(subject.apply(open).ok).toMatchObject({ epoch: 1 });
    expect(subject.apply(open).ok).toMatchObject({ epoch: 2 });
    expect(subject.apply({ ...open, token: "a" }).ok).toMatchObject({ epoch: 3 });
  });

  test("producers: a used-up epoch range leads to new ids", () => {
    const known = { name: "n", producerId: 5, weakProducerId: 6, epoch: PRODUCER_EPOCH_MAX };
    expect(nextSession(known, { name: "n", token: "t" }, 9).row).toEqual({
      name: "n",
      producerId: 9,
      weakProducerId: 10,
      epoch: 0,
      token: "t",
    });
  });

  test("features: the level rises only when every node can use it", () => {
    const subject = new Subject();
    subject.apply(registration(1, { features: { min: 1, max: 2 } }));
    subject.apply(registration(2));
    const refused = subject.apply({ type: "raise-feature-level", level: 2 });
    expect(refused.error?.reason).toBe("UNSUPPORTED_VERSION");
    subject.apply(registration(2, { incarnation: 2, features: { min: 1, max: 2 } }));
    expect(subject.apply({ type: "raise-feature-level", level: 2 }).ok).toEqual({
      featureLevel: 2,
    });
    expect(subject.view.image.featureLevel).toBe(2);
    expect(subject.apply(registration(3)).error?.fields["cause"]).toBe("feature-level");
  });

  test("frames: no-ops change nothing, unknown commands halt (nothing is applied)", async () => {
    const subject = new Subject();
    const fields = {
      index: 1,
      term: 1,
      baseOffset: 0,
      recordCount: 0,
      layoutEpoch: 0,
      appendTimeMs: 0,
    };
    const noop = encodeFrame({ ...fields, kind: "noop" }, []);
    expect(subject.state.apply(noop, fields)).toEqual({ writes: [] });
    const section = (bytes: Buffer) => [{ type: SECTION.COMMAND, ignorable: false, bytes }];
    const known = encodeFrame(
      { ...fields, kind: "data" },
      section(encodeMetadataCommand(registration(1))),
    );
    expect(subject.state.apply(known, fields).reply?.ok).toBeDefined();
    const unknown = encodeFrame(
      { ...fields, kind: "data" },
      section(Buffer.from('{"v":1,"type":"new"}')),
    );
    expect(await reasonOf(() => subject.state.apply(unknown, { ...fields, index: 2 }))).toBe(
      "UNSUPPORTED_VERSION",
    );
  });

  test("rows: a newer row or table is refused, not misread", () => {
    const subject = new Subject();
    expect(() => subject.state.restore([["node/1", Buffer.from('{"v":2}')]])).toThrow(StorageError);
    expect(() => subject.state.restore([["acl/1", Buffer.from('{"v":1}')]])).toThrow(StorageError);
  });
});

describe("node registration", () => {
  test("restart: the same directory with a higher incarnation is taken at once", () => {
    const subject = withNodes(1);
    expect(subject.apply(registration(1, { incarnation: 2 })).ok).toMatchObject({
      metadataRevision: 0,
      registeredIndex: 2,
    });
    expect(subject.apply(registration(1)).error?.fields["cause"]).toBe("older-incarnation");
  });

  test("repetition: the same incarnation again keeps its epoch and unfences", () => {
    const subject = withNodes(1);
    subject.apply({ type: "fence-node", nodeId: node(1), incarnation: 1 });
    expect(subject.apply(registration(1)).ok).toMatchObject({ registeredIndex: 1 });
    expect(subject.view.image.nodes.get(node(1))?.fenced).toBe(false);
  });

  test("fencing: a decision about an older incarnation is void", () => {
    const subject = withNodes(1);
    subject.apply(registration(1, { incarnation: 2 }));
    const reply = subject.apply({ type: "fence-node", nodeId: node(1), incarnation: 1 });
    expect(reply.ok).toEqual({ changed: false });
    expect(subject.view.image.nodes.get(node(1))?.fenced).toBe(false);
  });

  test("emptied disk: refused while the node is alive, new replicas afterwards, old directory never again", () => {
    const subject = withNodes(3);
    subject.apply(creation("orders", 3, 3));
    const emptied = registration(2, { directoryId: "new-disk", founder: true });
    expect(subject.apply(emptied).error).toMatchObject({
      reason: "NODE_FENCED",
      fields: { cause: "foreign-directory" },
    });
    subject.apply({ type: "fence-node", nodeId: node(2), incarnation: 1 });
    const taken = subject.apply(emptied);
    expect(taken.ok?.["metadataRevision"]).toBe(subject.index);
    // Its replicas still belong to the directory that is gone.
    const placed = (): (string | undefined)[] =>
      [...subject.view.image.partitions.values()].map(
        (row) => row.replicas.find((replica) => replica.nodeId === 2)?.directoryId,
      );
    expect(placed()).toEqual(["directory-2", "directory-2", "directory-2"]);
    const replaced = subject.apply({
      type: "replace-replicas",
      nodeId: node(2),
      directoryId: "new-disk",
    });
    expect(replaced.ok).toEqual({ replaced: 3 });
    expect(placed()).toEqual(["new-disk", "new-disk", "new-disk"]);
    for (const row of subject.view.image.partitions.values()) {
      const own = row.replicas.find((replica) => replica.nodeId === 2);
      expect(own?.revision).toBe(subject.index);
      expect(row.founders.map(revisionOfReplica)).toEqual([4, 4, 4]);
    }
    subject.apply({ type: "fence-node", nodeId: node(2), incarnation: 1 });
    const old = subject.apply(registration(2, { incarnation: 9 }));
    expect(old.error?.fields["cause"]).toBe("retired-directory");
  });

  test("joining: a node that founded nothing gets its metadata replica from the log", () => {
    const subject = withNodes(3);
    const reply = subject.apply(registration(4, { founder: false }));
    expect(reply.ok?.["metadataRevision"]).toBe(4);
  });
});
