import { describe, expect, it } from "vitest";
import { EventLoopMonitor, publishEventLoop } from "../../src/observe/event-loop.ts";
import { createMetrics } from "../../src/observe/metrics.ts";

describe("event-loop", () => {
  it("sample: stays in its ranges, and is kept for scrapes that follow fast", () => {
    const monitor = new EventLoopMonitor();
    monitor.start();
    const sample = monitor.sample(10_000);
    expect(sample.saturation).toBeGreaterThanOrEqual(0);
    expect(sample.saturation).toBeLessThanOrEqual(1);
    for (const delay of [sample.delayP50, sample.delayP99, sample.delayMax]) {
      expect(delay).toBeGreaterThanOrEqual(0);
      expect(delay).toBeLessThan(3600);
    }
    expect(monitor.sample(10_999)).toBe(sample);
    expect(monitor.sample(11_000)).not.toBe(sample);
    monitor.stop();
  });

  it("publish: fills the gauges at a scrape until stopped", async () => {
    const metrics = createMetrics();
    const stop = publishEventLoop(new EventLoopMonitor(), metrics.instruments, () => 0);
    const text = await metrics.render();
    expect(text).toMatch(/flotilla_process_event_loop_saturation_ratio [0-9.e-]+\n/);
    expect(text).toContain('flotilla_process_event_loop_delay_seconds{quantile="0.99"} 0');
    stop();
  });
});
