// What a consumer's process says to the test: what its recorder writes down, in batches, each told to the test before the
// consumer acts on it. Both processes read one monotonic clock.
import type { DeliverySink, ReceivedByConsumer } from "../../src/testkit/index.ts";

/** What a consumer's process is told when it is started. */
export interface ConsumerOrder {
  readonly bootstrap: readonly string[];
  readonly subscription: string;
  readonly consumer: string;
  readonly concurrency: number;
  /** Each message is worked on for up to so long, ms: in shared mode this shuffles the acknowledgements. */
  readonly workMsMax: number;
  readonly seed: number;
  /** This test's zero on the machine's monotonic clock, ms. */
  readonly zeroMs: number;
}

export type Method = keyof DeliverySink;

/** One call of the recorder: its method and its arguments, times included. */
export interface Row {
  readonly method: Method;
  readonly values: readonly unknown[];
}

/** Rows, or that the consumer is at work, or why it is not any more. */
export type Report =
  | { readonly kind: "rows"; readonly rows: readonly Row[] }
  | { readonly kind: "ready" }
  | { readonly kind: "failed"; readonly reason: string };

/** Ms on the clock that all processes of the machine share. */
export function machineMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

export function isReport(value: unknown): value is Report {
  if (typeof value !== "object" || value === null || !("kind" in value)) return false;
  if (value.kind === "ready") return true;
  if (value.kind === "failed") return "reason" in value && typeof value.reason === "string";
  return value.kind === "rows" && "rows" in value && Array.isArray(value.rows);
}

/** Does at the test what the consumer's recorder did. */
export function replay(row: Row, sink: DeliverySink): void {
  // Both ends are of this test: the arguments are those of the method.
  const call = sink[row.method] as (...values: readonly unknown[]) => unknown;
  call.apply(sink, [...row.values]);
}

export type { ReceivedByConsumer };
