// SQL: an expression over headers and system properties, evaluated by the broker.
import assert from "node:assert/strict";
import { example, receive } from "./support.ts";

await example(async ({ client, name, topic }) => {
  const filter = {
    kind: "sql",
    expression: "region IN ('eu', 'uk') AND amount BETWEEN 100 AND 500 AND $size < 100",
  } as const;
  await client.admin().subscriptions.create({ name, topics: topic, filter });
  const producer = client.producer();
  const send = (value: string, region: string, amount: number): Promise<unknown> => {
    const headers = [
      { name: "region", value: region },
      { name: "amount", value: String(amount) },
    ];
    return producer.send({ topic, value, headers });
  };
  await send("one", "eu", 120);
  await send("two", "us", 120);
  await send("three", "uk", 50);
  await send("four", "uk", 500);
  await send("five".repeat(100), "eu", 200);

  const seen = await receive(client, name, 2);
  console.log(seen.join(" "));
  assert.deepEqual(seen.sort(), ["four", "one"]);
});
