// The registry. Counters, gauges and histograms are cells of our own – adding to one is one addition, so hot paths may
// keep a cell and count on it – and prom-client renders them when somebody scrapes. Called by the broker, which hands
// instruments to the rooms; a room sees only Cell and Timing.
import { Counter, Gauge, Registry } from "prom-client";
import { HistogramSeries, registerHistogram } from "./histogram.ts";
import { INSTRUMENTS, type InstrumentRow } from "./instruments.ts";

/** One series of a counter or gauge. Counters only ever add() what is ≥ 0. */
export interface Cell {
  add(amount: number): void;
  set(value: number): void;
  readonly value: number;
}

/** One series of a histogram. */
export interface Timing {
  /** In the instrument's unit (seconds for durations). */
  observe(value: number): void;
}

export interface CounterInstrument {
  /** Label values in the order of the instrument's labels. Keep the cell where it is used often. */
  with(...labels: string[]): Cell;
  /** Forgets a series, e.g. of a deleted topic. Cells kept by somebody count on unseen. */
  remove(...labels: string[]): void;
}

export interface GaugeInstrument extends CounterInstrument {
  /** Called at every scrape, to compute values only when somebody looks. Returns a way to stop it. */
  onCollect(collect: () => void): () => void;
  /** Of an instrument with one label: these are all its series from now on. */
  replace(values: ReadonlyMap<string, number>): void;
}

export interface HistogramInstrument {
  with(...labels: string[]): Timing;
}

type InstrumentOf<R extends InstrumentRow> = R["kind"] extends "counter"
  ? CounterInstrument
  : R["kind"] extends "gauge"
    ? GaugeInstrument
    : HistogramInstrument;

export type Instruments = {
  readonly [K in keyof typeof INSTRUMENTS]: InstrumentOf<(typeof INSTRUMENTS)[K]>;
};

export interface Metrics {
  readonly instruments: Instruments;
  readonly contentType: string;
  /** Everything in Prometheus' text format. */
  readonly render: () => Promise<string>;
}

/** Series per instrument; further label values share one series named `other`, and the overflow counter grows. */
export const SERIES_MAX = 1000;
const OTHER = "other";

export function createMetrics(): Metrics {
  const registry = new Registry();
  const overflow = new CellTable(INSTRUMENTS.overflow, () => undefined);
  const onOverflow = (): void => overflow.with().add(1);
  const instruments: Record<string, CounterInstrument | HistogramInstrument> = {};
  for (const [key, row] of Object.entries(INSTRUMENTS) as [string, InstrumentRow][]) {
    if (row.kind === "histogram") {
      instruments[key] = histogramInstrument(row, registry, onOverflow);
      continue;
    }
    const table = key === "overflow" ? overflow : new CellTable(row, onOverflow);
    table.register(registry);
    instruments[key] = table;
  }
  return {
    instruments: instruments as unknown as Instruments,
    contentType: registry.contentType,
    render: () => registry.metrics(),
  };
}

class SeriesCell implements Cell {
  readonly labels: readonly string[];
  value = 0;

  constructor(labels: readonly string[]) {
    this.labels = labels;
  }

  add(amount: number): void {
    this.value += amount;
  }

  set(value: number): void {
    this.value = value;
  }
}

class CellTable implements GaugeInstrument {
  readonly #row: InstrumentRow;
  readonly #cells = new Map<string, SeriesCell>();
  readonly #collectors = new Set<() => void>();
  readonly #onOverflow: () => void;

  constructor(row: InstrumentRow, onOverflow: () => void) {
    this.#row = row;
    this.#onOverflow = onOverflow;
    // A series that exists from the start shows 0 instead of nothing, so that alerts can compare with it.
    if (labelNames(row).length === 0) this.with();
  }

  with(...labels: string[]): Cell {
    const key = labels.join("\0");
    const known = this.#cells.get(key);
    if (known !== undefined) return known;
    if (this.#cells.size >= SERIES_MAX && labels.some((label) => label !== OTHER)) {
      this.#onOverflow();
      return this.with(...labels.map(() => OTHER));
    }
    const cell = new SeriesCell(labels);
    this.#cells.set(key, cell);
    return cell;
  }

  remove(...labels: string[]): void {
    this.#cells.delete(labels.join("\0"));
  }

  replace(values: ReadonlyMap<string, number>): void {
    this.#cells.clear();
    for (const [label, value] of values) this.with(label).set(value);
  }

  onCollect(collect: () => void): () => void {
    this.#collectors.add(collect);
    return () => this.#collectors.delete(collect);
  }

  register(registry: Registry): void {
    const names = labelNames(this.#row);
    const publish = (metric: Counter | Gauge): void => {
      for (const collect of this.#collectors) collect();
      metric.reset();
      for (const cell of this.#cells.values()) metric.inc(labelSet(names, cell.labels), cell.value);
    };
    const { name, help, kind } = this.#row;
    const common = { name, help, labelNames: [...names], registers: [registry] };
    if (kind === "counter") {
      const metric: Counter = new Counter({ ...common, collect: () => publish(metric) });
    } else {
      const metric: Gauge = new Gauge({ ...common, collect: () => publish(metric) });
    }
  }
}

function histogramInstrument(
  row: InstrumentRow,
  registry: Registry,
  onOverflow: () => void,
): HistogramInstrument {
  const labelNamesOfRow = labelNames(row);
  const { help, name } = row;
  const buckets = row.buckets ?? [];
  const series = new Map<string, HistogramSeries>();
  const find = (labels: readonly string[]): Timing => {
    const key = labels.join("\0");
    const known = series.get(key);
    if (known !== undefined) return known;
    if (series.size >= SERIES_MAX && labels.some((label) => label !== OTHER)) {
      onOverflow();
      return find(labels.map(() => OTHER));
    }
    const made = new HistogramSeries(buckets, labelSet(labelNamesOfRow, labels));
    series.set(key, made);
    return made;
  };
  // As for counters: without labels the series is there from the start.
  if (labelNamesOfRow.length === 0) find([]);
  registerHistogram(registry, { name, help, labelNames: labelNamesOfRow, buckets }, () =>
    series.values(),
  );
  return { with: (...labels) => find(labels) };
}

function labelNames(row: InstrumentRow): readonly string[] {
  return row.labels ?? [];
}

function labelSet(names: readonly string[], values: readonly string[]): Record<string, string> {
  const set: Record<string, string> = {};
  for (const [position, name] of names.entries()) set[name] = values[position] ?? "";
  return set;
}
