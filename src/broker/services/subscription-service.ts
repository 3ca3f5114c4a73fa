// The part of SubscriptionService about one partition, answered by its leader: streams of consumers, progress, seeks, the fate
// of a message, parked keys. Definitions are in subscription-definition-service.ts.
import type { DeliveryRunner } from "../../delivery/delivery-runner.ts";
import { explain, type MessageExplanation } from "../../delivery/explain.ts";
import type { Failure } from "../../delivery/failure-table.ts";
import { progressOf } from "../../delivery/progress.ts";
import { seek } from "../../delivery/seek.ts";
import { BrokerError } from "../../model/errors.ts";
import type { TopicId } from "../../model/ids.ts";
import { PAGE_SIZE_DEFAULT, PAGE_SIZE_MAX } from "../../model/limits.ts";
import type { SubscriptionRow } from "../../model/subscription.ts";
import {
  ExplainResponse,
  type GetProgressRequest,
  GetProgressResponse,
  type ListParkedKeysRequest,
  ListParkedKeysResponse,
  PartitionProgress,
  ReleaseKeyResponse,
  SeekResponse,
  SubscribeResponse,
} from "../../rpc/generated/flotilla-v1.ts";
import { subscriptionService } from "../../rpc/methods.ts";
import type { ServiceRegistry } from "../../rpc/ports.ts";
import type { BrokerNode } from "../node.ts";
import { requirePartition } from "./lookup.ts";

export function registerSubscriptionService(node: BrokerNode, services: ServiceRegistry): void {
  services.bidi(subscriptionService.subscribe, (stream) => {
    const push = node.partitions.delivery.stream({
      send: (answer) => stream.send(SubscribeResponse.create(answer)),
      end: (error) => stream.end(error),
      pause: () => stream.pause(),
      resume: () => stream.resume(),
    });
    stream.onMessage = (message) => push.receive(message);
    stream.onDrain = () => push.drained();
    stream.onEnd = () => {
      push.close();
      stream.end();
    };
  });
  services.unary(subscriptionService.getProgress, (request) => progress(node, request));
  services.unary(subscriptionService.seek, async ({ dryRun, ...request }) => {
    const runner = requireRunner(node, request);
    return SeekResponse.create(await seek(runner, request, dryRun));
  });
  services.unary(subscriptionService.explain, async (request) => {
    const runner = requireRunner(node, request);
    return explainResponse(await explain(runner, request.offset));
  });
  services.unary(subscriptionService.listParkedKeys, (request) =>
    Promise.resolve().then(() => parkedKeys(requireRunner(node, request), request)),
  );
  services.unary(subscriptionService.releaseKey, async (request) => {
    const runner = requireRunner(node, request);
    await runner.release(request.offset, request.skipMessage);
    return ReleaseKeyResponse.create();
  });
}

interface Place {
  readonly subscription: string;
  readonly topicId: string;
  readonly partition: number;
}

/** @throws BrokerError UNKNOWN_SUBSCRIPTION | NOT_LEADER | LEADER_UNKNOWN | UNKNOWN_TOPIC_OR_PARTITION | CHANGE_IN_PROGRESS */
function requireRunner(node: BrokerNode, place: Place): DeliveryRunner {
  const row = requireSubscription(node, place.subscription);
  const partition = requirePartition(node, place.topicId as TopicId, place.partition);
  partition.requireLeader();
  const deliveries = node.partitions.delivery.get(partition.topicId, partition.partition);
  const runner = deliveries?.runner(row.subscriptionId);
  if (runner !== undefined) return runner;
  if (!node.view.image.subscriptionsOf(partition.topicId).includes(row)) {
    const message = "the subscription does not select this topic";
    throw new BrokerError("UNKNOWN_SUBSCRIPTION", message, { topicId: partition.topicId });
  }
  const message = "the partition does not keep a cursor for the subscription yet";
  throw new BrokerError("CHANGE_IN_PROGRESS", message);
}

function requireSubscription(node: BrokerNode, name: string): SubscriptionRow {
  const row = node.view.image.subscriptionByName(name);
  if (row !== undefined) return row;
  throw new BrokerError("UNKNOWN_SUBSCRIPTION", "no such subscription", {
    subscription: name.slice(0, 200),
  });
}

async function progress(
  node: BrokerNode,
  { subscription, topicId }: GetProgressRequest,
): Promise<GetProgressResponse> {
  const row = requireSubscription(node, subscription);
  const topics = node.view.image
    .topicsOf(row)
    .filter((topic) => topicId === "" || topic.topicId === topicId);
  const partitions: Promise<PartitionProgress>[] = [];
  for (const topic of topics) {
    for (let number = 0; number < topic.partitions; number += 1) {
      const partition = node.partitions.registry.get(topic.topicId, number);
      if (partition?.isLeaderReady !== true) continue;
      const runner = node.partitions.delivery
        .get(topic.topicId, number)
        ?.runner(row.subscriptionId);
      const { highWatermark, logStartOffset } = partition;
      const place = { topic: topic.name, topicId: topic.topicId, partition: number };
      const head = { ...place, attached: runner !== undefined, highWatermark, logStartOffset };
      partitions.push(
        runner === undefined
          ? Promise.resolve(PartitionProgress.create(head))
          : progressOf(runner).then((known) => PartitionProgress.create({ ...head, ...known })),
      );
    }
  }
  return GetProgressResponse.create({ partitions: await Promise.all(partitions) });
}

function explainResponse(explanation: MessageExplanation): ExplainResponse {
  const { failure, fate, handedOut, sentence } = explanation;
  return ExplainResponse.create({
    fate: fate.kind === "settling" ? "settled" : fate.kind,
    ...factsOf(fate),
    handedOut,
    failures: attemptsOf(failure),
    failed: failure?.failed ?? 0,
    sentence,
  });
}

function factsOf(fate: MessageExplanation["fate"]): Partial<ExplainResponse> {
  switch (fate.kind) {
    case "leased":
      return { consumer: fate.consumerId, untilMs: wholeMs(fate.untilMs) };
    case "filtered":
      return { filter: fate.filter };
    case "settled":
      return { filter: fate.unwantedBy ?? "" };
    case "waiting":
    case "parked":
      return { behindOffset: fate.behindOffset, key: fate.key };
    case "delayed":
      return { untilMs: wholeMs(fate.untilMs) };
    case "paused":
      return { untilMs: fate.untilMs, behindOffset: fate.stoppedAt ?? 0 };
    default:
      return {};
  }
}

/** Clocks of leaders know parts of milliseconds; the wire does not. */
function wholeMs(timeMs: number): number {
  return Math.ceil(timeMs);
}

function attemptsOf(failure: Failure | undefined): ExplainResponse["failures"] {
  return (failure?.attempts ?? []).map(({ cause, error, timeMs }) => ({ timeMs, cause, error }));
}

function parkedKeys(
  { state }: DeliveryRunner,
  { pageSize, pageToken }: ListParkedKeysRequest,
): ListParkedKeysResponse {
  const size = pageSize === 0 ? PAGE_SIZE_DEFAULT : pageSize;
  if (size > PAGE_SIZE_MAX) throw invalid("pageSize", `at most ${PAGE_SIZE_MAX}`);
  const after = pageToken === "" ? -1 : Number(pageToken);
  if (!Number.isSafeInteger(after)) throw invalid("pageToken", "one from an earlier answer");
  const parked = state.parked.all().filter(({ offset }) => offset > after);
  const page = parked.slice(0, size);
  const last = page.at(-1);
  return ListParkedKeysResponse.create({
    keys: page.map(({ key, offset, sinceMs }) => {
      return { key, offset, sinceMs, failures: attemptsOf(state.failures.get(offset)) };
    }),
    nextPageToken: last === undefined || page.length === parked.length ? "" : `${last.offset}`,
  });
}

function invalid(field: string, limit: string): BrokerError {
  return new BrokerError("INVALID_REQUEST", `${field} is not valid: ${limit}`, { field, limit });
}
