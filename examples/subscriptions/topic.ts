// Topic: patterns over the words of the routing key; "*" is one word, "#" any number.
import assert from "node:assert/strict";
import { example, receive } from "./support.ts";

await example(async ({ client, name, topic }) => {
  const filter = { kind: "topic", patterns: ["*.error", "audit.#"] } as const;
  await client.admin().subscriptions.create({ name, topics: topic, filter });
  const producer = client.producer();
  for (const key of ["shop.error", "shop.web.error", "audit", "audit.login.ann", "shop.info"]) {
    const headers = [{ name: "flotilla-routing-key", value: key }];
    await producer.send({ topic, value: key, headers });
  }
  const seen = await receive(client, name, 3);
  console.log(seen.join(" "));
  assert.deepEqual(seen.sort(), ["audit", "audit.login.ann", "shop.error"]);
});
