// What a run of one mode works with: three brokers, a topic, a subscription, consumers, the load, the history. Opened and
// closed here; mode-run.ts does the rest.
import type { Random } from "../../src/base/random.ts";
import { type Client, createClient } from "../../src/client/index.ts";
import type { SubscriptionMode } from "../../src/model/subscription.ts";
import { DeliveryRecorder } from "../../src/testkit/index.ts";
import { ClusterView } from "../chaos/cluster-view.ts";
import { Ledger } from "../chaos/ledger.ts";
import { Load } from "../chaos/load.ts";
import { RunHistory } from "../chaos/run-history.ts";
import { LocalCluster } from "../support/local-cluster.ts";
import { Confirmed } from "./confirmed.ts";
import { ConsumerFleet } from "./consumer-fleet.ts";
import { Coverage } from "./coverage.ts";
import { DeliveryHistory } from "./history.ts";
import { Operator, policyOf } from "./operator.ts";
import type { DeliveryOptions } from "./options.ts";
import { ATTEMPTS_MAX, DELAYS_MS } from "./plan.ts";
import { machineMs } from "./wire.ts";

export const TOPIC = "work";
export const ACK_DEADLINE_MS = 5000;
const UP_TIMEOUT_MS = 60_000;
const CREATE = { timeoutMs: 30_000 };

export interface ModeSetup {
  readonly mode: SubscriptionMode;
  readonly options: DeliveryOptions;
  readonly random: Random;
  /** Of this mode alone. */
  readonly directory: string;
  readonly problems: string[];
  readonly say: (text: string) => void;
  /** Given what ends everything at once. */
  readonly onStarted: (end: () => Promise<void>) => void;
}

export interface Arena extends ModeSetup {
  readonly cluster: LocalCluster;
  readonly client: Client;
  readonly view: ClusterView;
  readonly load: Load;
  readonly fleet: ConsumerFleet;
  readonly history: DeliveryHistory;
  readonly confirmed: Confirmed;
  readonly coverage: Coverage;
  readonly operator: Operator;
  readonly subscription: string;
  readonly deadTopic: string;
}

export async function withArena<T>(
  setup: ModeSetup,
  use: (arena: Arena) => Promise<T>,
): Promise<T> {
  const cluster = await LocalCluster.create({ directory: setup.directory });
  const enders: (() => Promise<void> | void)[] = [() => cluster.close()];
  const end = async (): Promise<void> => {
    for (const one of enders.splice(0).reverse()) await one();
  };
  setup.onStarted(end);
  try {
    await cluster.up(UP_TIMEOUT_MS);
    return await use(await open(setup, cluster, enders));
  } finally {
    await end();
  }
}

async function open(
  setup: ModeSetup,
  cluster: LocalCluster,
  enders: (() => Promise<void> | void)[],
): Promise<Arena> {
  const { mode, options, problems, random } = setup;
  const client = createClient({ bootstrap: cluster.bootstrap });
  enders.push(() => client.close({ timeoutMs: 1000 }));
  const subscription = `all-${mode}`;
  const deadTopic = `dlq/${subscription}`;
  await client.admin().createTopic({
    name: TOPIC,
    partitions: options.partitions,
    replicationFactor: 3,
    settings: { flush: "sync" },
  });
  const policy = policyOf(mode, options.onFailure);
  await client.admin().subscriptions.create(
    {
      ...{ name: subscription, topics: TOPIC, mode, onFailure: policy },
      ...{ ackDeadlineMs: ACK_DEADLINE_MS, deadLetter: deadTopic },
      retry: { attempts: ATTEMPTS_MAX, delaysMs: DELAYS_MS, jitter: 0 },
    },
    CREATE,
  );
  const recorder = new DeliveryRecorder(() => performance.now());
  recorder.note({
    ...{ type: "subscription", atMs: performance.now(), subscription, mode, topics: [TOPIC] },
    ...{ start: "earliest", attemptsMax: ATTEMPTS_MAX, onFailure: policy },
    ...{ deadLetterTopic: deadTopic, ackDeadlineMs: ACK_DEADLINE_MS },
  });
  const operator = new Operator({ admin: client.admin(), subscription, policy, recorder });
  const ledger = new Ledger();
  const name = `consumers in ${mode} mode, seed ${options.seed}`;
  const run = new RunHistory(name, ledger, TOPIC);
  const confirmed = new Confirmed();
  const coverage = new Coverage();
  const fleet = new ConsumerFleet({
    order: {
      ...{ bootstrap: cluster.bootstrap, subscription, concurrency: 32 },
      workMsMax: mode === "shared" ? 20 : 2,
      zeroMs: machineMs() - performance.now(),
    },
    recorder,
    seed: options.seed,
    events: {
      acknowledged: (partition, offset) => confirmed.add(partition, offset),
      begun: (token, offset) => coverage.begun(token, offset),
      asked: (token, offset, verdict) => coverage.asked(token, offset, verdict),
      problem: (text) => problems.push(text),
    },
  });
  enders.push(() => fleet.end());
  const load = new Load({
    ...{ client, ledger, topic: TOPIC, random, producer: "main", rate: 1 },
    deliveryTimeoutMs: 60_000,
  });
  enders.push(() => load.stop());
  const view = new ClusterView(cluster, TOPIC, options.partitions);
  enders.push(() => view.close());
  const history = new DeliveryHistory(run, recorder);
  const parts = { cluster, client, view, load, fleet, history, confirmed, coverage, operator };
  return { ...setup, ...parts, subscription, deadTopic };
}
