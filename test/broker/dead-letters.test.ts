// Where a dead letter goes, and under which id.
import { describe, expect, it } from "vitest";
import { groupsOf, messageIdOf } from "../../src/broker/dead-letters.ts";
import type { DeadLetter } from "../../src/delivery/ports.ts";
import type { TopicId } from "../../src/model/ids.ts";
import { initialLayout } from "../../src/model/slots.ts";
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

  it("redrive: requests of one partition each, in order, of bounded size; a larger message goes alone", () => {
    const topic = { layout: initialLayout(4) };
    const messages = Array.from({ length: 40 }, (_, at) => ({
      key: at % 2 === 0 ? Buffer.from("one") : undefined,
      value: Buffer.alloc(at === 10 ? 500 : 30),
      headers: [],
      timestampMs: 1,
      messageId: `redrive/${at}`,
    }));
    const groups = groupsOf(topic, messages, 100);
    expect(groups.size).toBeGreaterThan(1);
    const places: number[] = [];
    for (const ofPartition of groups.values()) {
      const ordered = ofPartition.flatMap((group) => group.places);
      expect(ordered).toEqual([...ordered].sort((a, b) => a - b));
      places.push(...ordered);
      for (const { messages: some, places: at } of ofPartition) {
        expect(some).toEqual(at.map((place) => messages[place]));
        if (some.length > 1) expect(some.length).toBeLessThanOrEqual(3);
        if (at.includes(10)) expect(at).toEqual([10]);
      }
    }
    expect(places.sort((a, b) => a - b)).toEqual(messages.map((_, at) => at));
  });
});
