// For each anomaly of consuming: the planted one is found and nothing else, and its legal twin raises nothing.
import { describe, expect, it } from "vitest";
import { CATALOGUE, checkHistory, History, type HistoryEvent } from "../../src/testkit/index.ts";
import { DeliveryStory } from "./delivery-story.ts";
import { PLANTED_DELIVERIES } from "./planted-deliveries.ts";

const rows = PLANTED_DELIVERIES.map((row) => [row.kind, row.how, row] as const);

describe("checker: planted anomalies of consuming", () => {
  it.each(rows)("finds %s: %s", (kind, _, { bad }) => {
    const { anomalies, counts, examined } = checkHistory(bad.events);
    expect(counts).toEqual({ [kind]: 1 });
    const [anomaly] = anomalies;
    expect(anomaly?.id).toBe(CATALOGUE[kind].id);
    expect(anomaly?.detail).not.toBe("");
    expect(anomaly?.events.length).toBeGreaterThan(0);
    expect(examined[kind]).toBeGreaterThan(0);
  });

  it.each(PLANTED_DELIVERIES.map((row) => [row.kind, row.because, row] as const))(
    "is not %s: %s",
    (_, __, { good }) => {
      expect(checkHistory(good.events).anomalies).toEqual([]);
    },
  );

  it("saved and loaded: the verdict is the same", () => {
    for (const { bad, kind } of PLANTED_DELIVERIES) {
      const history = new History();
      for (const event of bad.events) {
        if (event.type === "history") history.header = event;
        else history.add(event);
      }
      const loaded = History.fromJsonLines(history.toJsonLines());
      expect(checkHistory(loaded.lines()).counts).toEqual({ [kind]: 1 });
    }
  });

  it("exclusive: a parked key goes on when retention took what parked it, and only then", () => {
    // That it was acknowledged before a seek says nothing.
    const told = DeliveryStory.of({ mode: "exclusive", onFailure: "park" })
      .sent("a:k", "b:k", "d:l")
      .deliver("c", "1.0", "a")
      .acked("c", "1.0", "a")
      .reset(0)
      .wait(3000)
      .deliver("c", "1.1", "a")
      .ask("c", "1.1", "reject", "a")
      .answer("c")
      .deliver("c", "1.2", "d")
      .acked("c", "1.2", "d")
      .deliver("c", "1.3", "b");
    const judged = (from: number, isKept: boolean): Readonly<Record<string, number>> => {
      const place = { reader: "r", topic: "t", partition: 0 };
      const scan: HistoryEvent = { type: "scan", beganMs: 9000, atMs: 9001, ...place, from, to: 3 };
      const events = told.events.map((event) =>
        event.type === "topic" ? { ...event, keepsAll: isKept } : event,
      );
      return checkHistory([...events, scan]).counts;
    };
    expect(judged(1, false)).toEqual({});
    expect(judged(0, false)).toEqual({ "order-broken": 1 });
    expect(judged(0, true)).toEqual({ "order-broken": 1 });
  });

  it("exclusive: what a majority lost with its power needs no settling, with another leader and only then", () => {
    const told = (cut: "before" | "behind" | "around", next: string): DeliveryStory => {
      const story = DeliveryStory.of({ mode: "exclusive", onFailure: "park" }).sent("a", "b");
      const struck = (...nodes: number[]): DeliveryStory =>
        story.fault("power cut", "bit", ...nodes).fault("power cut", "stop", ...nodes);
      if (cut === "around") struck(2);
      story.deliver("c", "1.1", "a");
      if (cut === "around") struck(3);
      if (cut === "before") struck(2, 3);
      story.lost("c", "1.1", "session", "a").wait(3000).deliver("c", next, "b");
      if (cut === "behind") struck(2, 3);
      return story.begin("c", next, "b");
    };
    const judged = (
      flush: "sync" | "async",
      { events }: DeliveryStory,
    ): Readonly<Record<string, number>> =>
      checkHistory(events.map((event) => (event.type === "topic" ? { ...event, flush } : event)))
        .counts;
    const isBroken = { "order-broken": 1 };
    expect(judged("sync", told("before", "2.1"))).toEqual(isBroken);
    expect(judged("async", told("before", "1.2"))).toEqual(isBroken);
    expect(judged("async", told("before", "2.1"))).toEqual({});
    // One of the two before the message arrived: it was written already.
    expect(judged("async", told("around", "2.1"))).toEqual({});
    // What happens later explains nothing.
    expect(judged("async", told("behind", "2.1"))).toEqual(isBroken);
    // That leader had it.
    expect(judged("async", told("before", "2.1").deliver("c", "2.2", "a"))).toEqual(isBroken);
  });
});
