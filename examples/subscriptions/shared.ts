// Shared: any number of consumers, any order. Two consumers share the work; a message that fails is tried again, one that is
// rejected goes to the dead letters.
import assert from "node:assert/strict";
import { Reject } from "flotilla/client";
import { deadLetters, example } from "./support.ts";

await example(async ({ client, name, topic }) => {
  const { subscriptions } = client.admin();
  await subscriptions.create({
    name,
    topics: topic,
    mode: "shared",
    retry: { attempts: 5, delaysMs: [200] },
  });
  const producer = client.producer();
  await Promise.all(
    Array.from({ length: 100 }, (_, n) => producer.send({ topic, value: `order ${n}` })),
  );

  const done = new AbortController();
  const handled: string[] = [];
  let left = 100;
  const settled = (): void => {
    left -= 1;
    if (left === 0) done.abort();
  };
  const work = (worker: string): Promise<void> =>
    client.consumer({ subscription: name, consumerId: worker, prefetch: { messages: 12 } }).run(
      async (message) => {
        if (message.text() === "order 13") {
          settled();
          throw new Reject("nobody wants this one");
        }
        if (message.text() === "order 42" && message.attempt === 1) throw new Error("out of luck");
        // Awaited: the broker has confirmed, nobody gets it again.
        await message.ack();
        handled.push(`${message.text()} by ${worker}, attempt ${message.attempt}`);
        settled();
      },
      { concurrency: 4, signal: done.signal, onError: (error) => console.log(String(error)) },
    );
  await Promise.all([work("ann"), work("bob")]);

  assert.equal(handled.length, 99);
  assert.ok(handled.some((line) => line.startsWith("order 42 ") && line.endsWith("attempt 2")));
  console.log(handled.filter((line) => line.endsWith("attempt 2")).join("\n"));

  const [dead] = await deadLetters(client, name, 1);
  assert.equal(dead?.value?.toString(), "order 13");
  assert.equal(dead.reason, "rejected");
  console.log(`dead letter: ${dead.value.toString()}, ${dead.reason}: ${dead.error}`);
});
