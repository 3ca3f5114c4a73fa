import { expect, test } from "vitest";
import type { PartitionAssignment } from "../../src/cluster/ports.ts";
import { type GroupId, replicaIdOf, type TopicId } from "../../src/model/ids.ts";
import { initialLayout } from "../../src/model/slots.ts";
import { node } from "../cluster/support.ts";
import { openOneBroker } from "../support/one-broker.ts";

const TOPIC = "5f0c9f1e-6d8b-4b4e-9a55-0f6d1c2b3a49" as TopicId;
const FORMER = replicaIdOf(node(1), 7);
const PRESENT = replicaIdOf(node(1), 9);

function assignment(fields: Partial<PartitionAssignment> = {}): PartitionAssignment {
  return {
    groupId: 3 as GroupId,
    topicId: TOPIC,
    topicName: "orders",
    partition: 0,
    replicaId: FORMER,
    founders: [FORMER],
    preferredLeader: node(1),
    layout: initialLayout(1),
    settings: {},
    ...fields,
  };
}

test("list: tells the topic of what is on the disk, also before it is opened and under a survivor's new id", async () => {
  const first = await openOneBroker();
  await first.clock.until(first.broker.partitions.open(assignment()));
  const held = [{ groupId: 3, replicaId: FORMER, topicId: TOPIC }];
  expect(first.broker.partitions.list()).toEqual(held);
  const second = await openOneBroker({
    disk: first.disk.detach(),
    memory: first.memory.detach(),
  });
  expect(second.broker.partitions.list()).toEqual(held);
  await second.clock.until(
    second.broker.partitions.succeed(assignment({ replicaId: PRESENT }), FORMER),
  );
  const third = await openOneBroker({
    disk: second.disk.detach(),
    memory: second.memory.detach(),
  });
  expect(third.broker.partitions.list()).toEqual([{ ...held[0], replicaId: PRESENT }]);
});
