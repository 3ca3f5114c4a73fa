// Record batches for tests that speak the produce stream without the SDK.
import {
  BatchBuilder,
  type BatchProducer,
  NO_PRODUCER,
} from "../../src/model/record-batch-builder.ts";

/** One batch with a record per value. */
export function plainBatch(
  values: readonly (string | Buffer)[],
  producer: BatchProducer = NO_PRODUCER,
): Buffer {
  const builder = new BatchBuilder();
  for (const value of values) builder.append(undefined, value, undefined, 1_700_000_000_000);
  return builder.finish(producer);
}
