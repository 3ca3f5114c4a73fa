// What the faults may do to the links between brokers, and between the client and a broker. Two implementations: network
// namespaces (namespaces.ts), and a TCP proxy per link where those cannot be made (proxies.ts).
import type { Launch } from "../../support/local-cluster.ts";

/** The client's place in links; brokers have ids from 1. */
export const CLIENT = 0;

export interface Network {
  readonly transport: "namespaces" | "proxies";
  /** Where a broker's listeners are. */
  host(nodeId: number): string;
  /** How a broker must be started so that its traffic takes these links. */
  launch(nodeId: number): Launch;
  /** A place for one more broker. */
  addNode(nodeId: number): Promise<void>;
  /** Tells where a broker's gRPC listeners are; before it is started. */
  attach(nodeId: number, endpoints: readonly string[]): Promise<void>;
  /** From now on nothing that `from` sends reaches `to`; nobody is told. */
  block(from: number, to: number): Promise<void>;
  /** Connections between two break with a reset, and new ones are refused. */
  refuse(a: number, b: number): Promise<void>;
  /**
   * Of the connections between two, the one on which `from` has sent most so far: from now on it carries nothing either way, and
   * nobody is told, as when a firewall forgets it. New ones work.
   */
  forgetBusiest(from: number, to: number): Promise<void>;
  /** Makes everything that this node sends and receives slow and narrow. */
  slow(nodeId: number): Promise<void>;
  /** Every link works again. */
  heal(): Promise<void>;
  /** Packets (namespaces) or chunks (proxies) of `from` that were swallowed so far. */
  swallowed(from: number): Promise<number>;
  /** Connections that were reset so far. */
  resets(): Promise<number>;
  /** Packets or chunks that had to wait so far. */
  slowed(): Promise<number>;
  close(): Promise<void>;
}

/** Both directions between every node of one side and every node of the other. */
export async function separate(
  network: Network,
  side: readonly number[],
  others: readonly number[],
): Promise<void> {
  for (const a of side) {
    for (const b of others) {
      await network.block(a, b);
      await network.block(b, a);
    }
  }
}
