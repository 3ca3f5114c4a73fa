// All services of a broker, for whatever registry carries them: a gRPC listener or the simulator's network.
import type { ServiceRegistry } from "../../rpc/ports.ts";
import type { BrokerNode } from "../node.ts";
import { registerAdminService } from "./admin-service.ts";
import { registerDeadLetterService } from "./dead-letter-service.ts";
import { registerFetchService } from "./fetch-service.ts";
import { registerMemberService } from "./member-service.ts";
import { registerMetadataService } from "./metadata-service.ts";
import { registerPeerControlService } from "./peer-control-service.ts";
import { registerPeerRepairService } from "./peer-repair-service.ts";
import { registerInternalPublish, registerProduceService } from "./produce-service.ts";
import { registerSubscriptionDefinitionService } from "./subscription-definition-service.ts";
import { registerSubscriptionService } from "./subscription-service.ts";

/** What clients call. Before the node starts. */
export function registerClientServices(node: BrokerNode, services: ServiceRegistry): void {
  registerProduceService(node, services);
  registerFetchService(node, services);
  registerMetadataService(node, services);
  registerAdminService(node, services);
  registerMemberService(node, services);
  registerSubscriptionDefinitionService(node, services);
  registerSubscriptionService(node, services);
  registerDeadLetterService(node, services);
}

/** What other brokers call. Before the node starts. */
export function registerPeerServices(node: BrokerNode, services: ServiceRegistry): void {
  node.transport.register(services);
  registerPeerControlService(node, services);
  registerPeerRepairService(node, services);
  registerInternalPublish(node, services);
}
