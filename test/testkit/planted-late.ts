// What is written down late, because its consumer was out of reach or another leader lets it go on: tiny histories in which
// something is wrong all the same, each with a twin that is legal. Part of planted-deliveries.ts.
import { SETTLED_ALREADY } from "../../src/testkit/delivery-events.ts";
import type { SubscriptionDeclared } from "../../src/testkit/index.ts";
import { DeliveryStory } from "./delivery-story.ts";
import type { Planted } from "./planted-leases.ts";

function keyed(): DeliveryStory {
  return DeliveryStory.keyed();
}
function exclusive(onFailure: "stop" | "park"): DeliveryStory {
  return DeliveryStory.of({ mode: "exclusive", onFailure });
}
function bothOut(): DeliveryStory {
  return exclusive("stop")
    .sent("a", "b")
    .deliver("c", "1.1", "a")
    .deliver("c", "1.2", "b")
    .begin("c", "1.1", "a");
}
/** Consumers say what they begin. */
function reporting(more: Partial<SubscriptionDeclared> = {}): DeliveryStory {
  return DeliveryStory.of(more).consumer("c", "started", true).consumer("d", "started", true);
}
function outOfReach(story: DeliveryStory, during: (story: DeliveryStory) => void): DeliveryStory {
  story.consumer("c", "unreachable");
  during(story);
  return story.wait(3000).consumer("c", "reachable");
}

export const PLANTED_LATE: readonly Planted[] = [
  {
    kind: "delivered-while-paused",
    how: "its consumer was out of reach, and that was over long before",
    bad: outOfReach(reporting().sent("a"), () => undefined)
      .pause(true)
      .wait(3000)
      .deliver("c", "1.1", "a"),
    because: "it was under way to a consumer out of reach when the pause came",
    good: outOfReach(reporting().sent("a"), (told) => told.pause(true)).deliver("c", "1.1", "a"),
  },
  {
    kind: "delivered-while-paused",
    how: "its consumer was out of reach before",
    bad: outOfReach(reporting().sent("a").pause(true).wait(3000), () => undefined).deliver(
      "c",
      "1.1",
      "a",
    ),
    because: "the pause was over when it came",
    good: outOfReach(reporting().sent("a").pause(true).wait(3000), () => undefined)
      .pause(false)
      .deliver("c", "1.1", "a"),
  },
  {
    kind: "order-broken",
    how: "a seek had brought the earlier one back long before the later one went out",
    bad: keyed()
      .sent("a:k", "b:k")
      .deliver("c", "1.1", "a")
      .acked("c", "1.1", "a")
      .reset(0)
      .wait(5000)
      .deliver("c", "1.2", "b")
      .deliver("d", "1.3", "a"),
    because: "the later one was handed out before the seek, to a consumer out of reach",
    good: outOfReach(
      keyed().sent("a:k", "b:k").deliver("c", "1.1", "a").acked("c", "1.1", "a"),
      (told) => told.reset(0),
    )
      .deliver("c", "1.2", "b")
      .lost("c", "1.2", "seek", "b")
      .deliver("d", "1.3", "a"),
  },
  {
    kind: "order-broken",
    how: "exclusive: a consumer of which one hears late had the later one alone",
    bad: exclusive("stop").sent("a", "b").deliver("d", "1.2", "a", "b").deliver("c", "1.1", "b"),
    because: "it had both",
    good: exclusive("stop")
      .sent("a", "b")
      .deliver("d", "1.2", "a", "b")
      .deliver("c", "1.1", "a", "b"),
  },
  {
    kind: "order-broken",
    how: "exclusive: what was revoked comes after a later one",
    bad: exclusive("park")
      .sent("a:k", "b:k", "e:l")
      .deliver("c", "1.1", "a")
      .deliver("c", "1.2", "b")
      .acked("c", "1.1", "a")
      .lost("c", "1.2", "revoked", "b")
      .deliver("c", "1.3", "e")
      .begin("c", "1.3", "e")
      .deliver("c", "1.4", "b"),
    because: "its key was parked meanwhile, and let go by hand",
    good: exclusive("park")
      .sent("a:k", "b:k", "e:l")
      .deliver("c", "1.1", "a")
      .deliver("c", "1.2", "b")
      .ask("c", "1.1", "reject", "a")
      .answer("c")
      .lost("c", "1.2", "revoked", "b")
      .deliver("c", "1.3", "e")
      .begin("c", "1.3", "e")
      .unpark("a", true)
      .deliver("c", "1.4", "b"),
  },
  {
    kind: "order-broken",
    how: "exclusive: another consumer got a later one before what was lost",
    bad: exclusive("park")
      .sent("a:k", "b:k", "e:l")
      .deliver("c", "1.1", "a")
      .acked("c", "1.1", "a")
      .deliver("c", "1.2", "b")
      .lost("c", "1.2", "session", "b")
      .deliver("d", "1.3", "e"),
    because: "the key was parked by an earlier message",
    good: exclusive("park")
      .sent("a:k", "b:k", "e:l")
      .deliver("c", "1.1", "a")
      .ask("c", "1.1", "reject", "a")
      .answer("c")
      .deliver("c", "1.2", "b")
      .lost("c", "1.2", "session", "b")
      .deliver("d", "1.3", "e"),
  },
  {
    kind: "order-broken",
    how: "exclusive: the later one is begun although the first was taken back",
    bad: bothOut()
      .lost("c", "1.1", "revoked", "a")
      .begin("c", "1.2", "b")
      .acked("c", "1.2", "b")
      .deliver("c", "1.3", "a"),
    because: "the later one is taken back, too, a moment later",
    good: bothOut()
      .lost("c", "1.1", "revoked", "a")
      .begin("c", "1.2", "b")
      .lost("c", "1.2", "revoked", "b")
      .deliver("c", "1.3", "a"),
  },
  {
    kind: "order-broken",
    how: "exclusive: a message that went out as often as it may fail did not fail",
    bad: exclusive("park")
      .sent("a:k", "b:k", "e:l")
      .deliver("c", "1.1", "a")
      .lost("c", "1.1", "revoked", "a")
      .deliver("c", "1.2", "a")
      .lost("c", "1.2", "revoked", "a")
      .deliver("c", "1.3", "a")
      .deliver("c", "1.4", "b")
      .lost("c", "1.4", "session", "b")
      .deliver("d", "1.5", "e"),
    because: "it failed each time, and so parked its key",
    good: exclusive("park")
      .sent("a:k", "b:k", "e:l")
      .deliver("c", "1.1", "a")
      .nacked("c", "1.1", "a")
      .deliver("c", "1.2", "a!1")
      .nacked("c", "1.2", "a")
      .deliver("c", "1.3", "a!2")
      .deliver("c", "1.4", "b")
      .nacked("c", "1.3", "a")
      .lost("c", "1.4", "revoked", "b")
      .deliver("d", "1.5", "e"),
  },
  {
    kind: "delivered-twice-at-once",
    how: "its holder is within reach again for long",
    bad: outOfReach(keyed().sent("a:k"), () => undefined)
      .wait(3000)
      .deliver("c", "1.1", "a")
      .deliver("d", "1.2", "a"),
    because: "its holder was out of reach, and lost its connection with that",
    good: outOfReach(keyed().sent("a:k"), () => undefined)
      .deliver("c", "1.1", "a")
      .deliver("d", "1.2", "a"),
  },
  {
    kind: "delivered-twice-at-once",
    how: "its holder went on with it under another leader",
    bad: keyed()
      .sent("a:k")
      .deliver("c", "1.1", "a")
      .resume("c", "2.1", "a")
      .deliver("d", "2.2", "a"),
    because: "its holder had given it up, and said so again to that leader",
    good: keyed()
      .sent("a:k")
      .deliver("c", "1.1", "a")
      .ask("c", "1.1", "nack", "a")
      .resume("c", "2.1", "a")
      .answer("c")
      .deliver("d", "2.2", "a!1"),
  },
  {
    kind: "stale-settlement-accepted",
    how: "somebody else has it under a newer leader",
    bad: DeliveryStory.of()
      .sent("a")
      .deliver("c", "1.1", "a")
      .deliver("d", "2.1", "a")
      .acked("c", "1.1", "a"),
    because: "a third leader let its first consumer go on before it confirmed",
    good: DeliveryStory.of()
      .sent("a")
      .deliver("c", "1.1", "a")
      .deliver("d", "2.1", "a")
      .ask("c", "1.1", "ack", "a")
      .resume("c", "3.1", "a")
      .answer("c"),
  },
  {
    kind: "wrong-attempts",
    how: "its consumer went on with it, and gave it back unharmed",
    bad: reporting()
      .sent("a")
      .deliver("c", "1.1", "a")
      .begin("c", "1.1", "a")
      .resume("c", "2.1", "a")
      .ask("c", "2.1", "release", "a")
      .answer("c")
      .deliver("d", "2.3", "a!1"),
    because: "somebody else had it before its first consumer was let go on",
    good: reporting()
      .sent("a")
      .deliver("c", "1.1", "a")
      .begin("c", "1.1", "a")
      .deliver("d", "2.3", "a!1")
      .acked("d", "2.3", "a")
      .resume("c", "2.5", "a"),
  },
  {
    kind: "wrong-death",
    how: "it was given back before its lease was over",
    bad: reporting({ attemptsMax: 2 })
      .sent("a")
      .deliver("c", "1.1", "a")
      .nacked("c", "1.1", "a")
      .deliver("c", "1.2", "a!1")
      .begin("c", "1.2", "a")
      .ask("c", "1.2", "release", "a")
      .answer("c")
      .dead("a"),
    because: "its consumer had come back meanwhile, and was told that it is settled",
    good: reporting({ attemptsMax: 2 })
      .sent("a")
      .deliver("c", "1.1", "a")
      .nacked("c", "1.1", "a")
      .deliver("c", "1.2", "a!1")
      .begin("c", "1.2", "a")
      .resume("c", `1.${SETTLED_ALREADY}`, "a")
      .ask("c", "1.2", "release", "a")
      .answer("c")
      .dead("a"),
  },
  {
    kind: "wrong-death",
    how: "one lease under two tokens fails once",
    bad: reporting({ attemptsMax: 2 })
      .sent("a")
      .deliver("c", "1.1", "a")
      .begin("c", "1.1", "a")
      .resume("c", "2.1", "a")
      .dead("a"),
    because: "once is enough",
    good: reporting({ attemptsMax: 1 })
      .sent("a")
      .deliver("c", "1.1", "a")
      .begin("c", "1.1", "a")
      .resume("c", "2.1", "a")
      .dead("a"),
  },
  {
    kind: "wrong-death",
    how: "the one that began it gave it back, the last one did not begin it",
    bad: reporting({ attemptsMax: 1 })
      .sent("a")
      .deliver("c", "1.1", "a")
      .begin("c", "1.1", "a")
      .ask("c", "1.1", "release", "a")
      .answer("c")
      .deliver("d", "1.2", "a")
      .dead("a"),
    because:
      "its lease had run out before it was given back, which is confirmed of what is settled",
    good: reporting({ attemptsMax: 1 })
      .sent("a")
      .deliver("c", "1.1", "a")
      .begin("c", "1.1", "a")
      .resume("c", "2.1", "a")
      .ask("c", "2.1", "release", "a")
      .answer("c")
      .dead("a"),
  },
];
