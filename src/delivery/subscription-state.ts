// One subscription in one partition: what is settled, what failed, what is parked, who is there. Pure; part of the partition's replicated
// state (docs/adr/0015). DeliveryState applies commands to it; the dispatcher and answers about progress read it.
//
//   d/<subscription id>/m                  JSON {v, version, createdIndex, startOffset, cursor, dropped, seeks?, seekEpoch?, complete}
//   d/<subscription id>/s/<page, 11 hex>   settled offsets of a page (settled-table.ts)
//   d/<subscription id>/f/<offset, 14 hex> failures   d/<subscription id>/p/<offset, 14 hex> parked (delivery-records.ts)
//   d/<subscription id>/c/<hash, 12 hex>   consumers that are noted (presence-table.ts)
import type { KeyedWrite } from "../log/ports.ts";
import type { LogIndex, Offset, Term } from "../model/positions.ts";
import type {
  OffsetRange,
  RefusedItem,
  ReleaseUpdate,
  SubscriptionUpdate,
} from "./delivery-commands.ts";
import { FailureTable } from "./failure-table.ts";
import { ParkedTable } from "./parked-table.ts";
import { type PresenceNote, PresenceTable } from "./presence-table.ts";
import { SettledTable } from "./settled-table.ts";

export const DELIVERY_KEY_PREFIX = "d/";
const META_VERSION = 1;

/** How a subscription was attached. */
export interface Attachment {
  readonly id: string;
  /** Of the definition that attached it, or the newest that was noted. */
  readonly version: number;
  /** Index of the metadata entry that created the subscription. */
  readonly createdIndex: LogIndex;
  /** Everything below was settled from the beginning. */
  readonly startOffset: Offset;
}

/** What an update came to. */
export interface UpdateOutcome {
  readonly hasChanged: boolean;
  readonly refused: readonly RefusedItem[];
}

export interface TableLimits {
  readonly failures?: number;
  readonly parkedKeys?: number;
  readonly notedConsumers?: number;
}

export class SubscriptionState {
  readonly id: string;
  readonly createdIndex: LogIndex;
  readonly startOffset: Offset;
  readonly failures: FailureTable;
  readonly parked: ParkedTable;
  /** Consumers that the last leader noted, in ordered modes. */
  readonly noted: PresenceTable;
  settled: SettledTable;
  #version: number;
  #droppedMessages = 0;
  #seeks = 0;
  #seekEpoch: Term = 0;
  /** The stored record is another one. */
  #isMetaChanged = true;
  #storedCursor: Offset;

  constructor(attachment: Attachment, limits: TableLimits = {}) {
    this.id = attachment.id;
    this.createdIndex = attachment.createdIndex;
    this.startOffset = attachment.startOffset;
    this.settled = new SettledTable(attachment.startOffset);
    this.failures = new FailureTable(limits.failures);
    this.parked = new ParkedTable(limits.parkedKeys);
    this.noted = new PresenceTable(limits.notedConsumers);
    this.#version = attachment.version;
    this.#storedCursor = attachment.startOffset;
  }

  get version(): number {
    return this.#version;
  }

  /** The lowest offset that is not settled. */
  get cursor(): Offset {
    return this.settled.cursor;
  }

  /** How many consumers are noted. */
  get sessions(): number {
    return this.noted.size;
  }

  /** Messages that retention dropped before they were settled. */
  get droppedMessages(): number {
    return this.#droppedMessages;
  }

  /** Grows with each seek. */
  get seeks(): number {
    return this.#seeks;
  }

  /** What this leader and those before it handed out is void: the last one that sought. 0: none did. */
  get seekEpoch(): Term {
    return this.#seekEpoch;
  }

  /** @returns whether it is newer */
  noteVersion(version: number): boolean {
    if (version <= this.#version) return false;
    this.#version = version;
    this.#isMetaChanged = true;
    return true;
  }

  /** @param endOffset no message at or above it was written when the update was */
  update(update: SubscriptionUpdate, endOffset: Offset): UpdateOutcome {
    if ((update.seeks ?? 0) !== this.#seeks) {
      return { hasChanged: this.#notePresence(update), refused: [] };
    }
    const refused: RefusedItem[] = [];
    let hasChanged = this.#settle(update.settle ?? [], endOffset);
    for (const release of update.release ?? []) {
      hasChanged = this.#release(release, refused) || hasChanged;
    }
    const isOpen = (offset: Offset): boolean =>
      offset < endOffset && !this.settled.isSettled(offset);
    const note = (
      what: RefusedItem["what"],
      offset: Offset,
      change: () => "done" | "no-op" | "limit",
    ): void => {
      const outcome = isOpen(offset) ? change() : "no-op";
      if (outcome === "done") hasChanged = true;
      if (outcome === "limit") refused.push({ id: this.id, what, offset });
    };
    for (const fail of update.fail ?? []) {
      note("fail", fail.offset, () => this.failures.fail(fail));
    }
    for (const dead of update.dead ?? []) {
      note("dead", dead.offset, () => this.failures.kill(dead));
    }
    for (const park of update.park ?? []) note("park", park.offset, () => this.parked.park(park));
    hasChanged = this.#notePresence(update) || hasChanged;
    return { hasChanged, refused };
  }

  /**
   * Goes to another place: nothing above it is settled, and no failure or parked key is remembered.
   * @param leaderEpoch of the leader that asked for it
   */
  seek(offset: Offset, leaderEpoch: Term): void {
    this.#seeks += 1;
    this.#seekEpoch = Math.max(this.#seekEpoch, leaderEpoch);
    this.#isMetaChanged = true;
    this.settled.seek(offset);
    this.failures.clear();
    this.parked.clear();
  }

  /** Retention dropped everything below `offset`. */
  dropBelow(offset: Offset): void {
    if (offset <= this.cursor) return;
    const from = this.cursor;
    this.#droppedMessages += this.settled.settle(from, offset);
    this.#isMetaChanged = true;
    this.#forgetSettled([[from, offset]], offset - from);
  }

  /** What changed since the last call. */
  takeWrites(writes: KeyedWrite[]): void {
    const prefix = prefixOf(this.id);
    if (this.#isMetaChanged || this.#storedCursor !== this.cursor) {
      this.#isMetaChanged = false;
      this.#storedCursor = this.cursor;
      writes.push({ type: "put", key: `${prefix}m`, value: this.#encodeMeta() });
    }
    for (const write of this.settled.takeWrites(`${prefix}s/`)) writes.push(write);
    for (const write of this.failures.takeWrites(`${prefix}f/`)) writes.push(write);
    for (const write of this.parked.takeWrites(`${prefix}p/`)) writes.push(write);
    for (const write of this.noted.takeWrites(`${prefix}c/`)) writes.push(write);
  }

  /** Deletes everything that is stored of it. */
  takeDeletions(writes: KeyedWrite[]): void {
    for (const [key] of this.pairs()) writes.push({ type: "delete", key });
  }

  *pairs(): Generator<readonly [string, Uint8Array]> {
    const prefix = prefixOf(this.id);
    yield [`${prefix}m`, this.#encodeMeta()];
    yield* this.settled.pairs(`${prefix}s/`);
    yield* this.failures.pairs(`${prefix}f/`);
    yield* this.parked.pairs(`${prefix}p/`);
    yield* this.noted.pairs(`${prefix}c/`);
  }

  /** From all stored pairs of one subscription, in any order. @throws TypeError for what pairs() never gives */
  static restore(
    id: string,
    pairs: Iterable<readonly [string, Uint8Array]>,
    limits: TableLimits = {},
  ): SubscriptionState {
    const prefix = prefixOf(id);
    const kinds = new Map<string, (readonly [string, Uint8Array])[]>(
      ["m", "s/", "f/", "p/", "c/"].map((kind) => [kind, []]),
    );
    for (const pair of pairs) {
      const kind = kinds.get(pair[0].slice(prefix.length, prefix.length + 2));
      if (kind === undefined) throw new TypeError(`unknown key of a subscription: ${pair[0]}`);
      kind.push(pair);
    }
    const [meta] = kinds.get("m") ?? [];
    if (meta === undefined) throw new TypeError(`a subscription without its record: ${id}`);
    const { attachment, cursor, dropped, isComplete, seekEpoch, seeks } = decodeMeta(id, meta[1]);
    const state = new SubscriptionState(attachment, limits);
    state.settled = SettledTable.restore(cursor, `${prefix}s/`, kinds.get("s/") ?? []);
    state.failures.restore(`${prefix}f/`, kinds.get("f/") ?? []);
    state.parked.restore(`${prefix}p/`, kinds.get("p/") ?? []);
    state.noted.restore(`${prefix}c/`, kinds.get("c/") ?? [], isComplete);
    state.#droppedMessages = dropped;
    state.#seeks = seeks;
    state.#seekEpoch = seekEpoch;
    state.#storedCursor = cursor;
    state.#isMetaChanged = false;
    return state;
  }

  #settle(ranges: readonly OffsetRange[], endOffset: Offset): boolean {
    const before = this.cursor;
    let added = 0;
    let width = 0;
    const clipped: OffsetRange[] = [];
    for (const range of ranges) {
      const from = Math.max(range[0], before);
      const to = Math.min(range[1], endOffset);
      if (from >= to) continue;
      added += this.settled.settle(from, to);
      width += to - from;
      clipped.push([from, to]);
    }
    if (added > 0) this.#forgetSettled(clipped, width);
    return added > 0;
  }

  /** What is settled neither failed nor holds anything up. Looks at whatever is less: what was settled, or what is kept. */
  #forgetSettled(ranges: readonly OffsetRange[], width: number): void {
    const { failures, parked } = this;
    if (width < failures.size + parked.size) {
      for (const [from, to] of ranges) {
        for (let offset = from; offset < to; offset += 1) this.#forget(offset);
      }
      return;
    }
    for (const table of [failures, parked]) {
      for (const offset of table.offsets()) {
        if (this.settled.isSettled(offset)) this.#forget(offset);
      }
    }
  }

  #forget(offset: Offset): void {
    this.failures.forget(offset);
    this.parked.release(offset);
  }

  #release({ offset, action }: ReleaseUpdate, refused: RefusedItem[]): boolean {
    if (!this.parked.release(offset)) return false;
    if (action === "retry") this.failures.forget(offset);
    if (action === "settle") this.#settle([[offset, offset + 1]], offset + 1);
    if (action === "dead" && this.failures.kill({ offset, attempt: undefined }) === "limit") {
      refused.push({ id: this.id, what: "dead", offset });
    }
    return true;
  }

  #notePresence(note: PresenceNote): boolean {
    const wasComplete = this.noted.isComplete;
    const hasChanged = this.noted.note(note);
    if (this.noted.isComplete !== wasComplete) this.#isMetaChanged = true;
    return hasChanged;
  }

  #encodeMeta(): Uint8Array {
    const meta = {
      v: META_VERSION,
      version: this.#version,
      createdIndex: this.createdIndex,
      startOffset: this.startOffset,
      cursor: this.cursor,
      dropped: this.#droppedMessages,
      ...(this.#seeks > 0 && { seeks: this.#seeks }),
      ...(this.#seekEpoch > 0 && { seekEpoch: this.#seekEpoch }),
      complete: this.noted.isComplete,
    };
    return Buffer.from(JSON.stringify(meta), "utf8");
  }
}

function prefixOf(id: string): string {
  return `${DELIVERY_KEY_PREFIX}${id}/`;
}

interface Meta {
  readonly attachment: Attachment;
  readonly cursor: Offset;
  readonly dropped: number;
  readonly seeks: number;
  readonly seekEpoch: Term;
  readonly isComplete: boolean;
}

function decodeMeta(id: string, value: Uint8Array): Meta {
  const parsed: unknown = JSON.parse(Buffer.from(value).toString("utf8"));
  const fields = new Map(Object.entries(parsed ?? {}));
  const number = (name: string): number => {
    const field: unknown = fields.get(name);
    if (typeof field === "number" && Number.isSafeInteger(field) && field >= 0) return field;
    throw new TypeError(`unknown form of a subscription's record: ${name}`);
  };
  const v = number("v");
  if (v !== META_VERSION) throw new TypeError(`unknown version of a subscription's record: ${v}`);
  const [version, createdIndex] = [number("version"), number("createdIndex")];
  const attachment = { id, version, createdIndex, startOffset: number("startOffset") };
  const [cursor, dropped] = [number("cursor"), number("dropped")];
  const seeks = fields.has("seeks") ? number("seeks") : 0;
  const seekEpoch = fields.has("seekEpoch") ? number("seekEpoch") : 0;
  const isComplete: unknown = fields.get("complete");
  if (typeof isComplete !== "boolean") {
    throw new TypeError("unknown form of a subscription's record: complete");
  }
  return { attachment, cursor, dropped, seeks, seekEpoch, isComplete };
}
