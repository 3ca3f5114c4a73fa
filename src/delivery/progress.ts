// How far a subscription is in one partition led here. Called by the broker's service and its metrics.
import type { Offset } from "../model/positions.ts";
import type { DeliveryRunner } from "./delivery-runner.ts";
import { RecordFeed } from "./record-feed.ts";

/** Shape of the protocol's PartitionProgress, without what only the caller knows. */
export interface SubscriptionProgress {
  readonly cursor: Offset;
  readonly unsettledMessages: number;
  readonly unsettledBytes: number;
  readonly oldestUnsettledMs: number;
  readonly outstandingMessages: number;
  readonly retryingMessages: number;
  readonly parkedKeys: number;
  readonly droppedMessages: number;
  readonly consumers: number;
  readonly activeConsumer: string;
  readonly acknowledgedMessages: number;
  readonly filteredMessages: number;
  readonly deadMessages: number;
  readonly stoppedAtPlusOne: number;
}

/** @throws BrokerError as RecordFeed: the message at the cursor is read for its time */
export async function progressOf(runner: DeliveryRunner): Promise<SubscriptionProgress> {
  const { partition, state } = runner;
  const { stoppedAt, ...known } = runner.progress();
  const oldestUnsettledMs =
    known.cursor >= partition.highWatermark ? 0 : await appendTimeOf(runner, known.cursor);
  const messages = partition.highWatermark - partition.logStartOffset;
  const share = messages === 0 ? 0 : Math.min(1, known.unsettledMessages / messages);
  return {
    ...known,
    unsettledBytes: Math.round(partition.logBytes * share),
    oldestUnsettledMs,
    droppedMessages: state.droppedMessages,
    stoppedAtPlusOne: stoppedAt === undefined ? 0 : stoppedAt + 1,
  };
}

/** ms since 1970; 0: retention dropped it. @throws BrokerError as RecordFeed */
export async function appendTimeOf({ partition }: DeliveryRunner, offset: Offset): Promise<number> {
  const { appendTimesMs } = await new RecordFeed(partition).offsets([offset], 1);
  return appendTimesMs[0] ?? 0;
}
