import Table from "cli-table3";
import type { Histogram } from "hdr-histogram-js";
import type { BenchOptions, BenchResult } from "./options.ts";

export function printResult(subject: string, options: BenchOptions, result: BenchResult): void {
  const rounded: BenchResult = {};
  for (const [name, value] of Object.entries(result)) {
    rounded[name] = typeof value === "number" ? Math.round(value * 1000) / 1000 : value;
  }
  if (options.json) {
    const { acks, flush, size, partitions } = options;
    const line = { subject, acks, flush, size, partitions, node: process.version, ...rounded };
    process.stdout.write(`${JSON.stringify(line)}\n`);
    return;
  }
  const table = new Table({ head: [subject, `${options.acks}/${options.flush}`] });
  for (const [name, value] of Object.entries(rounded)) table.push([name, String(value)]);
  process.stdout.write(`${table.toString()}\n`);
}

/** Percentiles of a histogram that recorded microseconds, in milliseconds. */
export function latencies(histogram: Histogram): BenchResult {
  const at = (percent: number): number => histogram.getValueAtPercentile(percent) / 1000;
  return { p50ms: at(50), p99ms: at(99), p999ms: at(99.9), maxMs: histogram.maxValue / 1000 };
}
