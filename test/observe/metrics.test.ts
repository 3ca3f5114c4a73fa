import { describe, expect, it } from "vitest";
import { INSTRUMENTS, type InstrumentRow } from "../../src/observe/instruments.ts";
import { createMetrics, SERIES_MAX } from "../../src/observe/metrics.ts";

const ROWS = Object.values(INSTRUMENTS) as InstrumentRow[];

describe("instruments: the table", () => {
  it("names: follow flotilla_<room>_<noun>, counters end in _total, nothing twice", () => {
    expect(new Set(ROWS.map((row) => row.name)).size).toBe(ROWS.length);
    for (const row of ROWS) {
      expect(row.name).toMatch(/^flotilla_[a-z]+_[a-z0-9_]+$/);
      expect(row.name.endsWith("_total"), row.name).toBe(row.kind === "counter");
      expect(row.help.length, row.name).toBeGreaterThan(10);
    }
  });

  it("histograms: have ascending buckets, others have none", () => {
    for (const row of ROWS) {
      const buckets = row.buckets ?? [];
      expect(buckets.length > 0, row.name).toBe(row.kind === "histogram");
      expect([...buckets].sort((a, b) => a - b)).toEqual(buckets);
    }
  });
});

describe("metrics", () => {
  it("counter and gauge: show what the cells hold", async () => {
    const { instruments, render } = createMetrics();
    instruments.elections.with("won").add(1);
    instruments.elections.with("won").add(2);
    instruments.leaderships.with().set(7);
    instruments.leaderships.with().set(4);
    const text = await render();
    expect(text).toContain('flotilla_replica_elections_total{outcome="won"} 3');
    expect(text).toContain("\nflotilla_replica_leaderships 4\n");
    expect(await render()).toBe(text);
  });

  it("gauge replaced: shows the new series and no others", async () => {
    const { instruments, render } = createMetrics();
    instruments.logBytes.replace(
      new Map([
        ["a", 1],
        ["b", 2],
      ]),
    );
    instruments.logBytes.replace(new Map([["b", 3]]));
    const text = await render();
    expect(text).toContain('flotilla_log_size_bytes{topic="b"} 3');
    expect(text).not.toContain('topic="a"');
  });

  it("series removed: is shown no more, and begins at 0 when it comes back", async () => {
    const { instruments, render } = createMetrics();
    instruments.produceRecords.with("a").add(5);
    instruments.produceRecords.remove("a");
    expect(await render()).not.toContain('topic="a"');
    instruments.produceRecords.with("a").add(1);
    expect(await render()).toContain('flotilla_partition_produce_records_total{topic="a"} 1');
  });

  it("series without labels: are there from the start, with 0", async () => {
    const text = await createMetrics().render();
    expect(text).toContain("\nflotilla_replica_truncated_entries_total 0\n");
    expect(text).toContain("# HELP flotilla_log_flush_duration_seconds ");
  });

  it("histogram: counts into its buckets, by label", async () => {
    const { instruments, render } = createMetrics();
    instruments.produceLatency.with("all", "sync").observe(0.0007);
    instruments.produceLatency.with("all", "sync").observe(3);
    instruments.flushLatency.with().observe(0.0002);
    const text = await render();
    expect(text).toContain(
      'flotilla_partition_produce_duration_seconds_bucket{le="0.001",acks="all",flush="sync"} 1',
    );
    expect(text).toContain(
      'flotilla_partition_produce_duration_seconds_count{acks="all",flush="sync"} 2',
    );
    expect(text).toContain("flotilla_log_flush_duration_seconds_count 1");
  });

  it("gauge: a collector runs at each scrape until it is stopped; a removed series is gone", async () => {
    const { instruments, render } = createMetrics();
    let value = 1;
    const stop = instruments.logBytes.onCollect(() =>
      instruments.logBytes.with("orders").set(value),
    );
    expect(await render()).toContain('flotilla_log_size_bytes{topic="orders"} 1');
    value = 2;
    expect(await render()).toContain('flotilla_log_size_bytes{topic="orders"} 2');
    stop();
    instruments.logBytes.remove("orders");
    expect(await render()).not.toContain('topic="orders"');
  });

  it("series: beyond the limit they share one, and the overflow is counted", async () => {
    const { instruments, render } = createMetrics();
    for (let i = 0; i < SERIES_MAX + 5; i += 1)
      instruments.produceRecords.with(`topic-${i}`).add(1);
    const text = await render();
    expect(text).toContain('flotilla_partition_produce_records_total{topic="other"} 5');
    expect(text).toContain("flotilla_observe_series_overflow_total 5");
  });
});
