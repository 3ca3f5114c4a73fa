// A message that was out before is reported as begun before a handler has it. What is lost in between is nobody's to work on.
import { describe, expect, it } from "vitest";
import { BatchRun } from "../../src/client/consumer-batches.ts";
import { ConsumerChannel } from "../../src/client/consumer-channel.ts";
import { ConsumerIterator } from "../../src/client/consumer-iterator.ts";
import { ConsumerRun } from "../../src/client/consumer-run.ts";
import type { MessageSource } from "../../src/client/consumer-source.ts";
import { DeliveryBuffer } from "../../src/client/delivery-buffer.ts";
import { HeldDelivery } from "../../src/client/held-delivery.ts";
import { ReceivedBatch } from "../../src/client/received-batch.ts";
import { bytes } from "../../src/client/serializer.ts";
import { DeliveryChannel } from "../../src/rpc/generated/flotilla-v1.ts";
import { plainBatch } from "../support/batches.ts";
import { VirtualClock } from "../support/virtual-clock.ts";

/** Two messages, the first was out before and is taken back while its begin is being reported. */
function setUp(): { readonly source: MessageSource<Buffer | undefined>; time: VirtualClock } {
  const time = new VirtualClock();
  const clock = time.fork();
  const introduction = DeliveryChannel.create({ topic: "t", mode: "shared", leaderEpoch: 2 });
  const events = { touch: () => undefined, left: () => undefined, freed: () => undefined };
  const channel = new ConsumerChannel(introduction, events);
  const place = { firstOffset: 0, endOffset: 2, highWatermark: 0 };
  const stored = { topic: "t", partition: 0, baseOffset: 0, recordCount: 2, leaderEpoch: 2 };
  const batch = new ReceivedBatch({ ...stored, ...place }, plainBatch(["first", "second"]));
  const attempts = new Map([[0, { handedOut: 2, failed: 0 }]]);
  const delivery = new HeldDelivery(batch, [0, 2], channel, 7, attempts, 0);
  const buffer = new DeliveryBuffer({ clock, serializer: bytes });
  buffer.add(channel, delivery);
  const source = {
    buffer,
    deps: { clock },
    isEnding: false,
    isClosed: false,
    failure: undefined,
    flush: () => delivery.lose([0, 1]),
    close: () => Promise.resolve(),
    onIdle: () => undefined,
  };
  return { source: source as unknown as MessageSource<Buffer | undefined>, time };
}

describe("a message that is lost before its handler has it", () => {
  it("run: the handler is not called", async () => {
    const { source, time } = setUp();
    const handled: number[] = [];
    const run = new ConsumerRun(source, ({ offset }) => handled.push(offset), {});
    run.onNews();
    await time.runUntil(() => handled.length > 0 && run.isIdle, 100);
    expect(handled).toEqual([1]);
  });

  it("runBatches: the handler gets the others", async () => {
    const { source, time } = setUp();
    const handled: number[][] = [];
    const run = new BatchRun(
      source,
      (messages) => handled.push(messages.map(({ offset }) => offset)),
      { maxMessages: 2 },
    );
    run.onNews();
    await time.runUntil(() => handled.length > 0 && run.isIdle, 100);
    expect(handled).toEqual([[1]]);
  });

  it("for await: the next one is given", async () => {
    const { source, time } = setUp();
    const iterator = new ConsumerIterator(source, true);
    const { value } = await time.until(iterator.next());
    expect(value?.offset).toBe(1);
  });
});
