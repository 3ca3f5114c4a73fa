// Unary reads for any client: plain messages with long poll, and a partition's bounds. Batches are decoded here; the
// fetch streams never do that.
import type { Clock } from "../base/clock.ts";
import { BrokerError, isBrokerError } from "../model/errors.ts";
import { PAGE_SIZE_DEFAULT, PAGE_SIZE_MAX } from "../model/limits.ts";
import type { MemoryBudget } from "../model/memory-budget.ts";
import type { Offset, Term } from "../model/positions.ts";
import { readBatchHeader } from "../model/record-batch.ts";
import { type DecodedRecord, decodeBatch } from "../model/record-batch-decoder.ts";
import { type BatchRun, checkOffset, type FetchSlots, PartitionCursor } from "./fetch-path.ts";
import type { Partition } from "./partition.ts";

/** Longest wait, ms, inclusive. */
export const FETCH_WAIT_MS_MAX = 30_000;
const BYTES_DEFAULT = 1024 * 1024;
/** Payload bytes of one answer, soft. */
const BYTES_MAX = 8 * 1024 * 1024;

export interface MessagesRequest {
  readonly offset: Offset;
  /** 1 to 1000; 0: 100. */
  readonly messagesMax: number;
  /** Soft; 0: 1 MiB. */
  readonly bytesMax: number;
  /** At most 30000. */
  readonly waitMs: number;
}

/** A decoded record and the term that appended it. Key, value and headers are views of stored frames. */
export interface PlainRecord extends DecodedRecord {
  readonly leaderEpoch: Term;
}

export interface MessagesAnswer {
  /** In offset order. */
  readonly messages: readonly PlainRecord[];
  readonly nextOffset: Offset;
  readonly highWatermark: Offset;
  readonly logStartOffset: Offset;
}

export interface MessagesDeps {
  readonly clock: Clock;
  readonly slots: FetchSlots;
  /** Asked before each read. */
  readonly memory?: MemoryBudget;
}

/**
 * Messages from `offset` on; waits up to `waitMs` for a first one.
 * @param signal gives up the wait; the answer is empty then
 * @throws BrokerError INVALID_REQUEST | OFFSET_OUT_OF_RANGE | NOT_LEADER | LEADER_UNKNOWN | OVERLOADED | LOG_CORRUPT
 */
export async function fetchMessages(
  partition: Partition,
  request: MessagesRequest,
  deps: MessagesDeps,
  signal?: AbortSignal,
): Promise<MessagesAnswer> {
  const sinceMs = deps.clock.monotonicMs();
  try {
    const answer = await readMessages(partition, request, deps, signal);
    const result = answer.messages.length === 0 ? "empty" : "ok";
    partition.metrics.fetched(result, deps.clock.monotonicMs() - sinceMs);
    return answer;
  } catch (error) {
    if (isBrokerError(error)) partition.metrics.fetchRefused(error, true);
    throw error;
  }
}

async function readMessages(
  partition: Partition,
  request: MessagesRequest,
  deps: MessagesDeps,
  signal: AbortSignal | undefined,
): Promise<MessagesAnswer> {
  const limits = checkedLimits(request);
  partition.requireLeader();
  checkOffset(partition, request.offset);
  const endMs = deps.clock.monotonicMs() + request.waitMs;
  const cursor = new PartitionCursor(partition, request.offset);
  let run = await readOnce(cursor, limits.bytesMax, deps.memory);
  for (;;) {
    const leftMs = endMs - deps.clock.monotonicMs();
    if (run.batches.length > 0 || leftMs <= 0 || signal?.aborted === true) break;
    if (cursor.isAtEnd) await untilNews(partition, leftMs, deps, signal);
    partition.requireLeader();
    run = await readOnce(cursor, limits.bytesMax, deps.memory);
  }
  const messages = decode(run, request.offset, limits);
  partition.metrics.count("records_fetched", messages.length);
  partition.metrics.count("bytes_fetched", run.bytes);
  const last = messages.at(-1);
  return {
    messages,
    nextOffset: last === undefined ? cursor.offset : last.offset + 1,
    highWatermark: partition.highWatermark,
    logStartOffset: partition.logStartOffset,
  };
}

/** @throws BrokerError OVERLOADED when too much is being read for others; and as PartitionCursor.read */
async function readOnce(
  cursor: PartitionCursor,
  bytesMax: number,
  memory: MemoryBudget | undefined,
): Promise<BatchRun> {
  if (memory === undefined) return cursor.read(bytesMax);
  if (!memory.tryTake("read", bytesMax)) throw memory.refusal("read");
  try {
    return await cursor.read(bytesMax);
  } finally {
    memory.give("read", bytesMax);
  }
}

export interface OffsetsAnswer {
  readonly logStartOffset: Offset;
  readonly highWatermark: Offset;
  /** First offset whose append time is not before the one asked for; highWatermark when there is none. */
  readonly offset: Offset;
  readonly leaderEpoch: Term;
}

/**
 * Bounds of a partition, as new as anything that was acknowledged before the call.
 * @param timeMs ms since 1970; 0: only the bounds
 */
export async function listOffsets(partition: Partition, timeMs: number): Promise<OffsetsAnswer> {
  partition.requireLeader();
  const { replica } = partition;
  await replica.readBarrier();
  const found = timeMs === 0 ? undefined : await replica.offsetOfTime(timeMs);
  partition.requireLeader();
  const { highWatermark, logStartOffset, leaderEpoch } = partition;
  const offset = Math.max(logStartOffset, Math.min(found ?? highWatermark, highWatermark));
  return { logStartOffset, highWatermark, offset, leaderEpoch };
}

interface Limits {
  readonly messagesMax: number;
  readonly bytesMax: number;
}

function checkedLimits(request: MessagesRequest): Limits {
  const messagesMax = request.messagesMax === 0 ? PAGE_SIZE_DEFAULT : request.messagesMax;
  if (messagesMax > PAGE_SIZE_MAX) throw tooLarge("messagesMax", PAGE_SIZE_MAX);
  if (request.waitMs > FETCH_WAIT_MS_MAX) throw tooLarge("waitMs", FETCH_WAIT_MS_MAX);
  const bytesMax = request.bytesMax === 0 ? BYTES_DEFAULT : Math.min(request.bytesMax, BYTES_MAX);
  return { messagesMax, bytesMax };
}

/** Resolves when the partition has news, the time is up or the caller gave up. */
async function untilNews(
  partition: Partition,
  waitMs: number,
  { clock, slots }: MessagesDeps,
  signal: AbortSignal | undefined,
): Promise<void> {
  slots.take();
  let leave = (): void => undefined;
  let cancel = (): void => undefined;
  let onAbort = (): void => undefined;
  try {
    await new Promise<void>((resolve) => {
      leave = partition.park({ wake: resolve });
      cancel = clock.schedule(waitMs, resolve);
      onAbort = resolve;
      signal?.addEventListener("abort", onAbort, { once: true });
    });
  } finally {
    leave();
    cancel();
    signal?.removeEventListener("abort", onAbort);
    slots.give();
  }
}

function decode(run: BatchRun, from: Offset, limits: Limits): PlainRecord[] {
  const messages: PlainRecord[] = [];
  let bytes = 0;
  for (const batch of run.batches) {
    const leaderEpoch = readBatchHeader(batch)?.leaderEpoch ?? 0;
    for (const record of decodeBatch(batch)) {
      if (record.offset < from) continue;
      if (messages.length >= limits.messagesMax) return messages;
      bytes += (record.key?.length ?? 0) + (record.value?.length ?? 0);
      if (bytes > limits.bytesMax && messages.length > 0) return messages;
      messages.push({ ...record, leaderEpoch });
    }
  }
  return messages;
}

function tooLarge(field: string, limit: number): BrokerError {
  return new BrokerError("INVALID_REQUEST", `${field} must not exceed ${limit}`, { field, limit });
}
