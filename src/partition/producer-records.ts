// How a remembered batch stands in the keyed state: one key per producer and ring slot, so that applying a batch writes
// 44 bytes and not the producer's whole window. Called by the producer table only.
//
//   key    p/<producerId>/<slot>
//   value  0 u8 version (1)   1 u8 reserved   2 u16 epoch   4 u32 baseSequence   8 u32 recordCount
//          12 f64 baseOffset  20 f64 term     28 f64 index  36 f64 appendTime, ms
// Numbers are big-endian; doubles hold positions exactly, because these are safe integers.
import { assert } from "../base/assert.ts";
import type { ProducerId } from "../model/ids.ts";
import type { LogIndex, Offset, Term } from "../model/positions.ts";

/** One batch as it was stored. */
export interface BatchRecord {
  readonly baseSequence: number;
  readonly recordCount: number;
  readonly baseOffset: Offset;
  readonly term: Term;
  readonly index: LogIndex;
}

export const PRODUCER_KEY_PREFIX = "p/";
const VALUE_VERSION = 1;
const VALUE_BYTES = 44;

export interface ProducerSlot {
  readonly epoch: number;
  readonly batch: BatchRecord;
  readonly appendTimeMs: number;
}

export function producerKey(producerId: ProducerId, slot: number): string {
  return `${PRODUCER_KEY_PREFIX}${producerId}/${slot}`;
}

export function encodeProducerSlot({ epoch, batch, appendTimeMs }: ProducerSlot): Uint8Array {
  const value = Buffer.allocUnsafe(VALUE_BYTES);
  value[0] = VALUE_VERSION;
  value[1] = 0;
  value.writeUInt16BE(epoch, 2);
  value.writeUInt32BE(batch.baseSequence, 4);
  value.writeUInt32BE(batch.recordCount, 8);
  value.writeDoubleBE(batch.baseOffset, 12);
  value.writeDoubleBE(batch.term, 20);
  value.writeDoubleBE(batch.index, 28);
  value.writeDoubleBE(appendTimeMs, 36);
  return value;
}

export function decodeProducerSlot(
  key: string,
  bytes: Uint8Array,
): ProducerSlot & { readonly producerId: ProducerId; readonly slot: number } {
  const [, producerId, slot] = key.split("/");
  const value = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  assert(value.length === VALUE_BYTES && value[0] === VALUE_VERSION, "a known producer record", {
    key,
  });
  return {
    producerId: Number(producerId),
    slot: Number(slot),
    epoch: value.readUInt16BE(2),
    batch: {
      baseSequence: value.readUInt32BE(4),
      recordCount: value.readUInt32BE(8),
      baseOffset: value.readDoubleBE(12),
      term: value.readDoubleBE(20),
      index: value.readDoubleBE(28),
    },
    appendTimeMs: value.readDoubleBE(36),
  };
}
