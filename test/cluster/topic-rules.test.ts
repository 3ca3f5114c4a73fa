import { expect, test } from "vitest";
import { PARTITIONS_MAX, refuseTopic, type TopicsThere } from "../../src/cluster/topic-rules.ts";
import { TOPICS_MAX } from "../../src/model/limits.ts";

const WISH = { name: "orders", partitions: 4, replicationFactor: 3 };
const THERE: TopicsThere = { isNameTaken: false, topics: 0, partitions: 0, nodesAvailable: 3 };

test.each([
  ["room for it", {}, undefined],
  ["the name is taken", { isNameTaken: true }, "TOPIC_EXISTS"],
  ["one topic less than the limit", { topics: TOPICS_MAX - 1 }, undefined],
  ["as many topics as may be", { topics: TOPICS_MAX }, "OVERLOADED"],
  ["room for just these partitions", { partitions: PARTITIONS_MAX - 4 }, undefined],
  ["room for one partition less", { partitions: PARTITIONS_MAX - 3 }, "OVERLOADED"],
  ["too few nodes", { nodesAvailable: 2 }, "INVALID_REPLICATION_FACTOR"],
])("new topic: %s", (_, fields, reason) => {
  expect(refuseTopic(WISH, { ...THERE, ...fields })?.error?.reason).toBe(reason);
});
