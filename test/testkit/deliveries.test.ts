// For each anomaly of consuming: the planted one is found and nothing else, and its legal twin raises nothing.
import { describe, expect, it } from "vitest";
import { CATALOGUE, checkHistory, History } from "../../src/testkit/index.ts";
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
});
