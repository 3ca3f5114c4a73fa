// Hints on their way: stored beside the batch, also of plain messages, and given to a cursor that asks for them.
import { describe, expect, it } from "vitest";
import { SECTION, sectionOf } from "../../src/model/entry-frame.ts";
import { HEADER } from "../../src/model/headers.ts";
import { BatchBuilder, NO_PRODUCER } from "../../src/model/record-batch-builder.ts";
import { PartitionCursor } from "../../src/partition/fetch-path.ts";
import { publish } from "../../src/partition/publish-path.ts";
import { batchOfValues, makePartition, Outcome, request, settle } from "./fixture.ts";

const TAGGED = [{ name: HEADER.TAGS, value: Buffer.from("red") }];

function tagged(): { readonly batch: Buffer; readonly hints: Buffer } {
  const builder = new BatchBuilder();
  builder.append("key", "value", TAGGED, 1);
  return builder.finishIn(NO_PRODUCER, 64);
}

describe("hints of a batch", () => {
  it("stand in its frame, as a section that may be ignored", async () => {
    const { partition, replica } = makePartition();
    await settle();
    const { batch, hints } = tagged();
    partition.submit({ ...request(batch), hints }, new Outcome());
    const frame = replica.frames.at(-1);
    expect(frame && sectionOf(frame, SECTION.HINTS)).toEqual(hints);
  });

  it("are made for plain messages", async () => {
    const { partition, replica } = makePartition();
    await settle();
    replica.advance();
    const message = { key: undefined, value: Buffer.from("v"), timestampMs: 0, messageId: "" };
    void publish(partition, { messages: [{ ...message, headers: TAGGED }], acks: "all" }, 1);
    const frame = replica.frames.at(-1);
    expect(frame && sectionOf(frame, SECTION.HINTS)).toEqual(tagged().hints);
  });

  it("are given to whoever asks for them, each with its batch", async () => {
    const { partition, replica } = makePartition();
    await settle();
    const { batch, hints } = tagged();
    partition.submit(request(batchOfValues(["a"])), new Outcome());
    partition.submit({ ...request(batch), hints }, new Outcome());
    replica.advance();
    const asking = new PartitionCursor(partition, 0, { hasHints: true });
    expect((await asking.read(1 << 20)).hints).toEqual([undefined, hints]);
    expect((await new PartitionCursor(partition, 0).read(1 << 20)).hints).toEqual([]);
  });
});
