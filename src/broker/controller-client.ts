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
}

export class PeerControllerClient implements ControllerClient {
  readonly #deps: ControllerClientDeps;
  readonly #connections = new Map<string, Connection>();

  constructor(deps: ControllerClientDeps) {
    this.#deps = deps;
  }

  async propose(
    command: MetadataCommand,
  ): Promise<Readonly<Record<string, string | number | boolean>>> {
    const { clusterId, controller, endpointOf, nodeId, replica } = this.#deps;
    if (replica.isLeaderReady) return await controller.propose(command);
    const leader = replica.leaderNode;
    const endpoint = leader === 0 || leader === nodeId ? undefined : endpointOf(leader);
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
