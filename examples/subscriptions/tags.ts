// Tags: what carries one of them.
import assert from "node:assert/strict";
import { example, receive } from "./support.ts";

await example(async ({ client, name, topic }) => {
  const filter = { kind: "tags", tags: ["urgent", "vip"] } as const;
  await client.admin().subscriptions.create({ name, topics: topic, filter });
  const producer = client.producer();
  const send = (value: string, ...tags: string[]): Promise<unknown> =>
    producer.send({ topic, value, headers: [{ name: "flotilla-tags", value: tags.join(",") }] });
  await send("one", "urgent");
  await send("two", "later");
  await send("three", "vip", "later");
  await producer.send({ topic, value: "four" });

  const seen = await receive(client, name, 2);
  console.log(seen.join(" "));
  assert.deepEqual(seen.sort(), ["one", "three"]);
});
