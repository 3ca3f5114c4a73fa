// Moving a subscription's cursor in one partition, and what that would do. Called by the broker's service.
import { BrokerError } from "../model/errors.ts";
import type { Offset } from "../model/positions.ts";
import type { DeliveryRunner } from "./delivery-runner.ts";
import { invalid } from "./settle-request.ts";

export interface SeekTarget {
  readonly kind?: "earliest" | "latest" | "time" | "offset" | undefined;
  readonly offset: Offset;
  readonly timeMs: number;
}

/** Shape of the protocol's SeekResponse. */
export interface SeekOutcome {
  readonly from: Offset;
  readonly to: Offset;
  readonly skippedMessages: number;
  readonly repeatedMessages: number;
}

/**
 * @param isDry only tell what would happen
 * @throws BrokerError INVALID_REQUEST, and as DeliveryPartition.propose
 */
export async function seek(
  runner: DeliveryRunner,
  target: SeekTarget,
  isDry: boolean,
): Promise<SeekOutcome> {
  const to = await targetOf(runner, target);
  requireOpen(runner);
  const outcome = outcomeOf(runner, to);
  if (isDry) return outcome;
  const { id } = runner.state;
  const reply = await runner.partition.propose({ type: "seek", id, offset: to });
  if (reply.outcome === "not-attached") {
    throw new BrokerError("UNKNOWN_SUBSCRIPTION", "the subscription left the partition meanwhile");
  }
  // In force, whether this node still leads or not.
  runner.seeked();
  return { ...outcome, from: reply.from ?? outcome.from, to: reply.to ?? to };
}

async function targetOf(
  { partition }: DeliveryRunner,
  { kind, offset, timeMs }: SeekTarget,
): Promise<Offset> {
  const { highWatermark, logStartOffset } = partition;
  switch (kind) {
    case "earliest":
      return logStartOffset;
    case "latest":
      return highWatermark;
    case "offset":
      return Math.min(Math.max(offset, logStartOffset), highWatermark);
    case "time": {
      const found = await partition.offsetOfTime(timeMs);
      return Math.min(Math.max(found ?? highWatermark, logStartOffset), partition.highWatermark);
    }
    case undefined:
      throw invalid("kind", "EARLIEST, LATEST, TIME or OFFSET");
  }
}

/** Everything below the new cursor counts as settled, nothing above it does. */
function outcomeOf({ state }: DeliveryRunner, to: Offset): SeekOutcome {
  const { settled } = state;
  const from = settled.cursor;
  if (to <= from) {
    const repeatedMessages = from - to + settled.settledAbove;
    return { from, to, skippedMessages: 0, repeatedMessages };
  }
  const repeatedMessages = settled.settledFrom(to);
  const settledBetween = settled.settledAbove - repeatedMessages;
  return { from, to, skippedMessages: to - from - settledBetween, repeatedMessages };
}

function requireOpen({ isClosed, partition }: DeliveryRunner): void {
  if (isClosed) throw partition.notLeader();
}
