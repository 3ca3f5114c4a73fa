// Links out of network namespaces: one per broker, a router between them, all of them inside the enclosure. Each link is a
// directed pair that the router serves; a rule for packets that come in from one node and go to another sends them to a
// place that swallows them (and counts), or to one that has the address but no such connection, and therefore resets.
// The client is the enclosure's own namespace.
import type { Launch } from "../../support/local-cluster.ts";
import { runTool, runWords } from "./command.ts";
import { namespacePath } from "./enclosure.ts";
import { CLIENT, type Network } from "./network.ts";
import { busiestConnection, type PortPair } from "./socket-table.ts";

const ROUTER = "router";
const SINK = "sink";
/** The end of a link that is not the router's. */
const FAR_END = "e0";
/** Second numbers of addresses, and numbers of routing tables. */
const SINK_BASE = 100;
const RESET_BASE = 200;
/** About a tenth of what a broker receives under load. */
const SLOW = "tbf rate 1mbit burst 16kb latency 600ms";

interface Rule {
  readonly from: number;
  readonly to: number;
  readonly table: number;
  /** One connection only; undefined: all packets. */
  readonly ports?: PortPair;
}

interface InterfaceCounts {
  readonly stats64?: { readonly tx: { readonly packets: number } };
}

export class Namespaces implements Network {
  readonly transport = "namespaces";
  readonly #nodes = new Set<number>();
  readonly #names: string[] = [];
  #rules: Rule[] = [];
  readonly #slow = new Set<number>();
  #slowed = 0;

  /** @param brokers ids */
  static async create(brokers: readonly number[]): Promise<Namespaces> {
    const network = new Namespaces();
    for (const name of [ROUTER, SINK]) await network.#addNamespace(name);
    await inNamespace(ROUTER, "echo 1 > /proc/sys/net/ipv4/ip_forward");
    for (const id of [CLIENT, ...brokers]) await network.addNode(id);
    return network;
  }

  host(nodeId: number): string {
    return address(nodeId);
  }

  launch(nodeId: number): Launch {
    return { prefix: ["nsenter", `--net=${namespacePath(nameOf(nodeId))}`, "--"] };
  }

  async addNode(id: number): Promise<void> {
    this.#nodes.add(id);
    if (id !== CLIENT) await this.#addNamespace(nameOf(id));
    await this.#join(id, `v${id}`, id === CLIENT ? undefined : nameOf(id), FAR_END);
    await this.#addSink(id);
    await this.#addResetter(id);
  }

  /** Addresses are enough here. */
  async attach(): Promise<void> {}

  async block(from: number, to: number): Promise<void> {
    await this.#addRule({ from, to, table: SINK_BASE + from });
  }

  async refuse(a: number, b: number): Promise<void> {
    await this.#addRule({ from: a, to: b, table: RESET_BASE + b });
    await this.#addRule({ from: b, to: a, table: RESET_BASE + a });
  }

  async forgetBusiest(from: number, to: number): Promise<void> {
    const filter = `state established dst ${address(to)}`;
    const table = await runWords(`ip netns exec ${nameOf(from)} ss -Htni ${filter}`);
    const ports = busiestConnection(table);
    if (ports === undefined) throw new Error(`no connection from node ${from} to node ${to}`);
    const { local, remote } = ports;
    await this.#addRule({ from, to, table: SINK_BASE + from, ports });
    const back = { local: remote, remote: local };
    await this.#addRule({ from: to, to: from, table: SINK_BASE + to, ports: back });
  }

  async slow(id: number): Promise<void> {
    this.#slow.add(id);
    await runWords(`ip netns exec ${ROUTER} tc qdisc add dev v${id} root ${SLOW}`);
    await runWords(`ip netns exec ${nameOf(id)} tc qdisc add dev e0 root ${SLOW}`);
  }

  async heal(): Promise<void> {
    for (const rule of this.#rules) await runWords(`ip -n ${ROUTER} rule del ${wordsOf(rule)}`);
    this.#rules = [];
    this.#slowed = await this.slowed();
    for (const id of this.#slow) {
      await runWords(`ip netns exec ${ROUTER} tc qdisc del dev v${id} root`);
      await runWords(`ip netns exec ${nameOf(id)} tc qdisc del dev e0 root`);
    }
    this.#slow.clear();
  }

  swallowed(from: number): Promise<number> {
    return sentThrough(`s${from}`);
  }

  async resets(): Promise<number> {
    const counts = await Promise.all([...this.#nodes].map((id) => sentThrough(`r${id}`)));
    return counts.reduce((sum, count) => sum + count, 0);
  }

  async slowed(): Promise<number> {
    let total = this.#slowed;
    for (const id of this.#slow) {
      const text = await runWords(`ip netns exec ${ROUTER} tc -s qdisc show dev v${id}`);
      total += Number(/overlimits (\d+)/.exec(text)?.[1] ?? 0);
    }
    return total;
  }

  /** The next act of the enclosure begins with the same names. The kernel removes what is in a namespace later on. */
  async close(): Promise<void> {
    await this.heal();
    if (this.#nodes.has(CLIENT)) await runWords(`ip link del ${FAR_END}`);
    for (const name of this.#names.splice(0)) await runWords(`ip netns del ${name}`);
  }

  async #addNamespace(name: string): Promise<void> {
    await runWords(`ip netns add ${name}`);
    this.#names.push(name);
    await runWords(`ip -n ${name} link set lo up`);
  }

  /** A pair of interfaces between the router and another namespace (undefined: the enclosure's own). */
  async #join(part: number, inRouter: string, other: string | undefined, inOther: string) {
    const where = other === undefined ? "" : `-n ${other}`;
    const pair = `ip link add ${inRouter} netns ${ROUTER} type veth peer name ${inOther}`;
    await runWords(other === undefined ? pair : `${pair} netns ${other}`);
    await runWords(`ip -n ${ROUTER} addr add 10.213.${part}.1/24 dev ${inRouter}`);
    await runWords(`ip -n ${ROUTER} link set ${inRouter} up`);
    await runWords(`ip ${where} addr add 10.213.${part}.2/24 dev ${inOther}`);
    await runWords(`ip ${where} link set ${inOther} up`);
    if (other !== SINK) await runWords(`ip ${where} route add default via 10.213.${part}.1`);
  }

  /** It has no other address and forwards nothing: what it gets is gone. One interface per sender counts. */
  async #addSink(id: number): Promise<void> {
    const part = SINK_BASE + id;
    await this.#join(part, `s${id}`, SINK, `s${id}`);
    const route = `default via 10.213.${part}.2 dev s${id} table ${part}`;
    await runWords(`ip -n ${ROUTER} route add ${route}`);
  }

  /** It answers for the node's address without knowing its connections. */
  async #addResetter(id: number): Promise<void> {
    const part = RESET_BASE + id;
    await this.#addNamespace(`reset${id}`);
    await this.#join(part, `r${id}`, `reset${id}`, FAR_END);
    await runWords(`ip -n reset${id} addr add ${address(id)}/32 dev lo`);
    const route = `default via 10.213.${part}.2 dev r${id} table ${part}`;
    await runWords(`ip -n ${ROUTER} route add ${route}`);
  }

  async #addRule(rule: Rule): Promise<void> {
    if (this.#rules.some((one) => wordsOf(one) === wordsOf(rule))) return;
    this.#rules.push(rule);
    await runWords(`ip -n ${ROUTER} rule add ${wordsOf(rule)}`);
  }
}

function address(id: number): string {
  return `10.213.${id}.2`;
}

function nameOf(id: number): string {
  return `node${id}`;
}

function wordsOf({ from, ports, table, to }: Rule): string {
  const only = ports === undefined ? "" : `ipproto tcp sport ${ports.local} dport ${ports.remote}`;
  return `iif v${from} to ${address(to)} ${only} lookup ${table}`;
}

async function inNamespace(name: string, script: string): Promise<void> {
  await runTool("ip", ["netns", "exec", name, "sh", "-c", script]);
}

async function sentThrough(device: string): Promise<number> {
  const text = await runWords(`ip -n ${ROUTER} -s -j link show ${device}`);
  const parsed: unknown = JSON.parse(text);
  if (!Array.isArray(parsed)) return 0;
  return parsed.reduce<number>(
    (sum, item: InterfaceCounts) => sum + (item.stats64?.tx.packets ?? 0),
    0,
  );
}
