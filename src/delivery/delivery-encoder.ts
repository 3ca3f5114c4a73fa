// Writes replicated commands about subscriptions: canonical ranges, whole times, texts of bounded length, and no more of
// each than one entry may hold. Used by the delivery room's leader side; delivery-decoder.ts reads it on every replica.
import type { Offset } from "../model/positions.ts";
import { SUBSCRIPTION_LIMITS } from "../model/subscription.ts";
import {
  DELIVER_ITEMS_MAX,
  DELIVER_RANGES_MAX,
  DELIVER_UPDATES_MAX,
  type DeliveryCommand,
  type DeliveryReply,
  type FailedAttempt,
  type OffsetRange,
  type SubscriptionUpdate,
} from "./delivery-commands.ts";

type Json = Readonly<Record<string, unknown>>;

/** The command as a JSON object, for Partition.proposeCommand. A `deliver` must come from splitUpdates, or be small. */
export function encodeDeliveryCommand(command: DeliveryCommand): Json {
  switch (command.type) {
    case "attach": {
      const { type, id, version, startOffset, createdIndex } = command;
      return { type, id, version, startOffset, createdIndex };
    }
    case "detach":
      return { type: command.type, id: command.id };
    case "seek":
      return { type: command.type, id: command.id, offset: command.offset };
    case "deliver":
      return { type: command.type, updates: command.updates.map(encodeUpdate) };
  }
}

/** What Partition.proposeCommand resolves with. @throws TypeError for what DeliveryState never answers */
export function deliveryReplyOf(reply: unknown): DeliveryReply {
  if (!isDeliveryReply(reply)) throw new TypeError("no reply to a delivery command");
  return reply;
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

/**
 * Updates in portions of which each fits into one `deliver` command; to be proposed in this order. One portion unless there
 * is unusually much.
 */
export function splitUpdates(
  updates: readonly SubscriptionUpdate[],
): readonly (readonly SubscriptionUpdate[])[] {
  const portions: SubscriptionUpdate[][] = [];
  let room = { updates: 0, ranges: 0, items: 0 };
  for (const update of updates) {
    let rest: SubscriptionUpdate | undefined = update;
    while (rest !== undefined) {
      if (room.updates === 0 || room.ranges === 0 || room.items === 0) {
        portions.push([]);
        room = {
          updates: DELIVER_UPDATES_MAX,
          ranges: DELIVER_RANGES_MAX,
          items: DELIVER_ITEMS_MAX,
        };
      }
      const [first, later]: readonly [SubscriptionUpdate, SubscriptionUpdate | undefined] = cut(
        rest,
        room,
      );
      portions.at(-1)?.push(first);
      room.updates -= 1;
      room.ranges -= first.settle?.length ?? 0;
      room.items -= itemsOf(first);
      rest = later;
    }
  }
  return portions;
}

/** What fits, and what is left for the next portion. */
function cut(
  update: SubscriptionUpdate,
  room: { readonly ranges: number; readonly items: number },
): readonly [SubscriptionUpdate, SubscriptionUpdate | undefined] {
  if ((update.settle?.length ?? 0) <= room.ranges && itemsOf(update) <= room.items) {
    return [update, undefined];
  }
  const { complete } = update;
  const about = { id: update.id, ...(update.seeks !== undefined && { seeks: update.seeks }) };
  let left = room.items;
  const part = <T>(list: readonly T[] = []): readonly [readonly T[], readonly T[]] => {
    const count = Math.min(list.length, left);
    left -= count;
    return [list.slice(0, count), list.slice(count)];
  };
  const settle = update.settle ?? [];
  const [release, laterRelease] = part(update.release);
  const [fail, laterFail] = part(update.fail);
  const [dead, laterDead] = part(update.dead);
  const [park, laterPark] = part(update.park);
  // Who left makes room for those who joined; that these are all is true only then.
  const [gone, laterGone] = part(update.left);
  const [joined, laterJoined] = part(update.joined);
  const settled = settle.slice(0, room.ranges);
  return [
    { ...about, settle: settled, release, fail, dead, park, left: gone, joined },
    {
      ...about,
      settle: settle.slice(room.ranges),
      release: laterRelease,
      fail: laterFail,
      dead: laterDead,
      park: laterPark,
      left: laterGone,
      joined: laterJoined,
      ...(complete === true && { complete }),
    },
  ];
}

function itemsOf({ release, fail, dead, park, left, joined }: SubscriptionUpdate): number {
  let sum = 0;
  for (const list of [release, fail, dead, park, left, joined]) sum += list?.length ?? 0;
  return sum;
}

function encodeUpdate(update: SubscriptionUpdate): Json {
  const { id, seeks = 0, settle, release, fail, dead, park, left, joined, complete } = update;
  return {
    id,
    ...(seeks > 0 && { seeks }),
    ...some("settle", pairsOf(mergedRanges(settle ?? []))),
    ...some(
      "release",
      release?.map(({ offset, action }) => ({ offset, action })),
    ),
    ...some(
      "fail",
      fail?.map(({ offset, notBeforeMs, attempt }) => ({
        offset,
        notBeforeMs: wholeMs(notBeforeMs),
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
        sinceMs: wholeMs(sinceMs),
        ...(key === undefined ? {} : { key: key.toString("base64") }),
        ...(scope === "partition" ? { partition: true } : {}),
      })),
    ),
    ...some("left", left),
    ...some("joined", joined),
    ...(complete === true && { complete }),
  };
}

function pairsOf(ranges: readonly OffsetRange[]): Offset[] {
  const pairs: Offset[] = [];
  let end = 0;
  for (const [from, to] of ranges) {
    pairs.push(from - end, to - from);
    end = to;
  }
  return pairs;
}

function encodeAttempt({ timeMs, cause, error }: FailedAttempt): Json {
  const text = error.slice(0, SUBSCRIPTION_LIMITS.errorCharacters);
  return { timeMs: wholeMs(timeMs), cause, ...(text === "" ? {} : { error: text }) };
}

/** Delays are computed; replicas take whole milliseconds only. */
function wholeMs(ms: number): number {
  return Math.min(Math.max(0, Math.trunc(ms)), Number.MAX_SAFE_INTEGER);
}

function some(name: string, values: readonly unknown[] | undefined): Json {
  return values === undefined || values.length === 0 ? {} : { [name]: values };
}

function isDeliveryReply(reply: unknown): reply is DeliveryReply {
  if (typeof reply !== "object" || reply === null || !("outcome" in reply)) return false;
  const { outcome } = reply;
  return (
    outcome === "done" || outcome === "no-op" || outcome === "limit" || outcome === "not-attached"
  );
}
