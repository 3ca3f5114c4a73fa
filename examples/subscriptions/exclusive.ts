// Exclusive: each partition belongs to one consumer at a time, which gets it in order. Partitions are spread over the
// consumers, and handed over when one leaves.
import assert from "node:assert/strict";
import { example, pause } from "./support.ts";

await example(async ({ client, name, topic }) => {
  await client.admin().subscriptions.create({ name, topics: topic, mode: "exclusive" });
  const producer = client.producer();
  const seen = new Map<number, number[]>();
  const owners = new Map<string, Set<number>>();
  const work = (consumerId: string): (() => Promise<void>) => {
    const consumer = client.consumer({ subscription: name, consumerId });
    const run = consumer.run(
      async (message) => {
        const { offset, partition } = message;
        await message.ack();
        seen.set(partition, [...(seen.get(partition) ?? []), offset]);
        owners.set(consumerId, (owners.get(consumerId) ?? new Set()).add(partition));
      },
      { concurrency: 6 },
    );
    return async () => {
      await consumer.close();
      await run;
    };
  };
  const sendAndWait = async (count: number): Promise<void> => {
    const before = [...seen.values()].flat().length;
    owners.clear();
    const sends = Array.from({ length: count }, (_, n) =>
      producer.send({ topic, partition: n % 6, value: `${n}` }),
    );
    await Promise.all(sends);
    while ([...seen.values()].flat().length < before + count) await pause(20);
    for (const [consumer, partitions] of owners) {
      console.log(`${consumer}: partitions ${[...partitions].sort().join(" ")}`);
    }
  };

  const stopAnn = work("ann");
  const stopBob = work("bob");
  await sendAndWait(60);
  await stopAnn();
  console.log("ann leaves");
  await sendAndWait(60);
  assert.deepEqual([...owners.keys()], ["bob"]);
  await stopBob();
  // Nobody saw anything twice, or too early.
  for (const offsets of seen.values()) {
    assert.deepEqual(
      offsets,
      Array.from({ length: 20 }, (_, offset) => offset),
    );
  }
});
