// Fanout: every subscription gets every message, each with its own progress.
import assert from "node:assert/strict";
import { example, receive } from "./support.ts";

await example(async ({ client, name, topic }) => {
  const filter = { kind: "fanout" } as const;
  const names = [`${name}-billing`, `${name}-shipping`];
  for (const one of names) {
    await client.admin().subscriptions.create({ name: one, topics: topic, filter });
  }
  const producer = client.producer();
  for (const value of ["one", "two", "three"]) await producer.send({ topic, value });
  for (const one of names) {
    const seen = await receive(client, one, 3);
    console.log(`${one}: ${seen.sort().join(" ")}`);
    assert.deepEqual(seen, ["one", "three", "two"]);
  }
});
