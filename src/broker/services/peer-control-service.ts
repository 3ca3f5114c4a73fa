// The unary part of the peer protocol: metadata commands that other brokers propose here.
import { BrokerError } from "../../model/errors.ts";
import { ProposeMetadataResponse } from "../../rpc/generated/flotilla-internal-v1.ts";
import { peerService } from "../../rpc/methods.ts";
import type { ServiceRegistry } from "../../rpc/ports.ts";
import type { BrokerNode } from "../node.ts";

export function registerPeerControlService(node: BrokerNode, services: ServiceRegistry): void {
  services.unary(peerService.proposeMetadata, async ({ clusterId, command }) => {
    if (clusterId !== node.options.nodeFile.clusterId) {
      throw new BrokerError("CLUSTER_MISMATCH", "the peer belongs to another cluster");
    }
    return ProposeMetadataResponse.create(await node.controller.answer(command));
  });
}
