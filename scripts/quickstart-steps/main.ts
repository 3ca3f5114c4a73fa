// The quickstart: see scripts/quickstart for what it shows. Exit status 0 only when the verdict is proven.
import { SingleBar } from "cli-progress";
import colors from "picocolors";
import type { ClientPort, ReadMessage } from "../../src/cli/client-port.ts";
import { pause } from "../../src/cli/node-process.ts";
import { Pace } from "../../src/cli/pace.ts";
import { connectSdk } from "../../src/cli/sdk.ts";
import { renderTable } from "../../src/cli/table.ts";
import { createClient } from "../../src/client/index.ts";
import { type FlightEvent, readFlights } from "./flights.ts";
import { type ConsumedEvent, isProven, type Kill, Ledger, type Verdict } from "./ledger.ts";
import { LocalCluster } from "./local-cluster.ts";
import { isComplete, type SubscriptionCount, showSubscriptions } from "./subscriptions.ts";

const TOPIC = "flights";
const PARTITIONS = 6;
const REPLICAS = 3;
const RATE = 1000;
const RESTART_AFTER_MS = 3000;
const SEND_TIMEOUT_MS = 60_000;

async function run(signal: AbortSignal): Promise<boolean> {
  const events = readFlights();
  say(
    `${events.length} flights, keyed by ${new Set(events.map((event) => event.key)).size} airports`,
  );
  const cluster = await LocalCluster.prepare();
  process.on("exit", () => cluster.stopNow());
  try {
    cluster.startAll();
    await cluster.waitUntilReady(signal);
    say(`three brokers are ready: ${cluster.bootstrap.join(", ")}`);
    const client = connectSdk(cluster.bootstrap, SEND_TIMEOUT_MS);
    try {
      if (!(await showFailOver(cluster, client, events, signal))) return false;
    } finally {
      await client.close();
    }
    return await showDelivery(cluster, events, signal);
  } finally {
    await cluster.stop();
  }
}

async function showFailOver(
  cluster: LocalCluster,
  client: ClientPort,
  events: readonly FlightEvent[],
  signal: AbortSignal,
): Promise<boolean> {
  await client.admin.createTopic({
    name: TOPIC,
    partitions: PARTITIONS,
    replicationFactor: REPLICAS,
    settings: { acks: "all", flush: "sync" },
    validateOnly: false,
  });
  say(
    `topic ${TOPIC}: ${PARTITIONS} partitions, ${REPLICAS} replicas, acknowledged when a majority has it on disk`,
  );
  const ledger = new Ledger(events);
  await publish(cluster, client, events, ledger, signal);
  await cluster.waitUntilReady(signal);
  const consumed = await readBack(client, ledger.acknowledged, signal);
  const verdict = ledger.verdict(consumed);
  printVerdict(verdict);
  return isProven(verdict);
}

/** The second act: see subscriptions.ts. */
async function showDelivery(
  cluster: LocalCluster,
  events: readonly FlightEvent[],
  signal: AbortSignal,
): Promise<boolean> {
  say(
    `two subscriptions of ${TOPIC}: one in the order of each airport, one with retries and dead letters`,
  );
  const client = createClient({ bootstrap: cluster.bootstrap, clientId: "quickstart" });
  try {
    const counts = await untilAborted(showSubscriptions(client, TOPIC, events), signal);
    printCounts(counts);
    return counts.every(isComplete);
  } finally {
    await client.close();
  }
}

function printCounts(counts: readonly SubscriptionCount[]): void {
  const rows: (readonly [string, (count: SubscriptionCount) => string])[] = [
    ["mode", ({ mode }) => mode],
    ["messages wanted", ({ expected }) => String(expected)],
    ["acknowledged", ({ done }) => String(done)],
    ["of them at a later attempt", ({ retried }) => String(retried)],
    [
      "dead letters",
      (count) => `${count.deadLetters} of ${count.deadLettersExpected} that can not succeed`,
    ],
    ["lost", ({ lost }) => good(lost)],
    ["repeated after an ack", ({ repeated }) => good(repeated)],
    [
      "out of order per key",
      ({ outOfOrder }) => (outOfOrder === undefined ? "–" : good(outOfOrder)),
    ],
    ["seconds", ({ seconds }) => seconds.toFixed(1)],
  ];
  const columns = counts.map((count) => ({
    title: count.name.toUpperCase(),
    text: (row: (typeof rows)[number]) => row[1](count),
    align: "right" as const,
  }));
  const table = renderTable([{ title: "SUBSCRIPTION", text: (row) => row[0] }, ...columns], rows);
  process.stdout.write(`\n${table}\n\n`);
  process.stdout.write(
    counts.every(isComplete)
      ? `${colors.green("Every message was delivered; what can not succeed is a dead letter.")}\n`
      : `${colors.red("NOT PROVEN: see the table above.")}\n`,
  );
}

/** Sends at the rate; kills half-way. Resolves when all sends were answered and the killed broker was started again. */
async function publish(
  cluster: LocalCluster,
  client: ClientPort,
  events: readonly FlightEvent[],
  ledger: Ledger,
  signal: AbortSignal,
): Promise<void> {
  const producer = client.producer({
    topic: TOPIC,
    acks: "all",
    flush: "sync",
    timeoutMs: SEND_TIMEOUT_MS,
  });
  const bar = new SingleBar({
    format: `  publishing {bar} {value}/{total} · {acknowledged} acknowledged{note}`,
    noTTYOutput: true,
    notTTYSchedule: 2000,
    hideCursor: true,
    gracefulExit: false,
  });
  bar.start(events.length, 0, { acknowledged: 0, note: "" });
  const pace = new Pace(RATE);
  const answers: Promise<void>[] = [];
  let restart: Restart | undefined;
  let target: Pick<Kill, "nodeId" | "affected"> | undefined;
  try {
    for (const event of events) {
      signal.throwIfAborted();
      await pace.turn();
      answers.push(sendOne(producer, event, ledger));
      const note = restart === undefined ? "" : ` · node ${target?.nodeId} was killed`;
      bar.update(event.id + 1, { acknowledged: ledger.acknowledged, note });
      if (restart !== undefined || event.id < events.length / 2) continue;
      target ??= await findTarget(client);
      restart = await killWhileSending(cluster, ledger, target);
    }
    await untilAborted(Promise.all([...answers, restart?.done]), signal);
    bar.update(events.length, { acknowledged: ledger.acknowledged });
  } finally {
    bar.stop();
    await producer.close();
  }
}

/** Wrapped in an object, because a promise returned by an async function would be waited for. */
interface Restart {
  readonly done: Promise<void>;
}

function untilAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void =>
      reject(signal.reason instanceof Error ? signal.reason : new Error("stopped"));
    if (signal.aborted) onAbort();
    signal.addEventListener("abort", onAbort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", onAbort));
  });
}

async function sendOne(
  producer: ReturnType<ClientPort["producer"]>,
  event: FlightEvent,
  ledger: Ledger,
): Promise<void> {
  ledger.begun(event, performance.now());
  try {
    const receipt = await producer.send({
      key: Buffer.from(event.key),
      value: Buffer.from(event.value),
      headers: [],
      partition: undefined,
    });
    ledger.acked(event, receipt, performance.now());
  } catch (error) {
    ledger.failed(event);
    say(`send ${event.id} failed: ${error instanceof Error ? error.message : String(error)}`);
  }
}

/** The broker that leads most partitions, with its terms. */
async function findTarget(client: ClientPort): Promise<Pick<Kill, "nodeId" | "affected">> {
  const { partitions } = await client.admin.describeTopic(TOPIC);
  const led = new Map<number, Map<number, number>>();
  for (const { leaderEpoch, leaderId, partition } of partitions) {
    const own = led.get(leaderId) ?? new Map<number, number>();
    led.set(leaderId, own.set(partition, leaderEpoch));
  }
  led.delete(0);
  const [most] = [...led].sort((a, b) => b[1].size - a[1].size);
  if (most === undefined) throw new Error("no partition has a known leader");
  return { nodeId: most[0], affected: most[1] };
}

/** Kills only in a moment when a send to one of the broker's partitions is on its way; else the next send tries again. */
async function killWhileSending(
  cluster: LocalCluster,
  ledger: Ledger,
  target: Pick<Kill, "nodeId" | "affected">,
): Promise<Restart | undefined> {
  // One turn of the event loop: what was just sent has left this process.
  await new Promise(setImmediate);
  const underWay = ledger.underWay(target.affected);
  if (underWay === 0) return undefined;
  cluster.kill(target.nodeId);
  ledger.killed({ ...target, atMs: performance.now(), underWay });
  return { done: pause(RESTART_AFTER_MS).then(() => cluster.start(target.nodeId)) };
}

async function readBack(
  client: ClientPort,
  countMin: number,
  signal: AbortSignal,
): Promise<ConsumedEvent[]> {
  const consumed: ConsumedEvent[] = [];
  const wish = {
    topic: TOPIC,
    partitions: undefined,
    from: { kind: "earliest" },
    follow: false,
    signal,
  } as const;
  for await (const message of client.read(wish)) consumed.push(eventOf(message));
  say(`read ${consumed.length} events back (${countMin} were acknowledged)`);
  return consumed;
}

function eventOf(message: ReadMessage): ConsumedEvent {
  return {
    key: Buffer.from(message.key ?? []).toString("utf8"),
    value: Buffer.from(message.value ?? []).toString("utf8"),
    partition: message.partition,
    offset: message.offset,
  };
}

function printVerdict(verdict: Verdict): void {
  const rows: (readonly [string, string])[] = [
    ["sent", String(verdict.sent)],
    ["acknowledged", String(verdict.acknowledged)],
    ["consumed", String(verdict.consumed)],
    ["lost", good(verdict.lost)],
    ["duplicated", good(verdict.duplicated)],
    ["out of order per key", good(verdict.outOfOrder)],
    ["content differs", good(verdict.different)],
    ["sends under way at the kill", String(verdict.underWay)],
    ["partitions taken over by a higher term", `${verdict.takenOver} of ${verdict.affected}`],
    ["fail-over, first partition", duration(verdict.failOverFirstMs)],
    ["fail-over, slowest partition", duration(verdict.failOverAllMs)],
  ];
  const table = renderTable(
    [
      { title: "WHAT", text: (row: readonly [string, string]) => row[0] },
      { title: "COUNT", text: (row) => row[1], align: "right" },
    ],
    rows,
  );
  process.stdout.write(`\n${table}\n\n`);
  process.stdout.write(
    isProven(verdict)
      ? `${colors.green("Nothing acknowledged was lost, duplicated or reordered.")}\n`
      : `${colors.red("NOT PROVEN: see the table above.")}\n`,
  );
}

function good(count: number): string {
  return count === 0 ? colors.green("0") : colors.red(String(count));
}

function duration(ms: number | undefined): string {
  return ms === undefined ? "–" : `${Math.round(ms)} ms`;
}

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}

const abort = new AbortController();
for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
  process.on(name, () => abort.abort(new Error(`stopped by ${name}`)));
}
try {
  process.exitCode = (await run(abort.signal)) ? 0 : 1;
} catch (error) {
  process.stderr.write(
    `quickstart failed: ${error instanceof Error ? error.message : String(error)}\n`,
  );
  process.exitCode = 1;
}
// Every broker has been ended; what is left are idle sockets.
setTimeout(() => process.exit(), 500).unref();
