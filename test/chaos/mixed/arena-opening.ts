// Makes an arena: links, disks, brokers, two topics under load (all/sync and all/async), readers; and takes it down again.
import { mkdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { Random } from "../../../src/base/random.ts";
import { type Client, createClient } from "../../../src/client/index.ts";
import { type Launch, LocalCluster } from "../../support/local-cluster.ts";
import { ClusterView } from "../cluster-view.ts";
import { Disks, RESERVE_MIB } from "../disk/disks.ts";
import { Ledger } from "../ledger.ts";
import { Load } from "../load.ts";
import { Namespaces } from "../network/namespaces.ts";
import { CLIENT, type Network } from "../network/network.ts";
import { Proxies } from "../network/proxies.ts";
import type { Arena, Need, TopicUnderTest } from "./arena.ts";
import { type HistoryTopic, MixedHistory } from "./history.ts";
import { LiveReader } from "./live-reader.ts";
import { EXCUSES } from "./rules.ts";

const NEW_BOOT = fileURLToPath(new URL("../new-boot.mjs", import.meta.url));
const UP_TIMEOUT_MS = 60_000;
const DELIVERY_TIMEOUT_MS = 60_000;
const FOUNDERS: readonly number[] = [1, 2, 3];
const EVERYBODY: readonly number[] = [1, 2, 3, 4, 5];
const YAML = `insecure: true\nstorage:\n  diskFreeMin: ${RESERVE_MIB}MiB\n`;

export interface ArenaOptions {
  readonly name: string;
  readonly directory: string;
  readonly random: Random;
  /** Of both topics together, sends a second. */
  readonly rate: number;
  /** Of each topic. */
  readonly partitions: number;
  /** Disks for five are made, though three brokers begin. */
  readonly brokers: 3 | 5;
  readonly missing: readonly Need[];
  readonly problems: string[];
  readonly say: (text: string) => void;
}

export interface OpenArena {
  readonly arena: Arena;
  readonly readers: readonly LiveReader[];
  /** Ends everything that was begun, at once. Idempotent. */
  readonly close: () => Promise<void>;
}

export async function openArena(options: ArenaOptions): Promise<OpenArena> {
  const enders: (() => Promise<void>)[] = [];
  let closing: Promise<void> | undefined;
  const close = (): Promise<void> => (closing ??= endAll(enders));
  try {
    return { ...(await open(options, enders)), close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** Last begun, first ended. */
async function endAll(enders: (() => Promise<void>)[]): Promise<void> {
  for (const end of enders.reverse()) await end().catch(() => undefined);
}

async function open(
  options: ArenaOptions,
  enders: (() => Promise<void>)[],
): Promise<Pick<OpenArena, "arena" | "readers">> {
  const { directory, missing, problems, random, rate, say } = options;
  mkdirSync(directory, { recursive: true });
  const network = await openNetwork(directory, missing);
  enders.push(() => network.close());
  const ids = options.brokers === 5 ? EVERYBODY : FOUNDERS;
  const disks = await Disks.create(directory, ids, random, !missing.includes("images"));
  enders.push(() => disks.close());
  const history = historyOf(options);
  const cluster = await LocalCluster.create({
    directory,
    extraYaml: YAML,
    dataDir: (id) => disks.dataDir(id),
    host: (id) => network.host(id),
    launch: (id) => launchOf(network, disks, id),
    onEnd: (id, end) => history.processEnd(id, end),
  });
  enders.push(() => cluster.close());
  for (const { client, id, peer } of cluster.nodes) await network.attach(id, [client, peer]);
  await cluster.up(UP_TIMEOUT_MS);
  const client = createClient({ bootstrap: cluster.bootstrap });
  enders.push(() => client.close({ timeoutMs: 500 }));
  const controls = createClient({ bootstrap: cluster.bootstrap });
  enders.push(() => controls.close({ timeoutMs: 500 }));
  const shared = { random, cluster, network, disks, history, ledger: history.ledger };
  const topics = await Promise.all(
    history.topics.map((topic) => openTopic(options, shared, client, topic)),
  );
  for (const { load, view } of topics) {
    enders.push(() => view.close());
    enders.push(() => load.stop());
  }
  const readers = history.topics.map((topic) => new LiveReader(client, topic));
  for (const reader of readers) enders.push(() => reader.stop());
  const admin = controls.admin();
  const findings = { brokenDisks: [], problems, say };
  return { arena: { ...shared, topics, admin, rate, directory, ...findings }, readers };
}

function historyOf({ name, partitions }: ArenaOptions): MixedHistory {
  const topic = (flush: "sync" | "async"): HistoryTopic => {
    return { name: flush, partitions, flush, producer: flush, live: [], finals: [] };
  };
  return new MixedHistory(name, new Ledger(), [topic("sync"), topic("async")], EXCUSES);
}

async function openNetwork(directory: string, missing: readonly Need[]): Promise<Network> {
  if (!missing.includes("namespaces")) return Namespaces.create(FOUNDERS);
  const proxies = await Proxies.create(directory);
  for (const id of FOUNDERS) await proxies.addNode(id);
  return proxies;
}

function launchOf(network: Network, disks: Disks, id: number): Launch {
  const { env, execArgv = [], prefix = [] } = network.launch(id);
  return {
    prefix,
    execArgv: [...execArgv, "--import", NEW_BOOT],
    env: { ...env, CHAOS_BOOT_ID_FILE: disks.bootFile(id) },
  };
}

async function openTopic(
  { partitions, random, rate }: ArenaOptions,
  { cluster, ledger }: Pick<Arena, "cluster" | "ledger">,
  client: Client,
  history: HistoryTopic,
): Promise<TopicUnderTest> {
  const { flush, name, producer } = history;
  const settings = { flush };
  await client.admin().createTopic({ name, partitions, replicationFactor: 3, settings });
  const load = new Load({
    client,
    ledger,
    topic: name,
    random,
    producer,
    rate: rate / 2,
    deliveryTimeoutMs: DELIVERY_TIMEOUT_MS,
    flush,
  });
  return { history, view: new ClusterView(cluster, name, partitions), load };
}

/** A fourth or fifth broker. */
export async function addBroker({ cluster, network }: Arena, id: number): Promise<void> {
  if (id === CLIENT) throw new Error("0 is the client");
  await network.addNode(id);
  await cluster.addNode(id, ({ client, peer }) => network.attach(id, [client, peer]));
  await cluster.waitHealthy(id, UP_TIMEOUT_MS);
}
