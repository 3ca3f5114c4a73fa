// Writes replicated commands about subscriptions: canonical ranges, texts of bounded length, lists that one entry can hold.
// Called by the leader's side of the delivery room; delivery-decoder.ts reads the result on every replica.
import { SUBSCRIPTION_LIMITS } from "../model/subscription.ts";
import type {
  DeliveryCommand,
  FailedAttempt,
  OffsetRange,
  SubscriptionUpdate,
} from "./delivery-commands.ts";

/** The command as a JSON object, for Partition.proposeCommand; error texts are cut, ranges sorted and merged. */
export function encodeDeliveryCommand(command: DeliveryCommand): Readonly<Record<string, unknown>> {
  if (command.type !== "deliver") return { ...command };
  return { type: "deliver", updates: command.updates.map(encodeUpdate) };
}

/** Sorted, disjoint, none empty, none touching another. */
export function mergedRanges(ranges: readonly OffsetRange[]): OffsetRange[] {
  const sorted = ranges.filter(([from, to]) => from < to).sort(([a], [b]) => a - b);
  const merged: OffsetRange[] = [];
  for (const [from, to] of sorted) {
    const last = merged.at(-1);
    if (last === undefined || from > last[1]) merged.push([from, to]);
    else if (to > last[1]) merged[merged.length - 1] = [last[0], to];
  }
  return merged;
}

function encodeUpdate(update: SubscriptionUpdate): Readonly<Record<string, unknown>> {
  const { id, settle, release, fail, dead, park, sessions } = update;
  return {
    id,
    ...some("settle", pairsOf(mergedRanges(settle ?? []))),
    ...some("release", release),
    ...some(
      "fail",
      fail?.map(({ offset, notBeforeMs, attempt }) => ({
        offset,
        notBeforeMs,
        ...encodeAttempt(attempt),
      })),
    ),
    ...some(
      "dead",
      dead?.map(({ offset, attempt }) => ({
        offset,
        ...(attempt === undefined ? {} : encodeAttempt(attempt)),
      })),
    ),
    ...some(
      "park",
      park?.map(({ offset, key, scope, sinceMs }) => ({
        offset,
        sinceMs,
        ...(key === undefined ? {} : { key: key.toString("base64") }),
        ...(scope === "partition" ? { partition: true } : {}),
      })),
    ),
    ...(sessions === undefined ? {} : { sessions }),
  };
}

function pairsOf(ranges: readonly OffsetRange[]): number[] {
  const pairs: number[] = [];
  let end = 0;
  for (const [from, to] of ranges) {
    pairs.push(from - end, to - from);
    end = to;
  }
  return pairs;
}

function encodeAttempt({ timeMs, cause, error }: FailedAttempt): Record<string, unknown> {
  const cut = error.slice(0, SUBSCRIPTION_LIMITS.errorCharacters);
  return { timeMs, cause, ...(cut === "" ? {} : { error: cut }) };
}

function some(name: string, values: readonly unknown[] | undefined): Record<string, unknown> {
  return values === undefined || values.length === 0 ? {} : { [name]: values };
}
