// Where a dead letter goes, and under which id.
import { describe, expect, it } from "vitest";
import { messageIdOf } from "../../src/broker/dead-letters.ts";
import type { DeadLetter } from "../../src/delivery/ports.ts";
import type { TopicId } from "../../src/model/ids.ts";
import { MESSAGE_ID_BYTES_MAX } from "../../src/partition/publish-path.ts";

function letterOf(
  offset: number,
  subscriptionId = "5b000000-0000-4000-8000-000000000001",
): DeadLetter {
  const topicId = "6f1d2c8e-0000-4000-8000-000000000001" as TopicId;
  return {
    topic: "dlq/bills",
    subscription: "bills",
    subscriptionId,
    origin: { topic: "orders", topicId, partition: 4095, offset },
    key: undefined,
    value: Buffer.from("v"),
    headers: [],
    timestampMs: 1,
  };
}

describe("dead letters", () => {
  it("id: the same for every move of a message, and of no other one; it fits", () => {
    const id = messageIdOf(letterOf(Number.MAX_SAFE_INTEGER));
    expect(Buffer.byteLength(id)).toBeLessThanOrEqual(MESSAGE_ID_BYTES_MAX);
    expect(messageIdOf(letterOf(Number.MAX_SAFE_INTEGER))).toBe(id);
    expect(messageIdOf(letterOf(7))).not.toBe(id);
    expect(messageIdOf(letterOf(7))).not.toBe(messageIdOf(letterOf(7, "other")));
  });
});
