// What the tests of this room share: definitions, batches.
import { patchBatch } from "../../src/model/record-batch.ts";
import { BatchBuilder } from "../../src/model/record-batch-builder.ts";
import {
  SUBSCRIPTION_DEFAULTS,
  type SubscriptionDefinition,
  type SubscriptionRow,
} from "../../src/model/subscription.ts";

export const SUB = "5b000000-0000-4000-8000-000000000001";
export const OTHER_SUB = "5b000000-0000-4000-8000-000000000002";

export function definitionOf(more: Partial<SubscriptionDefinition> = {}): SubscriptionDefinition {
  return {
    name: "bills",
    topics: { kind: "names", names: ["orders"] },
    filter: "",
    mode: "shared",
    retry: { ...SUBSCRIPTION_DEFAULTS, delaysMs: [], jitterPercent: 0 },
    deadLetterTopic: "dlq/bills",
    onFailure: "skip",
    ackDeadlineMs: 30_000,
    start: { kind: "earliest" },
    pausedUntilMs: 0,
    ...more,
  };
}

export function rowOf(
  more: {
    id?: string;
    version?: number;
    createdIndex?: number;
  } & Partial<SubscriptionDefinition> = {},
): SubscriptionRow {
  const { id = SUB, version = 5, createdIndex = 5, ...definition } = more;
  return { subscriptionId: id, createdIndex, version, definition: definitionOf(definition) };
}

export interface TestRecord {
  readonly key?: string;
  readonly value: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** As a leader stored it. */
export function storedBatch(baseOffset: number, records: readonly (TestRecord | string)[]): Buffer {
  const builder = new BatchBuilder();
  for (const record of records) {
    const { headers = {}, key, value } = typeof record === "string" ? { value: record } : record;
    const list = Object.entries(headers).map(([name, text]) => ({
      name,
      value: Buffer.from(text),
    }));
    builder.append(key, value, list, 1_700_000_000_000);
  }
  const batch = builder.finish();
  patchBatch(batch, baseOffset, 3);
  return batch;
}
