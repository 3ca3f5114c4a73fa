import { describe, expect, it } from "vitest";
import { createMetrics } from "../../src/observe/metrics.ts";
import {
  counterCells,
  createReplicaRecorder,
  histogramTimings,
} from "../../src/observe/replica-recorder.ts";
import { REPLICA_COUNTERS, REPLICA_HISTOGRAMS } from "../../src/replica/replica-metrics.ts";

describe("replica-recorder", () => {
  it("names: every event of the replica room has an instrument, and none is left over", () => {
    const { instruments } = createMetrics();
    expect(Object.keys(counterCells(instruments)).sort()).toEqual(
      Object.keys(REPLICA_COUNTERS).sort(),
    );
    expect(Object.keys(histogramTimings(instruments)).sort()).toEqual(
      Object.keys(REPLICA_HISTOGRAMS).sort(),
    );
  });

  it("values: counts add up, milliseconds become seconds, counts stay counts", async () => {
    const { instruments, render } = createMetrics();
    const recorder = createReplicaRecorder(instruments);
    recorder.count("elections_won");
    recorder.count("truncated_entries", 3);
    recorder.count("unheard_of");
    recorder.observe("flush_ms", 250);
    recorder.observe("flush_round_groups", 4);
    const text = await render();
    expect(text).toContain('flotilla_replica_elections_total{outcome="won"} 1');
    expect(text).toContain("flotilla_replica_truncated_entries_total 3");
    expect(text).toContain("flotilla_log_flush_duration_seconds_sum 0.25");
    expect(text).toContain("flotilla_log_flush_groups_sum 4");
  });
});
