// Histograms whose observation costs a search in a short array and two additions: the hot paths of a broker observe
// several times per message, and prom-client's own histogram hashes labels each time. prom-client renders them.
import type { Registry } from "prom-client";

export interface HistogramOptions {
  readonly name: string;
  readonly help: string;
  readonly labelNames: readonly string[];
  /** Upper bounds, ascending, inclusive; +Inf is added. */
  readonly buckets: readonly number[];
}

/** One series. */
export class HistogramSeries {
  readonly labels: Readonly<Record<string, string>>;
  readonly #bounds: readonly number[];
  /** Observations per bucket, not cumulative; the last one is +Inf. */
  readonly #counts: Float64Array;
  #sum = 0;

  constructor(bounds: readonly number[], labels: Readonly<Record<string, string>>) {
    this.labels = labels;
    this.#bounds = bounds;
    this.#counts = new Float64Array(bounds.length + 1);
  }

  observe(value: number): void {
    const bounds = this.#bounds;
    let at = 0;
    while (at < bounds.length && value > (bounds[at] ?? 0)) at += 1;
    this.#counts[at] = (this.#counts[at] ?? 0) + 1;
    this.#sum += value;
  }

  /** Sample lines in the order that Prometheus documents: buckets, sum, count. */
  samples(name: string): Sample[] {
    const samples: Sample[] = [];
    let count = 0;
    for (const [at, inBucket] of this.#counts.entries()) {
      count += inBucket;
      const le = this.#bounds[at] ?? "+Inf";
      samples.push({ metricName: `${name}_bucket`, labels: { le, ...this.labels }, value: count });
    }
    samples.push({ metricName: `${name}_sum`, labels: this.labels, value: this.#sum });
    samples.push({ metricName: `${name}_count`, labels: this.labels, value: count });
    return samples;
  }
}

interface Sample {
  readonly metricName: string;
  readonly labels: Readonly<Record<string, string | number>>;
  readonly value: number;
}

/** Makes `registry` render what `series` holds whenever somebody scrapes. */
export function registerHistogram(
  registry: Registry,
  options: HistogramOptions,
  series: () => Iterable<HistogramSeries>,
): void {
  const { help, name } = options;
  const metric = {
    name,
    help,
    type: "histogram",
    aggregator: "sum",
    get: () => {
      const values = [...series()].flatMap((one) => one.samples(name));
      return Promise.resolve({ name, help, type: "histogram", aggregator: "sum", values });
    },
    reset: () => undefined,
  };
  // The registry asks its metrics for name and get() only.
  registry.registerMetric(metric as unknown as Parameters<Registry["registerMetric"]>[0]);
}
