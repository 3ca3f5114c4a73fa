// Fifo: strictly one unacknowledged message per key, and per partition for messages without a key. A message that fails holds
// back what is behind it; after its last attempt its key is parked until somebody releases it.
import assert from "node:assert/strict";
import { Reject } from "flotilla/client";
import { example, receive } from "./support.ts";

await example(async ({ client, name, topic }) => {
  const { subscriptions } = client.admin();
  await subscriptions.create({ name, topics: topic, mode: "fifo", onFailure: "park" });
  const producer = client.producer();
  for (const value of ["open", "bad", "close"]) await producer.send({ topic, key: "door", value });
  await producer.send({ topic, key: "window", value: "open" });

  // "bad" is rejected: the key "door" is parked before "close".
  const stop = new AbortController();
  const seen: string[] = [];
  await client.consumer({ subscription: name }).run(
    (message) => {
      seen.push(`${message.key?.toString() ?? ""} ${message.text()}`);
      if (seen.length === 3) setTimeout(() => stop.abort(), 500);
      if (message.text() === "bad") throw new Reject("no such thing to do with a door");
    },
    { concurrency: 8, signal: stop.signal, onError: (error) => console.log(String(error)) },
  );
  console.log(seen.join(", "));
  assert.deepEqual([...seen].sort(), ["door bad", "door open", "window open"]);

  for await (const parked of subscriptions.parkedKeys(name)) {
    console.log(`parked: ${parked.key?.toString() ?? "no key"} at offset ${parked.offset}`);
    const { offset, partition, topic: at } = parked;
    await subscriptions.release(name, { topic: at, partition, offset, skipMessage: true });
  }
  assert.deepEqual(await receive(client, name, 1), ["close"]);
  console.log("released: close");
});
