// The second act: two subscriptions of the same topic. One keeps each airport's order; in the other some flights fail, are
// tried again, and those that never succeed become dead letters. Everything is counted at the consumers and compared.
import type { Client, ConsumerMessage, Serializer } from "../../src/client/index.ts";
import type { FlightEvent } from "./flights.ts";

const BOARD = "departure-board";
const REFUNDS = "refunds";
const ATTEMPTS = 3;
const RETRY_DELAYS_MS = [50, 200];
/** Minutes. Shorter delays succeed at once, these at the second attempt … */
const LATE = 60;
/** … and these never. */
const VERY_LATE = 180;
const TIMEOUT_MS = 180_000;

interface Flight {
  readonly id: number;
  readonly delay: number;
}

const FLIGHTS: Serializer<Flight> = {
  serialize: (flight) => JSON.stringify(flight),
  deserialize: (bytes) => JSON.parse(bytes?.toString("utf8") ?? "") as Flight,
};

/** What one subscription did. */
export interface SubscriptionCount {
  readonly name: string;
  readonly mode: string;
  readonly expected: number;
  readonly done: number;
  readonly retried: number;
  readonly deadLetters: number;
  readonly deadLettersExpected: number;
  readonly lost: number;
  readonly repeated: number;
  /** Undefined: the mode promises no order. */
  readonly outOfOrder: number | undefined;
  readonly seconds: number;
}

export function isComplete(count: SubscriptionCount): boolean {
  const { deadLetters, deadLettersExpected, lost, outOfOrder, repeated } = count;
  const isClean = [lost, repeated, outOfOrder ?? 0].every((number) => number === 0);
  return isClean && deadLetters === deadLettersExpected;
}

/** @throws FlotillaError when the cluster can not be reached */
export async function showSubscriptions(
  client: Client,
  topic: string,
  events: readonly FlightEvent[],
): Promise<readonly SubscriptionCount[]> {
  const { subscriptions } = client.admin();
  await subscriptions.create({ name: BOARD, topics: [topic], mode: "keyed" });
  await subscriptions.create({
    name: REFUNDS,
    topics: [topic],
    retry: { attempts: ATTEMPTS, delaysMs: RETRY_DELAYS_MS },
  });
  return Promise.all([board(client, events), refunds(client, events)]);
}

async function board(client: Client, events: readonly FlightEvent[]): Promise<SubscriptionCount> {
  const newest = new Map<string, number>();
  let outOfOrder = 0;
  const seen = await consume(client, BOARD, events.length, {
    work({ data, key }) {
      const airport = key?.toString("utf8") ?? "";
      if ((newest.get(airport) ?? -1) > data.id) outOfOrder += 1;
      newest.set(airport, data.id);
    },
  });
  return {
    ...seen,
    name: BOARD,
    mode: "keyed",
    outOfOrder,
    deadLetters: 0,
    deadLettersExpected: 0,
  };
}

async function refunds(client: Client, events: readonly FlightEvent[]): Promise<SubscriptionCount> {
  const dead = events.filter((event) => flightOf(event).delay >= VERY_LATE).length;
  let deadLetters = 0;
  const seen = await consume(client, REFUNDS, events.length - dead, {
    work({ attempt, data }) {
      if (data.delay >= VERY_LATE) throw new Error(`the account of flight ${data.id} is closed`);
      if (data.delay >= LATE && attempt === 1) throw new Error("the bank did not answer");
    },
    async isOver() {
      deadLetters = await countOf(client, `dlq/${REFUNDS}`);
      return deadLetters >= dead;
    },
  });
  const counts = { deadLetters, deadLettersExpected: dead };
  return { ...seen, name: REFUNDS, mode: "shared", outOfOrder: undefined, ...counts };
}

function flightOf(event: FlightEvent): Flight {
  return FLIGHTS.deserialize(Buffer.from(event.value));
}

interface Job {
  /** Throws when it fails. */
  readonly work: (message: ConsumerMessage<Flight>) => void;
  /** Asked when everything expected is done. */
  readonly isOver?: () => Promise<boolean>;
}

/** Until `expected` messages were worked on without a failure, and their acknowledgements are confirmed. */
async function consume(
  client: Client,
  subscription: string,
  expected: number,
  { isOver = async () => true, work }: Job,
): Promise<
  Pick<SubscriptionCount, "done" | "expected" | "lost" | "repeated" | "retried" | "seconds">
> {
  const startMs = performance.now();
  const confirmed = new Set<number>();
  let repeated = 0;
  let retried = 0;
  const consumer = client.consumer({ subscription, serializer: FLIGHTS });
  const run = consumer.run(
    (message) => {
      const { id } = message.data;
      if (confirmed.has(id)) repeated += 1;
      work(message);
      if (message.attempt > 1) retried += 1;
      // What is not confirmed when a leader changes comes again: that is no repetition after an acknowledgement.
      message.ack().then(
        () => confirmed.add(id),
        () => undefined,
      );
    },
    { concurrency: 1000, onError: () => undefined },
  );
  const endMs = performance.now() + TIMEOUT_MS;
  const isDone = async (): Promise<boolean> => confirmed.size >= expected && (await isOver());
  while (performance.now() < endMs && !(await Promise.race([run.then(() => true), isDone()]))) {
    await pause();
  }
  await consumer.close();
  const seconds = (performance.now() - startMs) / 1000;
  const done = confirmed.size;
  return { done, expected, lost: expected - done, repeated, retried, seconds };
}

async function countOf(client: Client, topic: string): Promise<number> {
  let count = 0;
  for await (const _ of client.reader({ topic, from: "earliest", until: "end" })) count += 1;
  return count;
}

function pause(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 50));
}
