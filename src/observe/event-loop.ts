// How busy the event loop is: the first thing to look at when latency grows, because everything of a node shares it.
// Called once by the broker; values are computed when somebody scrapes or asks for health.
import {
  type EventLoopUtilization,
  type IntervalHistogram,
  monitorEventLoopDelay,
  performance,
} from "node:perf_hooks";
import type { Instruments } from "./metrics.ts";

/** Sampling step of the delay histogram. */
const RESOLUTION_MS = 10;
/** Two scrapes that follow each other faster see the same values: an interval must be long enough to mean something. */
const INTERVAL_MS_MIN = 1000;

export interface EventLoopSample {
  /** Busy share since the previous sample, 0 … 1. */
  readonly saturation: number;
  /** Timer delay, seconds, beyond the sampling step. */
  readonly delayP50: number;
  readonly delayP99: number;
  readonly delayMax: number;
}

export class EventLoopMonitor {
  readonly #delays: IntervalHistogram = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  #previous: EventLoopUtilization = performance.eventLoopUtilization();
  #sampledAt = Number.NEGATIVE_INFINITY;
  #sample: EventLoopSample = { saturation: 0, delayP50: 0, delayP99: 0, delayMax: 0 };

  start(): void {
    this.#delays.enable();
  }

  stop(): void {
    this.#delays.disable();
  }

  /** @param nowMs monotonic. */
  sample(nowMs: number): EventLoopSample {
    if (nowMs - this.#sampledAt < INTERVAL_MS_MIN) return this.#sample;
    this.#sampledAt = nowMs;
    const current = performance.eventLoopUtilization();
    const { utilization } = performance.eventLoopUtilization(current, this.#previous);
    this.#previous = current;
    const delays = this.#delays;
    this.#sample = {
      saturation: utilization,
      delayP50: delaySeconds(delays.percentile(50)),
      delayP99: delaySeconds(delays.percentile(99)),
      delayMax: delaySeconds(delays.max),
    };
    delays.reset();
    return this.#sample;
  }
}

/** Publishes the monitor's values at every scrape. Returns a way to stop. */
export function publishEventLoop(
  monitor: EventLoopMonitor,
  instruments: Pick<Instruments, "eventLoopSaturation" | "eventLoopDelay">,
  monotonicMs: () => number,
): () => void {
  return instruments.eventLoopSaturation.onCollect(() => {
    const sample = monitor.sample(monotonicMs());
    instruments.eventLoopSaturation.with().set(sample.saturation);
    instruments.eventLoopDelay.with("0.5").set(sample.delayP50);
    instruments.eventLoopDelay.with("0.99").set(sample.delayP99);
    instruments.eventLoopDelay.with("1").set(sample.delayMax);
  });
}

/** The histogram holds whole intervals in nanoseconds; what exceeds the step is delay. An empty one gives nonsense. */
function delaySeconds(nanoseconds: number): number {
  const seconds = nanoseconds / 1e9 - RESOLUTION_MS / 1000;
  return Number.isFinite(seconds) && seconds > 0 && seconds < 3600 ? seconds : 0;
}
