// One fetch stream, whatever carries it: many cursors that share the client's byte credit in turn. Cursors with records
// in memory are served at once; those that need the disk wait for one of a few reads under way; those at the high
// watermark are parked and woken by their partition. A cursor that cannot go on ends with an error; the stream stays.
import type { Clock } from "../base/clock.ts";
import { BrokerError } from "../model/errors.ts";
import type { PartitionIndex, TopicId } from "../model/ids.ts";
import { BULK_MESSAGE_BYTES_TARGET, LANES_PER_STREAM_MAX } from "../model/limits.ts";
import type { MemoryBudget } from "../model/memory-budget.ts";
import {
  type BatchRun,
  checkNotDiverged,
  checkOffset,
  type FetchSlots,
  PartitionCursor,
} from "./fetch-path.ts";
import { Fifo } from "./fifo.ts";
import type { Partition } from "./partition.ts";
import type { PartitionLookup, PartitionReader } from "./ports.ts";
import {
  asBrokerError,
  checkProtocolVersion,
  type Refusal,
  refusalOf,
  unknownPartition,
} from "./refusal.ts";

/** Cursors per stream. More: CursorError INVALID_REQUEST. */
export const CURSORS_PER_STREAM_MAX: number = LANES_PER_STREAM_MAX;
/** What one cursor gets before the next one's turn. */
const SLICE_BYTES = 256 * 1024;
/** Runs of one stream that are being read from disk or wait to be sent: bounds memory, not fairness. */
const DISK_READS_MAX = 4;
/** Credit beyond this is not remembered. */
const CREDIT_BYTES_MAX = 2 ** 40;

/** Shape of the protocol's OpenCursor. */
export interface OpenCursor {
  readonly cursor: number;
  readonly topicId: string;
  readonly partition: number;
  readonly offset: number;
  /** 0: none. */
  readonly lastEpoch: number;
  /** 0: the reader did not say. */
  readonly layoutEpoch: number;
  readonly protocolVersion: number;
}

/** Shape of the protocol's FetchRequest. */
export interface FetchMessage {
  readonly open: readonly OpenCursor[];
  readonly close: readonly number[];
  readonly creditBytes: number;
}

/** Shape of the protocol's FetchResponse. */
export interface FetchAnswer {
  readonly data: readonly {
    readonly cursor: number;
    readonly batches: readonly Buffer[];
    readonly highWatermark: number;
    readonly logStartOffset: number;
  }[];
  readonly errors: readonly (Refusal & { readonly cursor: number })[];
}

/** The stream that carries a session. */
export interface FetchOutput {
  /** False: the transport's buffer is full; drained() must be called when it is not any more. */
  send(answer: FetchAnswer): boolean;
  /** Stops and restarts delivery of messages. Called alternately. */
  pause?(): void;
  resume?(): void;
}

export interface FetchSessionDeps {
  readonly clock: Clock;
  readonly lookup: PartitionLookup<Partition>;
  readonly slots: FetchSlots;
  /** Asked before records are read ahead and before an answer is made. */
  readonly memory?: MemoryBudget;
}

class SessionCursor implements PartitionReader {
  readonly id: number;
  readonly cursor: PartitionCursor;
  /** Read from disk, not sent. */
  buffered: BatchRun | undefined;
  /** Bytes of memory that `buffered` or the read under way is counted as. */
  heldBytes = 0;
  isEnded = false;
  /** Since when it could have been served, as far as credit and the transport allowed; monotonic, ms. */
  readySinceMs = 0;
  leave: (() => void) | undefined;
  readonly #onWake: (cursor: SessionCursor) => void;

  constructor(id: number, cursor: PartitionCursor, onWake: (cursor: SessionCursor) => void) {
    this.id = id;
    this.cursor = cursor;
    this.#onWake = onWake;
  }

  wake(): void {
    this.leave = undefined;
    if (!this.isEnded) this.#onWake(this);
  }
}

export class FetchSession {
  readonly #deps: FetchSessionDeps;
  readonly #output: FetchOutput;
  readonly #cursors = new Map<number, SessionCursor>();
  /** Cursors that may have something to send, in turn. */
  #ready = new Fifo<SessionCursor>();
  /** Cursors that wait for a disk read. */
  #unread = new Fifo<SessionCursor>();
  #diskReads = 0;
  #errors: (Refusal & { readonly cursor: number })[] = [];
  #creditBytes = 0;
  #isTurnDue = false;
  #isBlocked = false;
  #isPaused = false;
  #isClosed = false;
  /** Waits for memory to send or to read. */
  #leaveSend: (() => void) | undefined;
  #leaveRead: (() => void) | undefined;

  constructor(deps: FetchSessionDeps, output: FetchOutput) {
    this.#deps = deps;
    this.#output = output;
  }

  /** May be negative: one run can exceed what was left. */
  get creditBytes(): number {
    return this.#creditBytes;
  }

  /** @throws BrokerError INVALID_REQUEST, which ends the stream, when more cursors fail than a stream may have */
  receive(message: FetchMessage): void {
    if (this.#isClosed) return;
    for (const id of message.close) {
      const cursor = this.#cursors.get(id);
      if (cursor !== undefined) this.#end(cursor);
    }
    for (const open of message.open) this.#open(open);
    this.#creditBytes = Math.min(this.#creditBytes + message.creditBytes, CREDIT_BYTES_MAX);
    this.#startDiskReads();
    this.#scheduleTurn();
  }

  /** The transport takes messages again. */
  drained(): void {
    this.#isBlocked = false;
    this.#adjustReading();
    this.#startDiskReads();
    this.#scheduleTurn();
  }

  /** The stream ended. */
  close(): void {
    this.#isClosed = true;
    this.#leaveSend?.();
    this.#leaveRead?.();
    for (const cursor of [...this.#cursors.values()]) this.#end(cursor);
    this.#errors = [];
  }

  #open(open: OpenCursor): void {
    // Each costs far more here than at the client, and is kept until the client takes it.
    if (this.#errors.length >= CURSORS_PER_STREAM_MAX) {
      throw invalid("open", `more than ${CURSORS_PER_STREAM_MAX} cursors that can not be opened`);
    }
    const { cursor: id, topicId, partition: number } = open;
    const existing = this.#cursors.get(id);
    if (existing !== undefined) {
      this.#fail(existing, invalid("open.cursor", "the cursor was open already"));
      return;
    }
    let isSlotTaken = false;
    try {
      checkProtocolVersion(open.protocolVersion);
      if (this.#cursors.size >= CURSORS_PER_STREAM_MAX) {
        throw invalid("open", `at most ${CURSORS_PER_STREAM_MAX} cursors per stream`);
      }
      const partition = this.#deps.lookup(topicId as TopicId, number as PartitionIndex);
      if (partition === undefined) throw unknownPartition(topicId, number);
      partition.requireLeader();
      if (open.layoutEpoch !== 0) partition.checkLayout(open.layoutEpoch);
      this.#deps.slots.take();
      isSlotTaken = true;
      const position = new PartitionCursor(partition, open.offset);
      const cursor = new SessionCursor(id, position, (woken) => this.#enqueue(woken));
      this.#cursors.set(id, cursor);
      if (open.lastEpoch === 0) {
        checkOffset(partition, open.offset);
        this.#enqueue(cursor);
      } else void this.#openChecked(cursor, open);
    } catch (error) {
      const cursor = this.#cursors.get(id);
      if (cursor !== undefined) this.#fail(cursor, asBrokerError(error));
      else {
        if (isSlotTaken) this.#deps.slots.give();
        const refusal = asBrokerError(error);
        const partition = this.#deps.lookup(topicId as TopicId, number as PartitionIndex);
        partition?.metrics.fetchRefused(refusal);
        this.#report(id, refusal);
      }
    }
  }

  /** Never rejects: what goes wrong ends the cursor. */
  async #openChecked(cursor: SessionCursor, open: OpenCursor): Promise<void> {
    const { partition } = cursor.cursor;
    try {
      await checkNotDiverged(partition, open.offset, open.lastEpoch);
      checkOffset(partition, open.offset);
      if (!cursor.isEnded) this.#enqueue(cursor);
    } catch (error) {
      this.#fail(cursor, asBrokerError(error));
    }
  }

  #enqueue(cursor: SessionCursor): void {
    cursor.readySinceMs = this.#deps.clock.monotonicMs();
    this.#ready.push(cursor);
    this.#scheduleTurn();
  }

  #scheduleTurn(): void {
    const hasWork = this.#errors.length > 0 || (this.#ready.length > 0 && this.#creditBytes > 0);
    if (!hasWork || this.#isTurnDue || this.#isBlocked || this.#isClosed) return;
    this.#isTurnDue = true;
    this.#deps.clock.defer(() => {
      this.#isTurnDue = false;
      if (!this.#isBlocked && !this.#isClosed) this.#turn();
    });
  }

  /** Fills one message; the rest comes in later turns, so that other streams get theirs. */
  #turn(): void {
    const data: FetchAnswer["data"][number][] = [];
    const bytesMax = this.#answerBytes();
    if (bytesMax === 0) return;
    const nowMs = this.#deps.clock.monotonicMs();
    let bytes = 0;
    while (bytes < bytesMax && this.#creditBytes > 0) {
      const cursor = this.#ready.shift();
      if (cursor === undefined) break;
      if (cursor.isEnded) continue;
      const room = Math.min(SLICE_BYTES, bytesMax - bytes, this.#creditBytes);
      const run = this.#nextRun(cursor, room);
      if (run === undefined) continue;
      const { highWatermark, logStartOffset, metrics } = cursor.cursor.partition;
      metrics.count("bytes_fetched", run.bytes);
      metrics.count("records_fetched", run.recordCount);
      metrics.fetched("ok", nowMs - cursor.readySinceMs);
      cursor.readySinceMs = nowMs;
      data.push({ cursor: cursor.id, batches: run.batches, highWatermark, logStartOffset });
      bytes += run.bytes;
      this.#creditBytes -= run.bytes;
      this.#ready.push(cursor);
    }
    const errors = this.#errors;
    this.#errors = [];
    if (data.length > 0 || errors.length > 0) {
      this.#isBlocked = !this.#output.send({ data, errors });
      this.#adjustReading();
    }
    this.#startDiskReads();
    this.#scheduleTurn();
  }

  /** How much one answer may hold now. 0: the broker's memory for answers is used up, and it goes on when some is free. */
  #answerBytes(): number {
    const { memory } = this.#deps;
    if (memory === undefined) return BULK_MESSAGE_BYTES_TARGET;
    if (memory.free("send") > 0) {
      return Math.min(BULK_MESSAGE_BYTES_TARGET, memory.holderLimit("send"));
    }
    this.#isBlocked = true;
    this.#leaveSend = memory.whenFree("send", () => {
      this.#leaveSend = undefined;
      this.drained();
    });
    return 0;
  }

  /** Whoever does not take answers is not asked for more work: refusals of cursors would pile up here. */
  #adjustReading(): void {
    if (this.#isClosed || this.#isBlocked === this.#isPaused) return;
    this.#isPaused = this.#isBlocked;
    if (this.#isPaused) this.#output.pause?.();
    else this.#output.resume?.();
  }

  /** What the cursor can send now; undefined when it parked, waits for the disk or ended. */
  #nextRun(cursor: SessionCursor, bytesMax: number): BatchRun | undefined {
    const { buffered } = cursor;
    if (buffered !== undefined) {
      this.#dropRead(cursor);
      return buffered;
    }
    let run: BatchRun | undefined;
    try {
      run = cursor.cursor.readTail(bytesMax);
    } catch (error) {
      this.#fail(cursor, asBrokerError(error));
      return undefined;
    }
    if (run === undefined) {
      this.#unread.push(cursor);
      return undefined;
    }
    if (run.batches.length > 0) return run;
    // Frames without records may stand before the high watermark: then there is more to read right away.
    if (cursor.cursor.isAtEnd) cursor.leave = cursor.cursor.partition.park(cursor);
    else this.#ready.push(cursor);
    return undefined;
  }

  #startDiskReads(): void {
    while (this.#diskReads < DISK_READS_MAX && this.#creditBytes > 0 && !this.#isClosed) {
      const cursor = this.#unread.peek();
      if (cursor === undefined) return;
      if (!cursor.isEnded && !this.#mayRead()) return;
      this.#unread.shift();
      if (cursor.isEnded) continue;
      this.#diskReads += 1;
      this.#hold(cursor, SLICE_BYTES);
      void this.#readFromDisk(cursor);
    }
  }

  /** The more is read ahead by others, the fewer reads of one stream are under way. */
  #mayRead(): boolean {
    const { memory } = this.#deps;
    if (memory === undefined) return true;
    const free = memory.free("read");
    if (free >= SLICE_BYTES && (this.#diskReads === 0 || free > memory.limit("read") / 2)) {
      return true;
    }
    this.#leaveRead ??= memory.whenFree("read", () => {
      this.#leaveRead = undefined;
      this.#startDiskReads();
    });
    return false;
  }

  #hold(cursor: SessionCursor, bytes: number): void {
    cursor.heldBytes += bytes;
    this.#deps.memory?.take("read", bytes);
  }

  /** A read is over: sent, empty, failed or not wanted any more. */
  #dropRead(cursor: SessionCursor): void {
    cursor.buffered = undefined;
    this.#diskReads -= 1;
    const { heldBytes } = cursor;
    cursor.heldBytes = 0;
    this.#deps.memory?.give("read", heldBytes);
  }

  /** Never rejects: what goes wrong ends the cursor. */
  async #readFromDisk(cursor: SessionCursor): Promise<void> {
    try {
      const run = await cursor.cursor.read(Math.min(SLICE_BYTES, this.#creditBytes));
      if (cursor.isEnded || run.batches.length === 0) this.#dropRead(cursor);
      else {
        cursor.buffered = run;
        this.#hold(cursor, run.bytes - cursor.heldBytes);
      }
      if (!cursor.isEnded) this.#enqueue(cursor);
    } catch (error) {
      this.#dropRead(cursor);
      this.#fail(cursor, asBrokerError(error));
    }
    this.#startDiskReads();
  }

  #fail(cursor: SessionCursor, error: BrokerError): void {
    if (cursor.isEnded) return;
    this.#end(cursor);
    cursor.cursor.partition.metrics.fetchRefused(error);
    this.#report(cursor.id, error);
  }

  #report(cursor: number, error: BrokerError): void {
    this.#errors.push({ cursor, ...refusalOf(error) });
    this.#scheduleTurn();
  }

  #end(cursor: SessionCursor): void {
    cursor.isEnded = true;
    cursor.leave?.();
    cursor.leave = undefined;
    if (cursor.buffered !== undefined) this.#dropRead(cursor);
    this.#cursors.delete(cursor.id);
    this.#deps.slots.give();
  }
}

function invalid(field: string, message: string): BrokerError {
  return new BrokerError("INVALID_REQUEST", message, { field });
}
