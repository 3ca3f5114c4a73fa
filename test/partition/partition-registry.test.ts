import { expect, test } from "vitest";
import { PartitionRegistry } from "../../src/partition/partition-registry.ts";
import { makePartition, TOPIC } from "./fixture.ts";

test("registry: finds partitions by topic and number, a replaced one is not removed by its predecessor", () => {
  const registry = new PartitionRegistry();
  const { partition: old } = makePartition();
  const { partition } = makePartition();
  registry.add(old);
  expect(registry.get(TOPIC, 0)).toBe(old);
  expect(registry.get(TOPIC, 1)).toBeUndefined();
  registry.add(partition);
  registry.remove(old);
  expect([...registry.all()]).toEqual([partition]);
  expect([...registry.ofTopic(TOPIC)]).toEqual([partition]);
  registry.remove(partition);
  expect([...registry.all()]).toEqual([]);
});
