// Dead letters: prepared on the metadata leader, listed and redriven by the leader of their partition. See docs/adr/0016.
import { requireDeadLetterTopic } from "../../cluster/redrive-preparation.ts";
import { ownHeaders } from "../../delivery/dead-letter-facts.ts";
import { scanDeadLetters } from "../../delivery/dead-letter-scan.ts";
import type { FoundLetter } from "../../delivery/dead-letter-view.ts";
import type { DeliveryRunner } from "../../delivery/delivery-runner.ts";
import type { DeliveryPartition } from "../../delivery/ports.ts";
import { planRedrive, type RedriveOutcome, redrive } from "../../delivery/redrive.ts";
import { canonicalFilter, filterOf } from "../../filter/canonical-filter.ts";
import { type CompiledFilter, compileFilter } from "../../filter/compile-filter.ts";
import { BrokerError } from "../../model/errors.ts";
import type { TopicId } from "../../model/ids.ts";
import { PAGE_SIZE_DEFAULT, PAGE_SIZE_MAX } from "../../model/limits.ts";
import { deadLetterLedgerOf } from "../../model/subscription.ts";
import {
  DeadLetter,
  DeadLetterAttempt,
  DeadLetterHeader,
  type ListDeadLettersRequest,
  ListDeadLettersResponse,
  PrepareRedriveResponse,
  type RedriveDeadLettersRequest,
  RedriveDeadLettersResponse,
  RedrivenMessage,
} from "../../rpc/generated/flotilla-v1.ts";
import { deadLetterService } from "../../rpc/methods.ts";
import type { ServiceRegistry } from "../../rpc/ports.ts";
import type { BrokerNode } from "../node.ts";
import { requirePartition } from "./lookup.ts";

/** Letters of one call. More: INVALID_REQUEST. */
const REDRIVE_LIMIT_MAX = 256;
/** Of a filter. */
const LOGGED_CHARACTERS_MAX = 500;
/** For callers without a deadline of their own. */
const PREPARE_TIMEOUT_MS = 30_000;

export function registerDeadLetterService(node: BrokerNode, services: ServiceRegistry): void {
  const { clock, logger } = node.ports;
  services.unary(
    deadLetterService.prepareRedrive,
    async ({ subscription }, { deadlineMs, signal }) => {
      const untilMs = deadlineMs ?? clock.monotonicMs() + PREPARE_TIMEOUT_MS;
      const prepared = await node.redrives.prepare(subscription, { deadlineMs: untilMs, signal });
      return PrepareRedriveResponse.create(prepared);
    },
  );
  services.unary(deadLetterService.listDeadLetters, (request) => list(node, request));
  services.unary(deadLetterService.redriveDeadLetters, async (request, { peer }) => {
    const { filter, partition, subscription } = request;
    const { outcome, to } = await redriveSome(node, request);
    const { held, lookedAt, matching, messages, nextOffset } = outcome;
    if (messages.length > 0) {
      const wanted = filter.slice(0, LOGGED_CHARACTERS_MAX);
      const fields = { subscription, partition, filter: wanted, redriven: messages.length, peer };
      logger.info(fields, "dead letters were sent back to their subscription");
    }
    return RedriveDeadLettersResponse.create({
      ...{ lookedAt, matching, held, nextOffset, toOffset: to },
      redriven: messages.length,
      duplicates: messages.filter(({ duplicate }) => duplicate).length,
      messages: messages.map(({ letter: { facts, record }, offset, partition: number }) =>
        RedrivenMessage.create({
          offset: record.offset,
          redrivePartition: number,
          redriveOffset: offset,
          originTopic: facts.origin.topic,
          originPartition: facts.origin.partition,
          originOffset: facts.origin.offset,
        }),
      ),
    });
  });
}

interface Place {
  readonly subscription: string;
  readonly topicId: string;
  readonly partition: number;
}

interface Found {
  readonly partition: DeliveryPartition;
  /** Undefined: nobody dealt with any letter yet. */
  readonly ledger: DeliveryRunner | undefined;
}

/** @throws BrokerError UNKNOWN_SUBSCRIPTION | INVALID_REQUEST | NOT_LEADER | LEADER_UNKNOWN | UNKNOWN_TOPIC_OR_PARTITION */
function find(node: BrokerNode, { partition: number, subscription, topicId }: Place): Found {
  const { image } = node.view;
  const { definition } = node.subscriptionDefinitions.require(subscription);
  const topic = requireDeadLetterTopic(definition);
  if (image.topicByName(topic)?.topicId !== topicId) {
    throw invalid("topicId", `the topic of its dead letters, ${topic}`);
  }
  const led = requirePartition(node, topicId as TopicId, number);
  led.requireLeader();
  const deliveries = node.partitions.delivery.get(led.topicId, number);
  if (deliveries === undefined) throw led.notLeader();
  const row = image.subscriptionByName(deadLetterLedgerOf(subscription));
  const ledger = row === undefined ? undefined : deliveries.runner(row.subscriptionId);
  // Until the cursor is there nobody can say which letters are open.
  if (row !== undefined && ledger === undefined) throw notAttached();
  return { partition: deliveries.partition, ledger };
}

async function list(
  node: BrokerNode,
  request: ListDeadLettersRequest,
): Promise<ListDeadLettersResponse> {
  const { fromOffset, openOnly, subscription, withValues } = request;
  const limit = limitOf(request.limit, PAGE_SIZE_MAX);
  const filter = compiled(request.filter);
  const { ledger, partition } = find(node, request);
  const settled = ledger?.state.settled;
  const { highWatermark: to } = partition;
  const nowMs = node.ports.clock.wallMs();
  const wish = { subscription, from: fromOffset, to, limit, filter, settled, openOnly, nowMs };
  const { found, nextOffset } = await scanDeadLetters(partition, wish);
  return ListDeadLettersResponse.create({
    letters: found.map((letter) => {
      const isOpen = settled?.isSettled(letter.record.offset) !== true;
      return letterOf(letter, isOpen, withValues);
    }),
    nextOffset,
    highWatermark: to,
  });
}

async function redriveSome(
  node: BrokerNode,
  request: RedriveDeadLettersRequest,
): Promise<{ readonly outcome: RedriveOutcome; readonly to: number }> {
  const { dryRun, fromOffset: from, subscription, toOffset } = request;
  const limit = limitOf(request.limit, REDRIVE_LIMIT_MAX);
  const filter = compiled(request.filter);
  const { ledger, partition } = find(node, request);
  const { highWatermark } = partition;
  const to = toOffset === 0 ? highWatermark : Math.min(toOffset, highWatermark);
  const wish = { subscription, from, to, limit, filter, nowMs: node.ports.clock.wallMs() };
  if (dryRun) return { outcome: await planRedrive(partition, ledger, wish), to };
  if (ledger === undefined) throw notAttached();
  return { outcome: await redrive(ledger, wish, node.deadLetters), to };
}

function letterOf({ diedMs, facts, record }: FoundLetter, open: boolean, withValues: boolean) {
  const { attempts, error, failed, origin, reason, redriven } = facts;
  return DeadLetter.create({
    offset: record.offset,
    diedMs,
    originTopic: origin.topic,
    originPartition: origin.partition,
    originOffset: origin.offset,
    timestampMs: origin.timestampMs,
    ...{ reason, error, failed, redriven, open },
    attempts: attempts.map((attempt) => DeadLetterAttempt.create(attempt)),
    key: record.key,
    value: withValues ? record.value : undefined,
    valueBytes: record.value?.length ?? 0,
    headers: ownHeaders(record.headers).map(({ name, value }) =>
      DeadLetterHeader.create({ name, value: Buffer.from(value) }),
    ),
  });
}

function limitOf(limit: number, max: number): number {
  if (limit > max) throw invalid("limit", `at most ${max}`);
  return limit === 0 ? PAGE_SIZE_DEFAULT : limit;
}

/** @throws BrokerError INVALID_REQUEST with `field`, `limit` and, for expressions, `position` */
function compiled(json: string): CompiledFilter {
  return compileFilter(filterOf(canonicalFilter(json)));
}

function notAttached(): BrokerError {
  const message = "the partition does not remember yet which dead letters are dealt with";
  return new BrokerError("CHANGE_IN_PROGRESS", message);
}

function invalid(field: string, limit: string): BrokerError {
  return new BrokerError("INVALID_REQUEST", `${field} is not valid: ${limit}`, { field, limit });
}
