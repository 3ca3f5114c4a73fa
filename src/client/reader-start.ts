// Where a reader begins: its options, and the questions that turn them into one cursor per partition.
import { sleep } from "../base/clock.ts";
import { BrokerError, isBrokerError } from "../model/errors.ts";
import { Admin, type PartitionOffsets } from "./admin.ts";
import { backoffMs, ROUTING_PAUSE_MS_MAX } from "./backoff.ts";
import type { ClientDeps } from "./client-deps.ts";
import { FetchCursor } from "./fetch-cursor.ts";
import type { TopicRoute } from "./topic-route.ts";

/**
 * Where to begin. Times: the first message appended at or after it, ms since 1970. A map gives offsets by partition;
 * partitions that it does not name begin at the earliest.
 */
export type StartPosition =
  | "earliest"
  | "latest"
  | { readonly offset: number }
  | { readonly timeMs: number }
  | ReadonlyMap<number, number>;

export interface ReaderOptions {
  readonly topic: string;
  /** Default: all that exist when the reader starts. */
  readonly partitions?: readonly number[] | undefined;
  /** Default "earliest". */
  readonly from?: StartPosition | undefined;
  /** "end": ends at what was committed when the reader started. Default: goes on for ever. */
  readonly until?: "end" | undefined;
  /** Bytes received and not consumed, all brokers together; default 8 MiB, at least 64 KiB. */
  readonly creditBytes?: number | undefined;
  /** Default true. */
  readonly verifyChecksums?: boolean | undefined;
  /** A partition without a reachable leader for so long ends the reader with an error, ms; default 120000. */
  readonly unavailableTimeoutMs?: number | undefined;
  /** Aborting it makes the iteration throw CANCELLED. */
  readonly signal?: AbortSignal | undefined;
}

/** A topic that was described is asked for so often before it counts as unknown: some seconds. */
const REFRESHES_MAX = 20;
/** Bounds are asked for this many partitions at a time. */
const QUESTIONS_MAX = 32;

export interface ReaderStart {
  /** Held: whoever ends lets go of it (`holders`). */
  readonly route: TopicRoute;
  readonly cursors: readonly FetchCursor[];
}

/**
 * Finds topic, partitions and offsets; waits for leaders while there are none.
 * @throws BrokerError UNKNOWN_TOPIC_OR_PARTITION, INVALID_REQUEST, DEADLINE, CANCELLED
 */
export async function findStart(
  deps: ClientDeps,
  options: ReaderOptions,
  signal: AbortSignal,
): Promise<ReaderStart> {
  const admin = new Admin(deps);
  const route = await holdTopic(deps, admin, options.topic, signal);
  try {
    const partitions = wantedPartitions(options, route.partitionCount);
    return { route, cursors: await findCursors(admin, options, partitions, signal) };
  } catch (error) {
    route.holders -= 1;
    throw error;
  }
}

async function findCursors(
  admin: Admin,
  options: ReaderOptions,
  partitions: readonly number[],
  signal: AbortSignal,
): Promise<readonly FetchCursor[]> {
  const cursors: FetchCursor[] = [];
  for (let from = 0; from < partitions.length; from += QUESTIONS_MAX) {
    const some = partitions.slice(from, from + QUESTIONS_MAX);
    const found = some.map((partition) => startCursor(admin, options, partition, signal));
    cursors.push(...(await Promise.all(found)));
  }
  return cursors;
}

/** Held from here on: offsets are asked for as long as it takes, and it must not be forgotten meanwhile. */
async function holdTopic(
  deps: ClientDeps,
  admin: Admin,
  topic: string,
  signal: AbortSignal,
): Promise<TopicRoute> {
  let failure = new BrokerError("UNKNOWN_TOPIC_OR_PARTITION", `no topic is called "${topic}"`, {
    topic,
  });
  for (let attempt = 0; attempt < REFRESHES_MAX; attempt += 1) {
    // Also repeats the question while the cluster is not reachable or does not know a new topic yet.
    await admin.describeTopic(topic, { signal });
    try {
      const route = deps.metadata.topic(topic) ?? (await deps.metadata.refresh(topic));
      if (route !== undefined) {
        route.holders += 1;
        return route;
      }
    } catch (error) {
      if (!isBrokerError(error) || !error.retryable) throw error;
      failure = error;
    }
    // The broker that answered lags behind the one that described the topic; or nobody can be reached any more.
    await sleep(deps.clock, backoffMs(deps.random, attempt, ROUTING_PAUSE_MS_MAX), signal);
  }
  throw failure;
}

function wantedPartitions(options: ReaderOptions, count: number): readonly number[] {
  const wanted = options.partitions ?? Array.from({ length: count }, (_, i) => i);
  const wrong = wanted.find((one) => !Number.isInteger(one) || one < 0 || one >= count);
  if (wrong === undefined) return [...new Set(wanted)];
  throw new BrokerError("INVALID_REQUEST", `partition ${wrong} does not exist`, {
    field: "partitions",
    limit: count - 1,
  });
}

async function startCursor(
  admin: Admin,
  { topic, from = "earliest", until }: ReaderOptions,
  partition: number,
  signal: AbortSignal,
): Promise<FetchCursor> {
  const timeMs = typeof from === "object" && "timeMs" in from ? from.timeMs : 0;
  const bounds = await admin.listOffsets(topic, partition, timeMs, { signal });
  const end = until === "end" ? bounds.highWatermark : Number.POSITIVE_INFINITY;
  const cursor = new FetchCursor(topic, partition, startOffset(from, partition, bounds), end);
  cursor.highWatermark = bounds.highWatermark;
  cursor.logStartOffset = bounds.logStartOffset;
  return cursor;
}

function startOffset(from: StartPosition, partition: number, bounds: PartitionOffsets): number {
  if (from === "earliest") return bounds.logStartOffset;
  if (from === "latest") return bounds.highWatermark;
  if ("timeMs" in from) return bounds.offset;
  if ("offset" in from) return from.offset;
  return from.get(partition) ?? bounds.logStartOffset;
}
