// For each anomaly of leases and order tiny histories in which it is planted, each with a twin that looks like it and is
// legal. planted-deliveries.ts has the others.
import type { AnomalyKind, SubscriptionDeclared } from "../../src/testkit/index.ts";
import { DeliveryStory } from "./delivery-story.ts";

export interface Planted {
  readonly kind: AnomalyKind;
  readonly how: string;
  readonly bad: DeliveryStory;
  /** What makes the twin legal. */
  readonly because: string;
  readonly good: DeliveryStory;
}

const ONE_PARTITION = { partitions: 1, replicas: 3, flush: "sync" } as const;

function shared(more: Partial<SubscriptionDeclared> = {}): DeliveryStory {
  return DeliveryStory.of(more);
}
function keyed(more: Partial<SubscriptionDeclared> = {}): DeliveryStory {
  return DeliveryStory.keyed(more);
}
function exclusive(): DeliveryStory {
  return DeliveryStory.of({ mode: "exclusive", onFailure: "stop" });
}

export const PLANTED_LEASES: readonly Planted[] = [
  {
    kind: "redelivered-after-ack",
    how: "under the next leader",
    bad: shared()
      .sent("a")
      .deliver("c", "1.1", "a")
      .acked("c", "1.1", "a")
      .deliver("d", "2.1", "a"),
    because: "its ack was never confirmed",
    good: shared()
      .sent("a")
      .deliver("c", "1.1", "a")
      .ask("c", "1.1", "ack", "a")
      .deliver("d", "2.1", "a")
      .acked("d", "2.1", "a"),
  },
  {
    kind: "redelivered-after-ack",
    how: "under the same leader",
    bad: shared()
      .sent("a")
      .deliver("c", "1.1", "a")
      .acked("c", "1.1", "a")
      .deliver("c", "1.2", "a"),
    because: "that delivery is an older one, which was long under way",
    good: shared()
      .sent("a")
      .deliver("c", "1.2", "a")
      .acked("c", "1.2", "a")
      .deliver("d", "1.1", "a"),
  },
  {
    kind: "redelivered-after-ack",
    how: "a reset went forward only",
    bad: shared()
      .sent("a", "b")
      .deliver("c", "1.1", "a")
      .acked("c", "1.1", "a")
      .reset(1)
      .deliver("c", "1.2", "a"),
    because: "the subscription was moved back",
    good: shared()
      .sent("a", "b")
      .deliver("c", "1.1", "a")
      .acked("c", "1.1", "a")
      .reset(0)
      .deliver("c", "1.2", "a"),
  },
  {
    kind: "redelivered-after-ack",
    how: "a minority was lost",
    bad: shared()
      .sent("a")
      .deliver("c", "1.1", "a")
      .acked("c", "1.1", "a")
      .fault("wipe", "start", 1)
      .deliver("c", "2.1", "a"),
    because: "the disks of a majority were lost",
    good: shared()
      .sent("a")
      .deliver("c", "1.1", "a")
      .acked("c", "1.1", "a")
      .fault("wipe", "start", 1, 2)
      .deliver("c", "2.1", "a"),
  },
  {
    kind: "delivered-twice-at-once",
    how: "one leader, two consumers",
    bad: shared().sent("a").deliver("c", "1.1", "a").deliver("d", "1.2", "a"),
    because: "the first one's deadline had passed",
    good: shared().sent("a").deliver("c", "1.1", "a").wait(30_000).deliver("d", "1.2", "a"),
  },
  {
    kind: "delivered-twice-at-once",
    how: "the lease had been extended",
    bad: shared()
      .sent("a")
      .deliver("c", "1.1", "a")
      .wait(20_000)
      .ask("c", "1.1", "extend", "a")
      .answer("c")
      .wait(20_000)
      .deliver("d", "1.2", "a"),
    because: "the extension was refused",
    good: shared()
      .sent("a")
      .deliver("c", "1.1", "a")
      .wait(20_000)
      .ask("c", "1.1", "extend", "a")
      .answer("c", "refused")
      .wait(20_000)
      .deliver("d", "1.2", "a"),
  },
  {
    kind: "delivered-twice-at-once",
    how: "keyed, and the next leader did not wait",
    bad: keyed().sent("a:k").deliver("c", "1.1", "a").deliver("d", "2.1", "a"),
    because: "shared: a new leader knows no leases",
    good: shared().sent("a:k").deliver("c", "1.1", "a").deliver("d", "2.1", "a"),
  },
  {
    kind: "delivered-twice-at-once",
    how: "another consumer was killed",
    bad: shared()
      .sent("a")
      .deliver("c", "1.1", "a")
      .consumer("e", "killed")
      .deliver("d", "1.2", "a"),
    because: "the holder was killed",
    good: shared()
      .sent("a")
      .deliver("c", "1.1", "a")
      .consumer("c", "killed")
      .deliver("d", "1.2", "a"),
  },
  {
    kind: "delivered-twice-at-once",
    how: "the holder had lost its connection long before it got the message",
    bad: shared()
      .sent("a")
      .consumer("c", "killed")
      .wait(200)
      .deliver("c", "1.1", "a")
      .deliver("d", "1.2", "a"),
    because: "the holder got it while it was dying",
    good: shared()
      .sent("a")
      .consumer("c", "killed")
      .wait(2)
      .deliver("c", "1.1", "a")
      .deliver("d", "1.2", "a"),
  },
  {
    kind: "delivered-twice-at-once",
    how: "the first one never gave it up",
    bad: shared().sent("a").deliver("c", "1.1", "a").wait(100).deliver("d", "1.2", "a"),
    because: "it was told that it lost the lease, a little later",
    good: shared()
      .sent("a")
      .deliver("c", "1.1", "a")
      .wait(100)
      .deliver("d", "1.2", "a")
      .lost("c", "1.1", "revoked", "a"),
  },
  {
    kind: "stale-settlement-accepted",
    how: "a newer delivery was there",
    bad: shared()
      .sent("a")
      .deliver("c", "1.1", "a")
      .wait(31_000)
      .deliver("d", "1.2", "a")
      .acked("c", "1.1", "a"),
    because: "it was refused",
    good: shared()
      .sent("a")
      .deliver("c", "1.1", "a")
      .wait(31_000)
      .deliver("d", "1.2", "a")
      .ask("c", "1.1", "ack", "a")
      .answer("c", "refused"),
  },
  {
    kind: "stale-settlement-accepted",
    how: "the lease had been lost",
    bad: shared()
      .sent("a")
      .deliver("c", "1.1", "a")
      .lost("c", "1.1", "deadline", "a")
      .acked("c", "1.1", "a"),
    because: "it was asked before the notice came",
    good: shared()
      .sent("a")
      .deliver("c", "1.1", "a")
      .ask("c", "1.1", "ack", "a")
      .lost("c", "1.1", "deadline", "a")
      .answer("c"),
  },
  {
    kind: "stale-settlement-accepted",
    how: "the lease had been lost, and nothing is dropped",
    bad: shared()
      .sent("a")
      .deliver("c", "1.1", "a")
      .lost("c", "1.1", "deadline", "a")
      .acked("c", "1.1", "a"),
    because: "retention may have dropped it",
    good: shared()
      .tell({ type: "topic", atMs: 2, topic: "t", ...ONE_PARTITION, keepsAll: false })
      .sent("a")
      .deliver("c", "1.1", "a")
      .lost("c", "1.1", "deadline", "a")
      .acked("c", "1.1", "a"),
  },
  {
    kind: "stale-settlement-accepted",
    how: "a nack of a former holder",
    bad: shared()
      .sent("a")
      .deliver("c", "1.1", "a")
      .wait(31_000)
      .deliver("d", "1.2", "a")
      .nacked("c", "1.1", "a"),
    because: "the message was settled already, which is what it asks for",
    good: shared()
      .sent("a")
      .deliver("c", "1.1", "a")
      .wait(31_000)
      .deliver("d", "1.2", "a")
      .acked("d", "1.2", "a")
      .ask("c", "1.1", "ack", "a")
      .answer("c"),
  },
  {
    kind: "order-broken",
    how: "keyed: the next of a key while the first is out",
    bad: keyed().sent("a:k", "b:k").deliver("c", "1.1", "a").deliver("d", "1.2", "b"),
    because: "it is of another key",
    good: keyed().sent("a:k", "b:l").deliver("c", "1.1", "a").deliver("d", "1.2", "b"),
  },
  {
    kind: "order-broken",
    how: "keyed: the next of a key while the first is retried",
    bad: keyed()
      .sent("a:k", "b:k")
      .deliver("c", "1.1", "a")
      .nacked("c", "1.1", "a")
      .deliver("d", "1.2", "b")
      .acked("d", "1.2", "b")
      .deliver("c", "1.3", "a!1"),
    because: "shared keeps no order",
    good: shared()
      .sent("a:k", "b:k")
      .deliver("c", "1.1", "a")
      .nacked("c", "1.1", "a")
      .deliver("d", "1.2", "b")
      .acked("d", "1.2", "b")
      .deliver("c", "1.3", "a!1"),
  },
  {
    kind: "order-broken",
    how: "keyed: a key goes on though it is parked",
    bad: keyed({ attemptsMax: 1 })
      .sent("a:k", "b:k")
      .deliver("c", "1.1", "a")
      .nacked("c", "1.1", "a")
      .deliver("c", "1.2", "b"),
    because: "it was let go without the message",
    good: keyed({ attemptsMax: 1 })
      .sent("a:k", "b:k")
      .deliver("c", "1.1", "a")
      .nacked("c", "1.1", "a")
      .unpark("a", true)
      .deliver("c", "1.2", "b"),
  },
  {
    kind: "order-broken",
    how: "keyed: a key goes on before it is let go",
    bad: keyed({ attemptsMax: 1 })
      .sent("a:k", "b:k")
      .deliver("c", "1.1", "a")
      .nacked("c", "1.1", "a")
      .deliver("c", "1.2", "b")
      .unpark("a", true),
    because: "it was let go first",
    good: keyed({ attemptsMax: 1 })
      .sent("a:k", "b:k")
      .deliver("c", "1.1", "a")
      .nacked("c", "1.1", "a")
      .unpark("a", true)
      .deliver("c", "1.2", "b"),
  },
  {
    kind: "order-broken",
    how: "keyed: an acknowledgement that was refused settles nothing",
    bad: keyed()
      .sent("a:k", "b:k")
      .deliver("c", "1.1", "a")
      .ask("c", "1.1", "ack", "a")
      .answer("c", "refused")
      .deliver("d", "1.2", "b"),
    because: "its outcome is unknown: it may have been applied",
    good: keyed()
      .sent("a:k", "b:k")
      .deliver("c", "1.1", "a")
      .ask("c", "1.1", "ack", "a")
      .deliver("d", "1.2", "b"),
  },
  {
    kind: "order-broken",
    how: "keyed: the earlier one is first handed out after the later one",
    bad: keyed()
      .sent("a:k", "b:k")
      .deliver("c", "1.1", "b")
      .acked("c", "1.1", "b")
      .deliver("c", "1.2", "a"),
    because: "the subscription was moved back",
    good: keyed()
      .sent("a:k", "b:k")
      .deliver("c", "1.1", "a")
      .acked("c", "1.1", "a")
      .deliver("c", "1.2", "b")
      .acked("c", "1.2", "b")
      .reset(0)
      .deliver("c", "1.3", "a"),
  },
  {
    kind: "order-broken",
    how: "keyed: the next of a key, which went back, while the first is out again",
    bad: keyed()
      .sent("a:k", "b:k")
      .deliver("c", "1.1", "a")
      .reset(0)
      .lost("c", "1.1", "seek", "a")
      .deliver("c", "1.2", "a")
      .deliver("d", "1.3", "b"),
    because: "the next one was handed out before it went back, and was long under way",
    good: keyed()
      .sent("a:k", "b:k")
      .deliver("c", "1.1", "a")
      .acked("c", "1.1", "a")
      .reset(0)
      .deliver("c", "1.3", "a")
      .lost("c", "1.3", "deadline", "a")
      .wait(3500)
      .deliver("d", "1.2", "b")
      .lost("d", "1.2", "seek", "b")
      .deliver("c", "1.4", "a!1"),
  },
  {
    kind: "order-broken",
    how: "keyed, skip: the next one before the first has died",
    bad: keyed({ onFailure: "skip" })
      .sent("a:k", "b:k")
      .deliver("c", "1.1", "a")
      .nacked("c", "1.1", "a")
      .deliver("c", "1.2", "b"),
    because: "the first one was rejected",
    good: keyed({ onFailure: "skip" })
      .sent("a:k", "b:k")
      .deliver("c", "1.1", "a")
      .ask("c", "1.1", "reject", "a")
      .answer("c")
      .deliver("c", "1.2", "b"),
  },
  {
    kind: "order-broken",
    how: "fifo: messages without a key are one key",
    bad: DeliveryStory.of({ mode: "fifo" })
      .sent("a", "b")
      .deliver("c", "1.1", "a")
      .deliver("c", "1.2", "b"),
    because: "keyed: without a key there is no order",
    good: keyed().sent("a", "b").deliver("c", "1.1", "a").deliver("c", "1.2", "b"),
  },
  {
    kind: "order-broken",
    how: "exclusive: the next one is begun after the first has failed",
    bad: exclusive()
      .sent("a", "b")
      .deliver("c", "1.1", "a", "b")
      .begin("c", "1.1", "a")
      .end("c", "1.1", false, "a")
      .begin("c", "1.1", "b"),
    because: "the first one has succeeded, and its ack is under way",
    good: exclusive()
      .sent("a", "b")
      .deliver("c", "1.1", "a", "b")
      .begin("c", "1.1", "a")
      .end("c", "1.1", true, "a")
      .begin("c", "1.1", "b"),
  },
  {
    kind: "order-broken",
    how: "exclusive: another consumer goes on behind what is not settled",
    bad: exclusive()
      .sent("a", "b", "d")
      .deliver("c", "1.1", "a", "b")
      .consumer("c", "killed")
      .deliver("e", "1.2", "d"),
    because: "it begins with the first that is not settled",
    good: exclusive()
      .sent("a", "b", "d")
      .deliver("c", "1.1", "a", "b")
      .consumer("c", "killed")
      .deliver("e", "1.2", "a", "b", "d"),
  },
  {
    kind: "order-broken",
    how: "exclusive: the new leader begins too late, and goes back",
    bad: exclusive()
      .sent("a", "b")
      .deliver("c", "1.1", "a")
      .consumer("c", "killed")
      .ask("c", "1.1", "ack", "a")
      .deliver("e", "2.1", "b")
      .deliver("e", "2.2", "a"),
    because: "the same consumer had both, and lost both",
    good: exclusive()
      .sent("a", "b")
      .deliver("c", "1.1", "a", "b")
      .nacked("c", "1.1", "a")
      .lost("c", "1.1", "revoked", "b")
      .deliver("c", "1.2", "a!1", "b"),
  },
];
