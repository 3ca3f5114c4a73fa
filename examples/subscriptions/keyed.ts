// Keyed: the messages of one key in their order, many keys at the same time, as many consumers as you like.
import assert from "node:assert/strict";
import { example, pause, receive } from "./support.ts";

await example(async ({ client, name, topic }) => {
  await client.admin().subscriptions.create({ name, topics: topic, mode: "keyed" });
  const producer = client.producer();
  for (let step = 0; step < 5; step += 1) {
    await Promise.all(
      ["ann", "bob", "cyd", "dan"].map((key) => producer.send({ topic, key, value: `${step}` })),
    );
  }
  const steps = new Map<string, string[]>();
  await receive(client, name, 20, async (message) => {
    await pause(Math.random() * 20);
    const key = message.key?.toString() ?? "";
    steps.set(key, [...(steps.get(key) ?? []), message.text()]);
  });
  for (const [key, seen] of steps) {
    console.log(`${key}: ${seen.join(" ")}`);
    assert.deepEqual(seen, ["0", "1", "2", "3", "4"]);
  }
});
