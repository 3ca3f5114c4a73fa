// The part of SubscriptionService about definitions: changes on the metadata leader, questions on any broker. What concerns
// one partition is answered by its leader (subscription-service.ts).
import {
  AlterSubscriptionResponse,
  CreateSubscriptionResponse,
  DeleteSubscriptionResponse,
  DescribeSubscriptionResponse,
  ListSubscriptionsResponse,
} from "../../rpc/generated/flotilla-v1.ts";
import { subscriptionService } from "../../rpc/methods.ts";
import type { CallContext, ServiceRegistry } from "../../rpc/ports.ts";
import type { BrokerNode } from "../node.ts";

/** For callers without a deadline of their own. */
const CHANGE_TIMEOUT_MS = 30_000;

export function registerSubscriptionDefinitionService(
  node: BrokerNode,
  services: ServiceRegistry,
): void {
  const { subscriptionDefinitions: definitions, subscriptionReader: reader } = node;
  const { clock } = node.ports;
  const waitingOf = ({ deadlineMs, signal }: CallContext) => ({
    deadlineMs: deadlineMs ?? clock.monotonicMs() + CHANGE_TIMEOUT_MS,
    signal,
  });
  services.unary(subscriptionService.createSubscription, async (request, context) =>
    CreateSubscriptionResponse.create(await definitions.create(request, waitingOf(context))),
  );
  services.unary(subscriptionService.alterSubscription, async (request, context) =>
    AlterSubscriptionResponse.create(await definitions.alter(request, waitingOf(context))),
  );
  services.unary(subscriptionService.deleteSubscription, async ({ name }) => {
    await definitions.delete(name);
    return DeleteSubscriptionResponse.create();
  });
  services.unary(subscriptionService.listSubscriptions, (request) =>
    Promise.resolve().then(() => ListSubscriptionsResponse.create(reader.list(request))),
  );
  services.unary(subscriptionService.describeSubscription, ({ name }) =>
    Promise.resolve().then(() => DescribeSubscriptionResponse.create(reader.describe(name))),
  );
}
