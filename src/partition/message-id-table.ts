// What a partition remembers of plain messages: message id → where it was stored, so that a foreign client's retry
// stores nothing and gets the original receipt (architecture §7.7). Part of the replicated state; pure. Ids are forgotten
// in log order, a whole entry at a time, when there are more than MESSAGE_IDS_PER_PARTITION_MAX.
//
//   section MESSAGE_IDS of an entry: per record { u16 length, UTF-8 bytes }; length 0: the message has no id
//   key    i/<index, 16 digits>
//   value  0 u8 version (1)   1 7 bytes reserved   8 f64 baseOffset   16 f64 term   24 the section's bytes
import { assert } from "../base/assert.ts";
import type { KeyedWrite } from "../log/ports.ts";
import { MESSAGE_IDS_PER_PARTITION_MAX } from "../model/limits.ts";
import type { LogIndex, Offset, Term } from "../model/positions.ts";
import { Fifo } from "./fifo.ts";

export const MESSAGE_ID_KEY_PREFIX = "i/";
const VALUE_VERSION = 1;
const VALUE_HEADER_BYTES = 24;
const INDEX_DIGITS = 16;

/** Where a message with an id was stored. */
export interface StoredMessage {
  readonly offset: Offset;
  readonly term: Term;
  readonly index: LogIndex;
}

interface Entry {
  readonly index: LogIndex;
  readonly term: Term;
  readonly baseOffset: Offset;
  /** Those of the section; "" where a message has none. */
  readonly ids: readonly string[];
  /** Ids that are not "". */
  readonly size: number;
  readonly section: Uint8Array;
}

/** The bytes of a MESSAGE_IDS section. Each id is at most 65 535 bytes of UTF-8. */
export function encodeMessageIds(ids: readonly string[]): Buffer {
  let length = 0;
  for (const id of ids) length += 2 + Buffer.byteLength(id);
  const bytes = Buffer.allocUnsafe(length);
  let position = 0;
  for (const id of ids) {
    const written = bytes.write(id, position + 2, "utf8");
    bytes.writeUInt16BE(written, position);
    position += 2 + written;
  }
  return bytes;
}

export function decodeMessageIds(section: Uint8Array): string[] {
  const bytes = Buffer.from(section.buffer, section.byteOffset, section.length);
  const ids: string[] = [];
  let position = 0;
  while (position < bytes.length) {
    const from = position + 2;
    position = from + bytes.readUInt16BE(position);
    ids.push(bytes.toString("utf8", from, position));
  }
  return ids;
}

export class MessageIdTable {
  /** The newest place of each id. */
  #offsets = new Map<string, Offset>();
  /** Oldest first; base offsets ascend. */
  #entries = new Fifo<Entry>();
  #size = 0;
  readonly #idsMax: number;

  constructor(idsMax: number = MESSAGE_IDS_PER_PARTITION_MAX) {
    this.#idsMax = idsMax;
  }

  get size(): number {
    return this.#size;
  }

  get(id: string): StoredMessage | undefined {
    const offset = this.#offsets.get(id);
    if (offset === undefined) return undefined;
    const entry = this.#entryOf(offset);
    assert(entry !== undefined, "a remembered message id has an entry", { offset });
    return { offset, term: entry.term, index: entry.index };
  }

  /** An entry with a MESSAGE_IDS section was applied. */
  record(
    place: { readonly index: LogIndex; readonly term: Term; readonly baseOffset: Offset },
    section: Uint8Array,
    writes: KeyedWrite[],
  ): void {
    // Copied: the section is a view that would keep the whole frame in memory.
    const entry = this.#add(place, Buffer.from(section));
    writes.push({ type: "put", key: keyOf(entry.index), value: encodeValue(entry) });
    while (this.#size > this.#idsMax && this.#entries.length > 1) {
      writes.push({ type: "delete", key: keyOf(this.#forgetOldest()) });
    }
  }

  restore(values: Iterable<readonly [string, Uint8Array]>): void {
    this.#offsets = new Map();
    this.#entries = new Fifo();
    this.#size = 0;
    const ordered = [...values].sort(([left], [right]) => (left < right ? -1 : 1));
    for (const [key, bytes] of ordered) {
      const value = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
      assert(value[0] === VALUE_VERSION, "a known message id record", { key });
      const place = {
        index: Number(key.slice(MESSAGE_ID_KEY_PREFIX.length)),
        term: value.readDoubleBE(16),
        baseOffset: value.readDoubleBE(8),
      };
      this.#add(place, Buffer.from(value.subarray(VALUE_HEADER_BYTES)));
    }
  }

  *pairs(): Generator<readonly [string, Uint8Array]> {
    for (let position = 0; position < this.#entries.length; position += 1) {
      const entry = this.#entries.at(position);
      if (entry !== undefined) yield [keyOf(entry.index), encodeValue(entry)];
    }
  }

  #add(
    place: { readonly index: LogIndex; readonly term: Term; readonly baseOffset: Offset },
    section: Uint8Array,
  ): Entry {
    const ids = decodeMessageIds(section);
    let size = 0;
    for (const [number, id] of ids.entries()) {
      if (id === "") continue;
      size += 1;
      this.#offsets.set(id, place.baseOffset + number);
    }
    const { index, term, baseOffset } = place;
    const entry = { index, term, baseOffset, ids, size, section };
    this.#entries.push(entry);
    this.#size += size;
    return entry;
  }

  #forgetOldest(): LogIndex {
    const entry = this.#entries.shift();
    assert(entry !== undefined, "there is an oldest entry");
    this.#size -= entry.size;
    for (const [number, id] of entry.ids.entries()) {
      // The same id may have been stored again after it was forgotten once.
      if (this.#offsets.get(id) === entry.baseOffset + number) this.#offsets.delete(id);
    }
    return entry.index;
  }

  #entryOf(offset: Offset): Entry | undefined {
    let low = 0;
    let high = this.#entries.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#entries.at(middle)?.baseOffset ?? 0) > offset) high = middle;
      else low = middle + 1;
    }
    return this.#entries.at(low - 1);
  }
}

function keyOf(index: LogIndex): string {
  return MESSAGE_ID_KEY_PREFIX + String(index).padStart(INDEX_DIGITS, "0");
}

function encodeValue({ baseOffset, term, section }: Entry): Uint8Array {
  const value = Buffer.alloc(VALUE_HEADER_BYTES + section.length);
  value[0] = VALUE_VERSION;
  value.writeDoubleBE(baseOffset, 8);
  value.writeDoubleBE(term, 16);
  value.set(section, VALUE_HEADER_BYTES);
  return value;
}
