// Links out of TCP proxies, where the machine has no network namespaces: everything that a broker, or the client, dials of a
// broker goes to a proxy of that directed pair (through-proxies.mjs redirects it). Since a stream's two directions take
// part in what both sides dial, blocking a → b holds back what a's connections carry up and what b's carry down.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Launch } from "../../support/local-cluster.ts";
import { LinkProxy } from "./link-proxy.ts";
import { CLIENT, type Network } from "./network.ts";

const THROUGH = fileURLToPath(new URL("through-proxies.mjs", import.meta.url));

interface Link {
  readonly dialer: number;
  readonly target: number;
  readonly endpoint: string;
  readonly proxy: LinkProxy;
}

export class Proxies implements Network {
  readonly transport = "proxies";
  readonly #directory: string;
  readonly #links: Link[] = [];
  readonly #nodes: number[] = [CLIENT];
  readonly #endpoints = new Map<number, readonly string[]>();

  /** @param directory gets a file of links per node */
  private constructor(directory: string) {
    this.#directory = directory;
  }

  /** The test's own connections take the proxies too. */
  static async create(directory: string): Promise<Proxies> {
    const network = new Proxies(directory);
    network.#write(CLIENT);
    process.env["CHAOS_LINKS"] = network.#file(CLIENT);
    await import(THROUGH);
    return network;
  }

  host(): string {
    return "127.0.0.1";
  }

  launch(nodeId: number): Launch {
    return { execArgv: ["--import", THROUGH], env: { CHAOS_LINKS: this.#file(nodeId) } };
  }

  async addNode(nodeId: number): Promise<void> {
    this.#nodes.push(nodeId);
    this.#write(nodeId);
  }

  /** Tells where a broker listens; must come before it is started. */
  async attach(nodeId: number, endpoints: readonly string[]): Promise<void> {
    this.#endpoints.set(nodeId, endpoints);
    for (const dialer of this.#nodes) {
      for (const [target, targets] of this.#endpoints) {
        for (const endpoint of targets) await this.#open(dialer, target, endpoint);
      }
      this.#write(dialer);
    }
  }

  async block(from: number, to: number): Promise<void> {
    for (const { dialer, proxy, target } of this.#links) {
      if (dialer === from && target === to) proxy.blockUp();
      if (dialer === to && target === from) proxy.blockDown();
    }
  }

  async refuse(a: number, b: number): Promise<void> {
    for (const { dialer, proxy, target } of this.#links) {
      if ((dialer === a && target === b) || (dialer === b && target === a)) proxy.refuse();
    }
  }

  async forgetBusiest(from: number, to: number): Promise<void> {
    const pairs = this.#links.flatMap(({ dialer, proxy, target }) => {
      if (dialer === from && target === to) return proxy.carried("up");
      return dialer === to && target === from ? proxy.carried("down") : [];
    });
    const [busiest] = pairs.sort((a, b) => b.bytes - a.bytes);
    if (busiest === undefined) throw new Error(`no connection from node ${from} to node ${to}`);
    busiest.forget();
  }

  async slow(nodeId: number): Promise<void> {
    for (const { dialer, proxy, target } of this.#links) {
      if (dialer === nodeId || target === nodeId) proxy.slow();
    }
  }

  async heal(): Promise<void> {
    for (const { proxy } of this.#links) proxy.heal();
  }

  async swallowed(from: number): Promise<number> {
    return this.#links.reduce((sum, { dialer, proxy, target }) => {
      const up = dialer === from ? proxy.counts.heldUp : 0;
      return sum + up + (target === from ? proxy.counts.heldDown : 0);
    }, 0);
  }

  async resets(): Promise<number> {
    return this.#links.reduce((sum, { proxy }) => sum + proxy.counts.resets, 0);
  }

  async slowed(): Promise<number> {
    return this.#links.reduce((sum, { proxy }) => sum + proxy.counts.slowed, 0);
  }

  async close(): Promise<void> {
    await Promise.all(this.#links.map(({ proxy }) => proxy.close()));
  }

  async #open(dialer: number, target: number, endpoint: string): Promise<void> {
    if (dialer === target) return;
    if (this.#links.some((link) => link.dialer === dialer && link.endpoint === endpoint)) return;
    const [host = "", port = ""] = endpoint.split(":");
    const proxy = await LinkProxy.open(host, Number(port));
    this.#links.push({ dialer, target, endpoint, proxy });
  }

  #write(dialer: number): void {
    const own = this.#links.filter((link) => link.dialer === dialer);
    const ports = Object.fromEntries(own.map(({ endpoint, proxy }) => [endpoint, proxy.port]));
    writeFileSync(this.#file(dialer), JSON.stringify(ports));
  }

  #file(nodeId: number): string {
    return join(this.#directory, `links-${nodeId}.json`);
  }
}
