// MetadataService: answered by any broker from its own copy.
import { GetMetadataResponse } from "../../rpc/generated/flotilla-v1.ts";
import { metadataService } from "../../rpc/methods.ts";
import type { ServiceRegistry } from "../../rpc/ports.ts";
import type { BrokerNode } from "../node.ts";

export function registerMetadataService(node: BrokerNode, services: ServiceRegistry): void {
  services.unary(metadataService.getMetadata, (request) =>
    Promise.resolve().then(() => GetMetadataResponse.create(node.reader.metadata(request))),
  );
}
