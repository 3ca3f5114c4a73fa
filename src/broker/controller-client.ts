// The way to the metadata leader for what this broker itself proposes: its own replica when it leads, otherwise a call to
// the leader's peer listener. Implements the cluster room's ControllerClient.

import { encodeMetadataCommand, type MetadataCommand } from "../cluster/metadata-commands.ts";
import type { MetadataController } from "../cluster/metadata-controller.ts";
import { decodeMetadataReply, resultOf } from "../cluster/metadata-reply.ts";
import type { ControllerClient } from "../cluster/ports.ts";
import { BrokerError } from "../model/errors.ts";
import type { NodeId } from "../model/ids.ts";
import type { ReplicaHandle } from "../replica/ports.ts";
import { ProposeMetadataRequest } from "../rpc/generated/flotilla-internal-v1.ts";
import { peerService } from "../rpc/methods.ts";
import type { Connection, Connector } from "../rpc/ports.ts";

/** A proposal that is not answered by then has an unknown outcome. */
const PROPOSE_TIMEOUT_MS = 5000;

export interface ControllerClientDeps {
  readonly clusterId: string;
  readonly nodeId: NodeId;
  readonly replica: Pick<ReplicaHandle, "leaderNode" | "isLeaderReady">;
  readonly controller: MetadataController;
  readonly connector: Connector;
  readonly endpointOf: (nodeId: NodeId) => string | undefined;
  /** Peer listeners of the configuration. */
  readonly peers: readonly { readonly nodeId: NodeId; readonly endpoint: string }[];
}

export class PeerControllerClient implements ControllerClient {
  readonly #deps: ControllerClientDeps;
  readonly #connections = new Map<string, Connection>();
  #nextPeer = 0;

  constructor(deps: ControllerClientDeps) {
    this.#deps = deps;
  }

  async propose(
    command: MetadataCommand,
  ): Promise<Readonly<Record<string, string | number | boolean>>> {
    const { clusterId, controller, endpointOf, nodeId, replica } = this.#deps;
    if (replica.isLeaderReady) return controller.propose(command);
    const leader = replica.leaderNode;
    const isElsewhere = leader !== 0 && leader !== nodeId;
    const endpoint = isElsewhere ? endpointOf(leader) : this.#anyPeer(command);
    if (endpoint === undefined) {
      throw new BrokerError("LEADER_UNKNOWN", "the metadata group has no ready leader known here");
    }
    const request = ProposeMetadataRequest.create({
      clusterId,
      nodeId,
      command: encodeMetadataCommand(command),
    });
    const response = await this.#connection(endpoint).unary(peerService.proposeMetadata, request, {
      timeoutMs: PROPOSE_TIMEOUT_MS,
    });
    return resultOf(decodeMetadataReply(response.reply));
  }

  /**
   * A directory that was replaced by another one hears of no leader any more: its replicas are members of nothing. Asking
   * the peers in turn tells it that it must stop.
   */
  #anyPeer(command: MetadataCommand): string | undefined {
    if (command.type !== "register-node") return undefined;
    const others = this.#deps.peers.filter((peer) => peer.nodeId !== this.#deps.nodeId);
    this.#nextPeer = (this.#nextPeer + 1) % Math.max(others.length, 1);
    return others[this.#nextPeer]?.endpoint;
  }

  close(): void {
    for (const connection of this.#connections.values()) connection.close();
    this.#connections.clear();
  }

  #connection(endpoint: string): Connection {
    let connection = this.#connections.get(endpoint);
    if (connection === undefined) {
      connection = this.#deps.connector.connect(endpoint, "peer-control");
      this.#connections.set(endpoint, connection);
    }
    return connection;
  }
}
