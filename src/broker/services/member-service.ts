// The part of AdminService about who holds what: moves of replicas, nodes that leave, voters of the metadata group.
// Changes on the metadata leader, lists on any broker.
import {
  CancelDecommissionResponse,
  CancelMoveResponse,
  DecommissionNodeResponse,
  InspectReplicaResponse,
  ListMovesResponse,
  MoveReplicaResponse,
  RebalanceResponse,
  SetMetadataVotersResponse,
  UnsafeRecoverResponse,
} from "../../rpc/generated/flotilla-v1.ts";
import { adminService } from "../../rpc/methods.ts";
import type { ServiceRegistry } from "../../rpc/ports.ts";
import type { BrokerNode } from "../node.ts";
import { requireReplica } from "./lookup.ts";

export function registerMemberService(node: BrokerNode, services: ServiceRegistry): void {
  const { members, moves } = node;
  services.unary(adminService.moveReplica, async (request) =>
    MoveReplicaResponse.create(await members.moveReplica(request)),
  );
  services.unary(adminService.cancelMove, async (request) =>
    CancelMoveResponse.create(await members.cancelMove(request)),
  );
  services.unary(adminService.listMoves, ({ nodeId }) =>
    Promise.resolve().then(() => ListMovesResponse.create(moves.listMoves(nodeId))),
  );
  services.unary(adminService.decommissionNode, async (request) =>
    DecommissionNodeResponse.create(await members.decommission(request)),
  );
  services.unary(adminService.cancelDecommission, async ({ nodeId }) =>
    CancelDecommissionResponse.create(await members.cancelDecommission(nodeId)),
  );
  services.unary(adminService.rebalance, async ({ execute }) =>
    RebalanceResponse.create(await members.rebalance(execute)),
  );
  services.unary(adminService.setMetadataVoters, async ({ count }) => {
    await members.setMetadataVoters(count);
    return SetMetadataVotersResponse.create();
  });
  services.unary(adminService.inspectReplica, ({ partition, topic }) =>
    Promise.resolve().then(() => {
      const replica = requireReplica(node, topic, partition);
      return InspectReplicaResponse.create(node.recovery.inspect(replica));
    }),
  );
  services.unary(adminService.unsafeRecover, async ({ partition, topic, ...wish }) => {
    const replica = requireReplica(node, topic, partition);
    return UnsafeRecoverResponse.create(await node.recovery.recover(replica, wish));
  });
}
