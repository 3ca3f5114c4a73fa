// Headers: all (or any) of some headers have a value, or are just there.
import assert from "node:assert/strict";
import { example, receive } from "./support.ts";

await example(async ({ client, name, topic }) => {
  const filter = {
    kind: "headers",
    match: "all",
    headers: { format: "pdf", approved: null },
  } as const;
  await client.admin().subscriptions.create({ name, topics: topic, filter });
  const producer = client.producer();
  const send = (value: string, given: Record<string, string>): Promise<unknown> => {
    const headers = Object.entries(given).map(([header, text]) => ({ name: header, value: text }));
    return producer.send({ topic, value, headers });
  };
  await send("one", { format: "pdf" });
  await send("two", { format: "pdf", approved: "by ann" });
  await send("three", { format: "doc", approved: "by bob" });
  await send("four", { format: "pdf", approved: "" });

  const seen = await receive(client, name, 2);
  console.log(seen.join(" "));
  assert.deepEqual(seen.sort(), ["four", "two"]);
});
