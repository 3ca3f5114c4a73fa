// What the examples share: a client, a topic of their own, and a way to receive until enough was seen.
//
//   flotilla cluster up --init
//   npx tsx examples/subscriptions/shared.ts            (FLOTILLA_BOOTSTRAP names other brokers than 127.0.0.1:7400)
import { randomUUID } from "node:crypto";
import {
  type Client,
  type ConsumerMessage,
  createClient,
  type DeadLetterOfPartition,
} from "flotilla/client";

export interface Example {
  readonly client: Client;
  /** Six partitions. */
  readonly topic: string;
  /** A name for a subscription. */
  readonly name: string;
}

/** Runs an example and cleans up after it. */
export async function example(use: (example: Example) => Promise<void>): Promise<void> {
  const bootstrap = (process.env["FLOTILLA_BOOTSTRAP"] ?? "127.0.0.1:7400").split(",");
  const client = createClient({ bootstrap });
  const name = `example-${randomUUID().slice(0, 8)}`;
  const topic = `examples/${name}`;
  await client.admin().createTopic({ name: topic, partitions: 6 });
  try {
    await use({ client, topic, name });
  } finally {
    const { subscriptions } = client.admin();
    for await (const { deadLetterTopic, name: subscription } of subscriptions.list({
      prefix: name,
    })) {
      await subscriptions.delete(subscription);
      // Its own, made with it: nobody else's letters are in there.
      if (deadLetterTopic !== undefined) await client.admin().deleteTopic(deadLetterTopic);
    }
    await client.admin().deleteTopic(topic);
    await client.close();
  }
}

/** Takes part in a subscription until so many messages were handled. */
export async function receive(
  client: Client,
  subscription: string,
  count: number,
  handle: (message: ConsumerMessage) => unknown = () => undefined,
): Promise<string[]> {
  const seen: string[] = [];
  const enough = new AbortController();
  await client.consumer({ subscription }).run(
    async (message) => {
      await handle(message);
      seen.push(message.text());
      if (seen.length >= count) enough.abort();
    },
    { concurrency: 16, signal: AbortSignal.any([enough.signal, AbortSignal.timeout(30_000)]) },
  );
  return seen;
}

/**
 * The first dead letters of a subscription, with their values. A message that failed for good is in the dead letter topic a moment
 * later: waits until there are so many, half a minute at most.
 */
export async function deadLetters(
  client: Client,
  subscription: string,
  count: number,
): Promise<DeadLetterOfPartition[]> {
  const untilMs = Date.now() + 30_000;
  for (;;) {
    const letters: DeadLetterOfPartition[] = [];
    for await (const letter of client
      .admin()
      .deadLetters.list(subscription, { withValues: true })) {
      letters.push(letter);
      if (letters.length === count) return letters;
    }
    if (Date.now() > untilMs) {
      throw new Error(`${subscription} has ${letters.length} dead letters, not ${count}`);
    }
    await pause(100);
  }
}

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
