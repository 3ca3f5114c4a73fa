// Direct: the routing key is one of a list.
import assert from "node:assert/strict";
import { example, receive } from "./support.ts";

await example(async ({ client, name, topic }) => {
  const filter = { kind: "direct", keys: ["order.paid", "order.sent"] } as const;
  await client.admin().subscriptions.create({ name, topics: topic, filter });
  const producer = client.producer();
  for (const key of ["order.paid", "order.open", "order.sent", "order"]) {
    const headers = [{ name: "flotilla-routing-key", value: key }];
    await producer.send({ topic, value: key, headers });
  }
  const seen = await receive(client, name, 2);
  console.log(seen.join(" "));
  assert.deepEqual(seen.sort(), ["order.paid", "order.sent"]);
});
