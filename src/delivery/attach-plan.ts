// Which subscriptions a partition shall keep a cursor for, compared with those that it keeps one for. Pure; called by
// partition-deliveries.ts whenever either side changed.
import type { LogIndex } from "../model/positions.ts";
import type { SubscriptionRow } from "../model/subscription.ts";

export interface AttachedSubscription {
  readonly id: string;
  /** Of the definition that it was attached, or last noted, with. */
  readonly version: number;
}

export interface AttachPlan {
  /** New ones, and those whose newer version is only to be noted. */
  readonly attach: readonly SubscriptionRow[];
  readonly detach: readonly string[];
}

/**
 * A subscription is detached only by somebody who has seen an image at least as new as the one that it was attached by: an
 * older image does not know it yet. That is why newer versions are noted: a subscription may have left the topic and come
 * back, and an image from between must not detach it.
 *
 * @param selected those that select the topic, by the image
 */
export function planAttachments(
  selected: readonly SubscriptionRow[],
  attached: Iterable<AttachedSubscription>,
  imageVersion: LogIndex,
): AttachPlan {
  const wanted = new Map(selected.map((row) => [row.subscriptionId, row]));
  const detach: string[] = [];
  for (const { id, version } of attached) {
    const row = wanted.get(id);
    if (row !== undefined && row.version <= version) wanted.delete(id);
    if (row === undefined && imageVersion >= version) detach.push(id);
  }
  return { attach: [...wanted.values()], detach };
}

/**
 * What of a plan to propose: a partition that is full is not asked again and again, each time with an entry in its log. The
 * oldest ones are attached first; the others wait until the plan changes, which it does when a subscription goes.
 *
 * @param attached those that the partition keeps a cursor for
 */
export function withinLimit(
  { attach, detach }: AttachPlan,
  attached: Iterable<AttachedSubscription>,
  limit: number,
): AttachPlan {
  const known = new Set(Array.from(attached, ({ id }) => id));
  let room = limit - known.size + detach.length;
  const fitting = attach.filter(({ subscriptionId }) => {
    if (known.has(subscriptionId)) return true;
    room -= 1;
    return room >= 0;
  });
  return { attach: fitting, detach };
}
