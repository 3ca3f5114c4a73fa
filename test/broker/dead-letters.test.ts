// Where a dead letter goes, and under which id.
import { describe, expect, it } from "vitest";
import { DeadLetters, groupsOf, messageIdOf } from "../../src/broker/dead-letters.ts";
import type { LeaderCache } from "../../src/cluster/leader-cache.ts";
import type { MetadataView } from "../../src/cluster/metadata-image.ts";
import type { DeadLetter } from "../../src/delivery/ports.ts";
import type { NodeId, TopicId } from "../../src/model/ids.ts";
import { initialLayout } from "../../src/model/slots.ts";
import { MESSAGE_ID_BYTES_MAX } from "../../src/partition/publish-path.ts";
import type { PublishRequest } from "../../src/rpc/generated/flotilla-v1.ts";
import type { Connector } from "../../src/rpc/ports.ts";
import { VirtualClock } from "../support/virtual-clock.ts";

function letterOf(
  offset: number,
  subscriptionId = "5b000000-0000-4000-8000-000000000001",
  death = "0/16/1700000000000",
): DeadLetter {
  const topicId = "6f1d2c8e-0000-4000-8000-000000000001" as TopicId;
  return {
    topic: "dlq/bills",
    subscription: "bills",
    subscriptionId,
    origin: { topic: "orders", topicId, partition: 4095, offset },
    death,
    key: undefined,
    value: Buffer.from("v"),
    headers: [],
    timestampMs: 1,
  };
}

/** Another node leads every topic; what is sent there is kept. */
function setUp(): { readonly letters: DeadLetters; readonly requests: PublishRequest[] } {
  const requests: PublishRequest[] = [];
  const connection = {
    unary: async (_: unknown, request: PublishRequest) => {
      requests.push(request);
      return { receipts: request.messages.map((_, offset) => ({ offset, duplicate: false })) };
    },
    close: () => undefined,
  };
  const topicByName = (name: string) => ({ name, firstGroupId: 1, layout: initialLayout(1) });
  const letters = new DeadLetters({
    nodeId: 1 as NodeId,
    clock: new VirtualClock().root,
    connector: { connect: () => connection } as unknown as Connector,
    view: { image: { topicByName } } as unknown as MetadataView,
    leaders: { get: () => ({ nodeId: 2 as NodeId, term: 1 }) } as unknown as LeaderCache,
    partitionOf: () => undefined,
    peerEndpointOf: () => "peer",
  });
  return { letters, requests };
}

describe("dead letters", () => {
  it("id: the same for every move of a death, and of no other one; it fits", () => {
    const id = messageIdOf(letterOf(Number.MAX_SAFE_INTEGER));
    expect(Buffer.byteLength(id)).toBeLessThanOrEqual(MESSAGE_ID_BYTES_MAX);
    expect(messageIdOf(letterOf(Number.MAX_SAFE_INTEGER))).toBe(id);
    expect(messageIdOf(letterOf(7))).not.toBe(id);
    expect(messageIdOf(letterOf(7))).not.toBe(messageIdOf(letterOf(7, "other")));
    expect(messageIdOf(letterOf(7, "s", "0/1/5"))).not.toBe(messageIdOf(letterOf(7, "s", "1/1/5")));
  });

  it("acks: all of them, for letters and for those that are tried again, whatever the topic asks for", async () => {
    const { letters, requests } = setUp();
    await letters.publish(letterOf(7));
    await letters.redrive("orders", [
      { id: "7", key: undefined, value: Buffer.from("v"), headers: [], timestampMs: 1 },
    ]);
    expect(requests.map(({ topic, acks }) => [topic, acks])).toEqual([
      ["dlq/bills", "all"],
      ["orders", "all"],
    ]);
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
