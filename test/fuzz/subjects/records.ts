// Entry frames, their sections and commands, record batches.
import { crc32c } from "../../../src/base/crc32c.ts";
import {
  decodeMetadataCommand,
  encodeMetadataCommand,
} from "../../../src/cluster/metadata-commands.ts";
import { decodeMetadataReply } from "../../../src/cluster/metadata-reply.ts";
import type { SubscriptionUpdate } from "../../../src/delivery/delivery-commands.ts";
import { decodeDeliveryCommand } from "../../../src/delivery/delivery-decoder.ts";
import { encodeDeliveryCommand } from "../../../src/delivery/delivery-encoder.ts";
import {
  checkSections,
  decodeFrame,
  decodeFrames,
  encodeFrame,
  FrameError,
  frameSections,
  SECTION,
  verifyFrame,
} from "../../../src/model/entry-frame.ts";
import { isBrokerError } from "../../../src/model/errors.ts";
import type { NodeId } from "../../../src/model/ids.ts";
import { checkBatch } from "../../../src/model/record-batch.ts";
import { BatchBuilder } from "../../../src/model/record-batch-builder.ts";
import { batchesIn, decodeBatch } from "../../../src/model/record-batch-decoder.ts";
import { decodeMessageIds, encodeMessageIds } from "../../../src/partition/message-id-table.ts";
import {
  decodeCommand,
  encodeCommand,
  parseCommand,
} from "../../../src/partition/partition-commands.ts";
import { subscription } from "../../cluster/support.ts";
import { refusing, type Subject } from "../subject.ts";

const isFrameError = (error: unknown): boolean => error instanceof FrameError;

function seedBatch(count: number): Buffer {
  const builder = new BatchBuilder();
  for (let number = 0; number < count; number += 1) {
    const headers = [{ name: "h", value: Buffer.from(`v${number}`) }];
    builder.append(Buffer.from(`k${number}`), Buffer.from("value"), headers, 1_700_000_000_000);
  }
  return builder.finish({ producerId: 2, producerEpoch: 0, baseSequence: 0 });
}

function seedFrames(): Buffer[] {
  const fields = {
    kind: "data",
    index: 7,
    term: 3,
    baseOffset: 5,
    layoutEpoch: 1,
    appendTimeMs: 1_700_000_000_000,
  } as const;
  const batch = { type: SECTION.BATCH, ignorable: false, bytes: seedBatch(3) };
  const ids = {
    type: SECTION.MESSAGE_IDS,
    ignorable: false,
    bytes: encodeMessageIds(["a", "", "c"]),
  };
  const command = {
    type: SECTION.COMMAND,
    ignorable: false,
    bytes: encodeCommand({ type: "SetFlush", flush: "async" }),
  };
  return [
    encodeFrame({ ...fields, recordCount: 3 }, [batch]).bytes,
    encodeFrame({ ...fields, recordCount: 3 }, [ids, batch]).bytes,
    encodeFrame({ ...fields, recordCount: 0 }, [command]).bytes,
  ];
}

const HEADER_CRC_POSITION = 56;
const BATCH_CRC_POSITION = 17;
const BATCH_COVERED_FROM = 21;

/** The checksum over header and sections; a batch that comes first has one of its own. */
function repairFrame(bytes: Buffer): Buffer {
  const fixed = Buffer.from(bytes);
  if (fixed.length < 60) return fixed;
  const isBatchFirst = fixed[60] === SECTION.BATCH && fixed.length >= 60 + 8 + BATCH_COVERED_FROM;
  const covered = isBatchFirst ? 60 + 8 + BATCH_COVERED_FROM : fixed.length;
  const head = crc32c(fixed.subarray(0, HEADER_CRC_POSITION));
  fixed.writeUInt32BE(crc32c(fixed.subarray(60, covered), head), HEADER_CRC_POSITION);
  return fixed;
}

function repairBatch(bytes: Buffer): Buffer {
  const fixed = Buffer.from(bytes);
  if (fixed.length < 61) return fixed;
  fixed.writeInt32BE(fixed.length - 12, 8);
  fixed.writeUInt32BE(crc32c(fixed.subarray(BATCH_COVERED_FROM)), BATCH_CRC_POSITION);
  return fixed;
}

const frames: Subject = {
  name: "entry-frame",
  seeds: seedFrames(),
  repair: repairFrame,
  run(bytes) {
    refusing(isFrameError, () => decodeFrames(bytes));
    const frame = decodeFrame(bytes, 0);
    if ("problem" in frame) return;
    verifyFrame(frame);
    frameSections(frame);
    refusing(isFrameError, () => checkSections(frame));
  },
};

const batches: Subject = {
  name: "record-batch",
  seeds: [seedBatch(1), seedBatch(5)],
  repair: repairBatch,
  run(bytes) {
    checkBatch(bytes);
    refusing(
      (error) => isBrokerError(error, "MALFORMED_BATCH"),
      () => decodeBatch(bytes),
    );
    refusing(
      (error) => isBrokerError(error, "MALFORMED_BATCH"),
      () => [...batchesIn(bytes)],
    );
  },
};

const SUBSCRIPTION = "6f1d2c8e-0000-4000-8000-00000000000a";
const UPDATE: SubscriptionUpdate = {
  id: SUBSCRIPTION,
  settle: [
    [3, 9],
    [12, 13],
  ],
  release: [{ offset: 1, action: "retry" }],
  fail: [{ offset: 2, notBeforeMs: 9, attempt: { timeMs: 8, cause: "nack", error: "no" } }],
  dead: [{ offset: 4, attempt: undefined }],
  park: [{ offset: 5, key: Buffer.from("k"), scope: "partition", sinceMs: 7 }],
  left: [4],
  joined: [2, 2 ** 47],
  complete: true,
};

const commands: Subject = {
  name: "commands",
  seeds: [
    encodeCommand({ type: "AdvanceLogStart", index: 5, offset: 4 }),
    encodeCommand({ type: "AdvanceLogStart", index: 5, offset: 4, acked: true }),
    encodeCommand({ type: "ExpireProducers", ids: [2, 4], idleBeforeMs: 1 }),
    encodeCommand(encodeDeliveryCommand({ type: "detach", id: SUBSCRIPTION })),
    encodeCommand(encodeDeliveryCommand({ type: "deliver", updates: [UPDATE] })),
    encodeMetadataCommand({ type: "open-producer", name: "p" }),
    encodeMetadataCommand({
      type: "open-producer",
      name: "p",
      token: "t",
      previous: { producerId: 2, epoch: 1 },
    }),
    encodeMetadataCommand({ type: "fence-node", nodeId: 1 as NodeId, incarnation: 1 }),
    encodeMetadataCommand({ type: "delete-topic", topicId: "t" as never }),
    encodeMetadataCommand(subscription("mail")),
    encodeMetadataCommand({ type: "delete-subscription", subscriptionId: SUBSCRIPTION }),
  ],
  run(bytes) {
    refusing(isFrameError, () => decodeCommand(bytes));
    refusing(isFrameError, () => decodeDeliveryCommand(parseCommand(bytes)));
    refusing(isBrokerError, () => decodeMetadataCommand(bytes));
    refusing(isBrokerError, () => decodeMetadataReply(bytes));
  },
};

const messageIds: Subject = {
  name: "message-ids",
  seeds: [encodeMessageIds(["a", "", "long-id"]), encodeMessageIds([])],
  // Only what the leader wrote and a checksum covers is ever decoded; a damaged one must not hang all the same.
  run: (bytes) =>
    refusing(
      (error) => error instanceof RangeError,
      () => decodeMessageIds(bytes),
    ),
};

export const recordSubjects: readonly Subject[] = [frames, batches, commands, messageIds];
