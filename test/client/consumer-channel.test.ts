// In exclusive mode nothing behind a failed message is worked on before the broker has taken note of the failure.
import { describe, expect, it } from "vitest";
import { ConsumerChannel } from "../../src/client/consumer-channel.ts";
import { nack, reject } from "../../src/client/handler-outcome.ts";
import { HeldDelivery } from "../../src/client/held-delivery.ts";
import { heldMessages } from "../../src/client/held-messages.ts";
import { ReceivedBatch } from "../../src/client/received-batch.ts";
import { DeliveryChannel } from "../../src/rpc/generated/flotilla-v1.ts";
import { plainBatch } from "../support/batches.ts";

const EVENTS = { touch: () => undefined, left: () => undefined, freed: () => undefined };

interface SetUp {
  readonly channel: ConsumerChannel;
  /** One message at `first`. */
  readonly deliver: (number: number, first: number) => HeldDelivery;
}

function setUp(): SetUp {
  const introduction = DeliveryChannel.create({
    topic: "t",
    mode: "exclusive",
    leaderEpoch: 2,
    ackDeadlineMs: 30_000,
  });
  const channel = new ConsumerChannel(introduction, EVENTS);
  return {
    channel,
    deliver: (number, first) => {
      const place = { firstOffset: first, endOffset: first + 1, highWatermark: 0 };
      const stored = {
        topic: "t",
        partition: 0,
        baseOffset: first,
        recordCount: 1,
        leaderEpoch: 2,
      };
      const bytes = plainBatch(["value"]);
      bytes.writeBigUInt64BE(BigInt(first), 0);
      const batch = new ReceivedBatch({ ...stored, ...place }, bytes);
      return new HeldDelivery(batch, [first, 1], channel, number, undefined, 0);
    },
  };
}

/** Offset 39 was begun as delivery 50 and has failed. */
function failed(): SetUp {
  const parts = setUp();
  const delivery = parts.deliver(50, 39);
  parts.channel.add(delivery);
  delivery.next();
  delivery.decide(39, nack("no", undefined, 0));
  return parts;
}

describe("consumer channel: exclusive", () => {
  it("behind a failure that was not answered nothing may be worked on", () => {
    const { channel, deliver } = failed();
    expect(channel.add(deliver(51, 40))).toBe(false);
  });

  it("behind what was given back without being begun nothing may be worked on (unreadable, or its lease is about to end)", () => {
    const { channel, deliver } = setUp();
    const [first, second] = [deliver(50, 39), deliver(51, 40)];
    channel.add(first);
    channel.add(second);
    first.giveBack(reject(new Error("nobody can read it")));
    expect(second.waiting).toBe(0);
    expect(channel.queue).toEqual([]);
    expect(channel.add(deliver(52, 41))).toBe(false);
  });

  it("the failed message comes again before the answer to its failure (its lease was over): the order begins anew", () => {
    const { channel, deliver } = failed();
    expect(channel.add(deliver(67, 39))).toBe(true);
    expect(channel.add(deliver(68, 40))).toBe(true);
  });
});

describe("consumer: what is held from leaders that are gone", () => {
  it("what does not fit in the first message is kept for when its partition is introduced", () => {
    const { channel, deliver } = setUp();
    const deliveries = Array.from({ length: 5000 }, (_, i) => deliver(i + 1, i));
    for (const delivery of deliveries) {
      channel.add(delivery);
      delivery.next();
    }
    const orphans = channel.end(0);
    expect(orphans).toHaveLength(5000);
    expect(heldMessages(orphans, false).length).toBeLessThan(5000);
    expect(orphans.every(({ isOver }) => !isOver)).toBe(true);
    const said = heldMessages(orphans, true).length;
    expect(orphans.filter(({ isOver }) => !isOver)).toHaveLength(said);
  });
});
