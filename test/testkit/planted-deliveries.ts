// For each anomaly of consuming tiny histories in which it is planted, each with a twin that looks like it and is legal.
// Used by deliveries.test.ts, and by planted.test.ts to know that every kind is planted.
import type { SubscriptionDeclared } from "../../src/testkit/index.ts";
import { DeliveryStory } from "./delivery-story.ts";
import { PLANTED_LATE } from "./planted-late.ts";
import { PLANTED_LEASES, type Planted } from "./planted-leases.ts";

function shared(more: Partial<SubscriptionDeclared> = {}): DeliveryStory {
  return DeliveryStory.of(more);
}
function keyed(more: Partial<SubscriptionDeclared> = {}): DeliveryStory {
  return DeliveryStory.keyed(more);
}

export const PLANTED_DELIVERIES: readonly Planted[] = [
  ...PLANTED_LEASES,
  ...PLANTED_LATE,
  {
    kind: "stuck-consumer",
    how: "it waits, and nothing comes",
    bad: shared().consumer("c", "started").sent("a").wait(31_000).deliver("c", "1.1", "a"),
    because: "it is busy",
    good: shared()
      .sent("b", "a")
      .consumer("c", "started")
      .deliver("c", "1.1", "b")
      .wait(31_000)
      .acked("c", "1.1", "b")
      .deliver("c", "1.2", "a"),
  },
  {
    kind: "stuck-consumer",
    how: "long after the last fault",
    bad: shared()
      .consumer("c", "started")
      .sent("a")
      .fault("kill", "start", 1)
      .wait(10_000)
      .fault("kill", "stop", 1)
      .wait(31_000)
      .deliver("c", "1.1", "a"),
    because: "a node is down all the time",
    good: shared()
      .consumer("c", "started")
      .sent("a")
      .fault("kill", "start", 1)
      .wait(31_000)
      .fault("kill", "stop", 1)
      .deliver("c", "1.1", "a"),
  },
  {
    kind: "stuck-consumer",
    how: "it goes on after a pause, but nothing comes",
    bad: shared()
      .consumer("c", "started")
      .pause(true)
      .sent("a")
      .pause(false)
      .wait(31_000)
      .deliver("c", "1.1", "a"),
    because: "it is paused",
    good: shared()
      .consumer("c", "started")
      .pause(true)
      .sent("a")
      .wait(31_000)
      .pause(false)
      .deliver("c", "1.1", "a"),
  },
  {
    kind: "cursor-regress",
    how: "under the next leader",
    bad: shared().cursor(5, { leaderEpoch: 1 }).cursor(3, { leaderEpoch: 2 }),
    because: "a leader that was deposed answers",
    good: shared().cursor(5, { leaderEpoch: 2 }).cursor(3, { leaderEpoch: 1 }),
  },
  {
    kind: "cursor-regress",
    how: "nobody moved it",
    bad: shared().cursor(5).cursor(3),
    because: "it was moved",
    good: shared().cursor(5).reset(3).cursor(3),
  },
  {
    kind: "forgotten-ack",
    how: "not settled in the end",
    bad: shared().sent("a").deliver("c", "1.1", "a").acked("c", "1.1", "a").atRest("a"),
    because: "the subscription was moved back",
    good: shared()
      .sent("a")
      .deliver("c", "1.1", "a")
      .acked("c", "1.1", "a")
      .pause(true)
      .reset(0)
      .atRest("a"),
  },
  {
    kind: "lost-dead-letter",
    how: "rejected, settled, and nowhere",
    bad: shared()
      .sent("a")
      .deliver("c", "1.1", "a")
      .ask("c", "1.1", "reject", "a")
      .answer("c")
      .atRest()
      .deadScanned(),
    because: "it is there",
    good: shared()
      .sent("a")
      .deliver("c", "1.1", "a")
      .ask("c", "1.1", "reject", "a")
      .answer("c")
      .atRest()
      .dead("a")
      .deadScanned(),
  },
  {
    kind: "lost-dead-letter",
    how: "failed for the last time, and nothing happens",
    bad: shared({ attemptsMax: 1 })
      .sent("a")
      .deliver("c", "1.1", "a")
      .nacked("c", "1.1", "a")
      .atRest("a")
      .deadScanned(),
    because: "its key is parked",
    good: keyed({ attemptsMax: 1 })
      .sent("a:k")
      .deliver("c", "1.1", "a")
      .nacked("c", "1.1", "a")
      .atRest("a")
      .deadScanned(),
  },
  {
    kind: "doubled-dead-letter",
    how: "moved twice",
    bad: shared({ attemptsMax: 1 })
      .sent("a")
      .deliver("c", "1.1", "a")
      .nacked("c", "1.1", "a")
      .dead("a")
      .dead("a"),
    because: "the same dead letter was read twice",
    good: shared({ attemptsMax: 1 })
      .sent("a")
      .deliver("c", "1.1", "a")
      .nacked("c", "1.1", "a")
      .dead("a", { deadOffset: 0 })
      .dead("a", { deadOffset: 0 }),
  },
  {
    kind: "unwanted-delivery",
    how: "another marker",
    bad: shared({ filter: { markers: ["red"] } })
      .sendOne("a", undefined, "blue")
      .deliver("c", "1.1", "a"),
    because: "it has the marker",
    good: shared({ filter: { markers: ["red"] } })
      .sendOne("a", undefined, "red")
      .deliver("c", "1.1", "a"),
  },
  {
    kind: "unwanted-delivery",
    how: "not in the list",
    bad: shared({ filter: { values: ["b"] } })
      .sent("a")
      .deliver("c", "1.1", "a"),
    because: "the filter was altered meanwhile",
    good: shared({ filter: { values: ["b"] } })
      .sent("a")
      .tell({
        ...{ type: "subscription", atMs: 1500, subscription: "s", mode: "shared", topics: ["t"] },
        ...{ start: "earliest", attemptsMax: 3, onFailure: "skip", ackDeadlineMs: 30_000 },
      })
      .deliver("c", "1.1", "a"),
  },
  {
    kind: "lost-message",
    how: "passed by without a delivery",
    bad: shared().sent("a", "b").deliver("c", "1.1", "b").acked("c", "1.1", "b").atRest(),
    because: "the filter does not want it",
    good: shared({ filter: { values: ["b"] } })
      .sent("a", "b")
      .deliver("c", "1.1", "b")
      .acked("c", "1.1", "b")
      .atRest(),
  },
  {
    kind: "lost-message",
    how: "delivered to a consumer that was killed, and settled",
    bad: shared().sent("a").deliver("c", "1.1", "a").consumer("c", "killed").atRest(),
    because: "its ack may have arrived",
    good: shared()
      .sent("a")
      .deliver("c", "1.1", "a")
      .ask("c", "1.1", "ack", "a")
      .consumer("c", "killed")
      .atRest(),
  },
  {
    kind: "lost-message",
    how: "a reset brought it back, and what had been acknowledged before settles it",
    bad: shared().sent("a").deliver("c", "1.1", "a").acked("c", "1.1", "a").reset(0).atRest(),
    because: "it was acknowledged once more",
    good: shared()
      .sent("a")
      .deliver("c", "1.1", "a")
      .acked("c", "1.1", "a")
      .reset(0)
      .deliver("c", "1.2", "a")
      .ask("c", "1.2", "ack", "a")
      .atRest(),
  },
  {
    kind: "lost-message",
    how: "a reset brought it back before the end was looked at",
    bad: shared().sent("a").deliver("c", "1.1", "a").acked("c", "1.1", "a").reset(0).atRest(),
    because: "the reset came after that",
    good: shared().sent("a").deliver("c", "1.1", "a").acked("c", "1.1", "a").atRest().reset(0),
  },
  {
    kind: "lost-message",
    how: "a reset brought it back, and what was acknowledged as it began settles it",
    bad: shared().sent("a").deliver("c", "1.1", "a").reset(0).ask("c", "1.1", "ack", "a").atRest(),
    because: "it may have been handed out since",
    good: shared().sent("a").reset(0).deliver("c", "1.1", "a").ask("c", "1.1", "ack", "a").atRest(),
  },
  {
    kind: "lost-message",
    how: "left behind at rest",
    bad: shared().sent("a").atRest("a"),
    because: "it waits behind a parked message of its key",
    good: keyed({ attemptsMax: 1 })
      .sent("b:k", "a:k")
      .deliver("c", "1.1", "b")
      .nacked("c", "1.1", "b")
      .atRest("b", "a"),
  },
  {
    kind: "lost-message",
    how: "sent after the declaration",
    bad: shared({ start: "declared" }).sent("a").atRest(),
    because: "sent before it: the subscription begins at the latest",
    good: shared({ start: "declared", atMs: 9000 }).sent("a").atRest(),
  },
  {
    kind: "wrong-attempts",
    how: "one nack, two failures",
    bad: shared()
      .sent("a")
      .deliver("c", "1.1", "a")
      .nacked("c", "1.1", "a")
      .deliver("c", "1.2", "a!2"),
    because: "there was one",
    good: shared()
      .sent("a")
      .deliver("c", "1.1", "a")
      .nacked("c", "1.1", "a")
      .deliver("c", "1.2", "a!1"),
  },
  {
    kind: "wrong-attempts",
    how: "a release counts",
    bad: shared()
      .sent("a")
      .deliver("c", "1.1", "a")
      .ask("c", "1.1", "release", "a")
      .answer("c")
      .deliver("c", "1.2", "a!1"),
    because: "the release was refused, since its deadline had passed",
    good: shared()
      .sent("a")
      .deliver("c", "1.1", "a")
      .ask("c", "1.1", "release", "a")
      .answer("c", "refused")
      .deliver("c", "1.2", "a!1"),
  },
  {
    kind: "wrong-attempts",
    how: "a failure that was confirmed is forgotten",
    bad: shared()
      .sent("a")
      .deliver("c", "1.1", "a")
      .nacked("c", "1.1", "a")
      .deliver("c", "2.1", "a!0"),
    because: "the nack was never confirmed",
    good: shared()
      .sent("a")
      .deliver("c", "1.1", "a")
      .ask("c", "1.1", "nack", "a")
      .deliver("c", "2.1", "a!0"),
  },
  {
    kind: "wrong-attempts",
    how: "a consumer that reports what it begins had not begun",
    bad: shared()
      .consumer("c", "started", true)
      .sent("a")
      .deliver("c", "1.1", "a")
      .lost("c", "1.1", "deadline", "a")
      .deliver("d", "1.2", "a!1"),
    because: "it had begun",
    good: shared()
      .consumer("c", "started", true)
      .sent("a")
      .deliver("c", "1.1", "a")
      .begin("c", "1.1", "a")
      .lost("c", "1.1", "deadline", "a")
      .deliver("d", "1.2", "a!1"),
  },
  {
    kind: "wrong-attempts",
    how: "nobody was killed since it was sent",
    bad: shared()
      .consumer("c", "started", true)
      .consumer("c", "killed")
      .sent("a")
      .deliver("d", "1.2", "a!1"),
    because: "a consumer was killed, perhaps before it could tell that it had begun",
    good: shared()
      .consumer("c", "started", true)
      .sent("a")
      .consumer("c", "killed")
      .deliver("d", "1.2", "a!1"),
  },
  {
    kind: "wrong-death",
    how: "before its limit",
    bad: shared().sent("a").deliver("c", "1.1", "a").nacked("c", "1.1", "a").dead("a"),
    because: "it was rejected",
    good: shared()
      .sent("a")
      .deliver("c", "1.1", "a")
      .ask("c", "1.1", "reject", "a")
      .answer("c")
      .dead("a"),
  },
  {
    kind: "wrong-death",
    how: "handed out beyond its limit",
    bad: shared({ attemptsMax: 1 })
      .sent("a")
      .deliver("c", "1.1", "a")
      .nacked("c", "1.1", "a")
      .deliver("c", "1.2", "a!1"),
    because: "it has no dead letter topic, and is tried for ever",
    good: shared({ attemptsMax: 1, deadLetterTopic: undefined })
      .sent("a")
      .deliver("c", "1.1", "a")
      .nacked("c", "1.1", "a")
      .deliver("c", "1.2", "a!1"),
  },
  {
    kind: "delivered-while-paused",
    how: "long after the pause was confirmed",
    bad: shared().sent("a").pause(true).wait(3000).deliver("c", "1.1", "a"),
    because: "at once after it",
    good: shared().sent("a").pause(true).wait(1000).deliver("c", "1.1", "a"),
  },
  {
    kind: "wrong-delivery",
    how: "nobody sent it",
    bad: shared().deliver("c", "1.1", "ghost"),
    because: "it was sent",
    good: shared().sent("a").deliver("c", "1.1", "a"),
  },
  {
    kind: "unmatched-settlement",
    how: "of something that was not delivered",
    bad: shared().sent("a").ask("c", "1.1", "ack", "a"),
    because: "it goes on under a new token",
    good: shared()
      .sent("a")
      .deliver("c", "1.1", "a")
      .resume("c", "2.1", "a")
      .acked("c", "2.1", "a")
      .atRest(),
  },
  {
    kind: "unmatched-settlement",
    how: "an answer without a question",
    bad: shared().sent("a").deliver("c", "1.1", "a").answer("c"),
    because: "it was asked",
    good: shared().sent("a").deliver("c", "1.1", "a").acked("c", "1.1", "a").atRest(),
  },
];
