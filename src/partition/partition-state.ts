// The replicated state of a partition: producers' sequences, message ids, log start, flush mode and feature level. The
// same entries give the same state on every replica. Pure; the replica room calls it, the append path and queries read
// it. Records themselves are not part of it: they stand in the log. What other rooms keep per partition is in parts.
import type { KeyedWrite } from "../log/ports.ts";
import type { Flush } from "../model/durability.ts";
import { type Frame, SECTION, sectionOf } from "../model/entry-frame.ts";
import type { LogIndex, Offset } from "../model/positions.ts";
import { readBatchHeader } from "../model/record-batch.ts";
import type { ApplyContext, StateMachine } from "../replica/ports.ts";
import { MESSAGE_ID_KEY_PREFIX, MessageIdTable } from "./message-id-table.ts";
import {
  type CommandFields,
  type CommandReply,
  type PartitionCommand,
  parseCommand,
  readCommand,
} from "./partition-commands.ts";
import { PRODUCER_KEY_PREFIX } from "./producer-records.ts";
import { ProducerTable } from "./producer-table.ts";
import type { PartReply, StatePart } from "./state-part.ts";

const META_KEY = "meta";
const META_VERSION = 1;

/** The small part of the state, stored as JSON under one key. */
interface Meta {
  readonly logStartIndex: LogIndex;
  /** Offset at logStartIndex. */
  readonly logStartOffset: Offset;
  readonly flush: Flush;
  readonly featureLevel: number;
}

/** A partition that never applied a command. */
const INITIAL: Meta = { logStartIndex: 1, logStartOffset: 0, flush: "sync", featureLevel: 1 };

const DONE: CommandReply = { outcome: "done" };
const NO_OP: CommandReply = { outcome: "no-op" };

export interface PartitionStateOptions {
  readonly producersMax?: number;
  readonly messageIdsMax?: number;
  readonly parts?: readonly StatePart[];
}

export class PartitionState implements StateMachine {
  readonly producers: ProducerTable;
  readonly messageIds: MessageIdTable;
  readonly #parts: readonly StatePart[];
  #meta: Meta = INITIAL;

  constructor(options: PartitionStateOptions = {}) {
    this.producers = new ProducerTable(options.producersMax);
    this.messageIds = new MessageIdTable(options.messageIdsMax);
    this.#parts = options.parts ?? [];
  }

  get logStartIndex(): LogIndex {
    return this.#meta.logStartIndex;
  }

  get logStartOffset(): Offset {
    return this.#meta.logStartOffset;
  }

  /** The commit rule that the group's log says. */
  get flush(): Flush {
    return this.#meta.flush;
  }

  get featureLevel(): number {
    return this.#meta.featureLevel;
  }

  /** The lowest offset that a part still needs; undefined: nobody reads this partition by a part. */
  lowestCursor(): Offset | undefined {
    let lowest: Offset | undefined;
    for (const part of this.#parts) {
      const cursor = part.lowestCursor();
      if (cursor !== undefined && (lowest === undefined || cursor < lowest)) lowest = cursor;
    }
    return lowest;
  }

  /** @throws FrameError unless a part knows this command: appended, it would stop every replica */
  checkPartCommand(command: CommandFields): void {
    const part = this.#partOf(command);
    if (part === undefined) readCommand(command);
    else part.check(command);
  }

  /** An entry may hold a command and a batch; both take effect. @throws FrameError for a command of a newer version */
  apply(
    frame: Frame,
    context: ApplyContext,
  ): { readonly reply?: PartReply; readonly writes: readonly KeyedWrite[] } {
    const writes: KeyedWrite[] = [];
    if (context.recordCount > 0) this.#applyBatch(frame, context, writes);
    const section = sectionOf(frame, SECTION.COMMAND);
    if (section === undefined) return { writes };
    const fields = parseCommand(section);
    const part = this.#partOf(fields);
    const reply =
      part === undefined
        ? this.#applyCommand(readCommand(fields), context, writes)
        : part.apply(fields, { ...context, logStartOffset: this.logStartOffset }, writes);
    return { reply, writes };
  }

  restore(pairs: Iterable<readonly [string, Uint8Array]>): void {
    const producers: (readonly [string, Uint8Array])[] = [];
    const messageIds: (readonly [string, Uint8Array])[] = [];
    const ofParts = this.#parts.map((part) => {
      const own: (readonly [string, Uint8Array])[] = [];
      return { part, own };
    });
    this.#meta = INITIAL;
    for (const pair of pairs) {
      const [key, value] = pair;
      const ofPart = ofParts.find(({ part }) => key.startsWith(part.keyPrefix));
      if (ofPart !== undefined) ofPart.own.push(pair);
      else if (key.startsWith(PRODUCER_KEY_PREFIX)) producers.push(pair);
      else if (key.startsWith(MESSAGE_ID_KEY_PREFIX)) messageIds.push(pair);
      else if (key === META_KEY) this.#meta = decodeMeta(value);
      else throw new TypeError(`unknown key in a partition's state: ${key}`);
    }
    this.producers.restore(producers);
    this.messageIds.restore(messageIds);
    for (const { part, own } of ofParts) part.restore(own);
  }

  *pairs(): Generator<readonly [string, Uint8Array]> {
    if (this.#meta !== INITIAL) yield [META_KEY, encodeMeta(this.#meta)];
    yield* this.producers.pairs();
    yield* this.messageIds.pairs();
    for (const part of this.#parts) yield* part.pairs();
  }

  #partOf({ type }: CommandFields): StatePart | undefined {
    return typeof type === "string"
      ? this.#parts.find((part) => part.commandTypes.has(type))
      : undefined;
  }

  #applyBatch(frame: Frame, context: ApplyContext, writes: KeyedWrite[]): void {
    const { index, term, baseOffset, recordCount, appendTimeMs } = context;
    const batch = sectionOf(frame, SECTION.BATCH);
    const header = batch === undefined ? undefined : readBatchHeader(batch);
    if (header !== undefined && header.producerId !== 0) {
      const { baseSequence } = header;
      const record = { baseSequence, recordCount, baseOffset, term, index };
      this.producers.record(header, record, appendTimeMs, writes);
    }
    const ids = sectionOf(frame, SECTION.MESSAGE_IDS);
    if (ids !== undefined) this.messageIds.record(context, ids, writes);
  }

  #applyCommand(
    command: PartitionCommand,
    context: ApplyContext,
    writes: KeyedWrite[],
  ): CommandReply {
    const meta = this.#meta;
    switch (command.type) {
      case "AdvanceLogStart": {
        const { index, offset } = command;
        // Beyond the applied entries nothing is known to stay; a leader never asks for it.
        if (index <= meta.logStartIndex || index > context.index) return NO_OP;
        if (command.acked === true && !this.#isSettledBelow(offset)) return NO_OP;
        this.#put({ ...meta, logStartIndex: index, logStartOffset: offset }, writes);
        const moved = { ...context, logStartOffset: offset };
        for (const part of this.#parts) part.logStartMoved(moved, writes);
        return DONE;
      }
      case "ExpireProducers": {
        const expired = this.producers.expire(command.ids, command.idleBeforeMs, writes);
        return expired > 0 ? DONE : NO_OP;
      }
      case "SetFlush":
        if (command.flush === meta.flush) return NO_OP;
        return this.#put({ ...meta, flush: command.flush }, writes);
      case "FeatureLevel":
        if (command.level <= meta.featureLevel) return NO_OP;
        return this.#put({ ...meta, featureLevel: command.level }, writes);
    }
  }

  /** By everybody, and there is somebody. */
  #isSettledBelow(offset: Offset): boolean {
    const lowest = this.lowestCursor();
    return lowest !== undefined && lowest >= offset;
  }

  #put(meta: Meta, writes: KeyedWrite[]): CommandReply {
    this.#meta = meta;
    writes.push({ type: "put", key: META_KEY, value: encodeMeta(meta) });
    return DONE;
  }
}

function encodeMeta(meta: Meta): Uint8Array {
  return Buffer.from(JSON.stringify({ v: META_VERSION, ...meta }), "utf8");
}

function decodeMeta(value: Uint8Array): Meta {
  const { v, ...meta } = JSON.parse(Buffer.from(value).toString("utf8")) as Meta & {
    readonly v: number;
  };
  if (v !== META_VERSION) throw new TypeError(`unknown version of a partition's state: ${v}`);
  return meta;
}
