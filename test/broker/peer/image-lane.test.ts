import { expect, test } from "vitest";
import { chunksOf, ImageAssembler } from "../../../src/broker/peer/image-lane.ts";
import type { GroupId, NodeId, ReplicaId } from "../../../src/model/ids.ts";
import type { ImageTransfer } from "../../../src/replica/ports.ts";
import { SnapshotChunk } from "../../../src/rpc/generated/flotilla-internal-v1.ts";

const FROM = 1 as NodeId;

function transfer(bytes: number): ImageTransfer {
  return {
    groupId: 3 as GroupId,
    from: 4097 as ReplicaId,
    to: 4098 as ReplicaId,
    term: 5,
    meta: {
      index: 9,
      term: 4,
      membership: { voters: [4097 as ReplicaId], learners: [] },
      logStartIndex: 1,
      logStartPrevTerm: 0,
    },
    image: Buffer.alloc(bytes, 7),
  };
}

test("images: chunks come together again", () => {
  const assembler = new ImageAssembler();
  const sent = transfer(2_500_000);
  const results = chunksOf(sent).map((chunk) => assembler.add(FROM, chunk));
  const received = results.pop();
  expect(results.length).toBeGreaterThan(1);
  expect(new Set(results)).toEqual(new Set([undefined]));
  expect({ ...received, image: undefined }).toEqual({ ...sent, image: undefined });
  expect(received?.image.equals(sent.image)).toBe(true);
});

test.each([
  "null",
  "[]",
  "7",
  "{",
  "{}",
  '{"index":1,"membership":{"voters":"x"}}',
  '{"index":-1}',
])("images: meta data that no broker writes discards the image (%s)", (meta) => {
  const [chunk] = chunksOf(transfer(10));
  const bad = SnapshotChunk.create({ ...chunk, meta: Buffer.from(meta) });
  expect(new ImageAssembler().add(FROM, bad)).toBeUndefined();
});
