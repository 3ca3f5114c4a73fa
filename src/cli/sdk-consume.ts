// `flotilla consume --subscription` on the SDK: hands messages over in batches and settles them once they are written.
import type { Client, ConsumerMessage } from "../client/index.ts";
import type { ConsumeWish } from "./client-port.ts";
import { ReaderGone } from "./terminal.ts";

const BATCH_MESSAGES = 500;

/** Ends when enough was written, or by the signal; then with draining. @returns how many messages were written */
export async function consumeWith(client: Client, wish: ConsumeWish): Promise<number> {
  return wish.isAcked ? consumeAcked(client, wish) : consumeUnacked(client, wish);
}

async function consumeAcked(client: Client, wish: ConsumeWish): Promise<number> {
  const { concurrency, countMax, signal, subscription } = wish;
  const enough = new AbortController();
  const consumer = client.consumer({ subscription });
  let count = 0;
  let gone: ReaderGone | undefined;
  await consumer.runBatches(
    async (messages) => {
      const wanted = messages.slice(0, Math.max(0, countMax - count));
      // What is too much was begun, but nobody has seen it.
      for (const message of messages.slice(wanted.length)) void message.release();
      count += wanted.length;
      try {
        await wish.write(wanted);
      } catch (error) {
        if (!(error instanceof ReaderGone)) throw error;
        // Nobody has seen them, and they did not fail.
        gone = error;
        for (const message of wanted) void message.release();
        enough.abort();
      }
      if (count >= countMax) enough.abort();
    },
    {
      concurrency,
      maxMessages: Math.min(BATCH_MESSAGES, countMax),
      maxWaitMs: 0,
      signal: AbortSignal.any([signal, enough.signal]),
    },
  );
  if (gone !== undefined) throw gone;
  return count;
}

/** Everything is given back in the end. */
async function consumeUnacked(client: Client, wish: ConsumeWish): Promise<number> {
  const { countMax, signal, subscription } = wish;
  const consumer = client.consumer({ subscription, autoAck: false });
  const held: ConsumerMessage[] = [];
  const release = (): void => {
    for (const message of held) void message.release();
    void consumer.close();
  };
  if (signal.aborted) return 0;
  signal.addEventListener("abort", release, { once: true });
  try {
    for await (const message of consumer) {
      held.push(message);
      try {
        await wish.write([message]);
      } catch (error) {
        // Before the loop is left: what it holds then counts as failed.
        release();
        throw error;
      }
      if (held.length < countMax) continue;
      release();
      break;
    }
  } finally {
    signal.removeEventListener("abort", release);
  }
  return held.length;
}
