// One fetch stream of a reader to one broker, with the cursors whose partitions that broker leads, and their shared credit.
import { BrokerError } from "../model/errors.ts";
import { PROTOCOL_VERSION_MAX } from "../model/limits.ts";
import type {
  CursorBatches,
  CursorError,
  FetchRequest,
  FetchResponse,
} from "../rpc/generated/flotilla-v1.ts";
import { fetchService } from "../rpc/methods.ts";
import type { Connection, MessageStream } from "../rpc/ports.ts";
import type { CursorStream, FetchCursor } from "./fetch-cursor.ts";

/** What a stream tells its reader. */
export interface FetchStreamEvents {
  onData(cursor: FetchCursor, data: CursorBatches): void;
  onCursorError(cursor: FetchCursor, error: CursorError): void;
  /** The stream is over; its cursors have to go elsewhere. */
  onEnd(stream: FetchStream, cursors: readonly FetchCursor[], error: BrokerError): void;
}

export class FetchStream implements CursorStream {
  readonly endpoint: string;
  readonly #stream: MessageStream<FetchRequest, FetchResponse>;
  readonly #events: FetchStreamEvents;
  readonly #cursors = new Map<number, FetchCursor>();
  readonly #shareBytes: number;
  #nextId = 0;
  /** Consumed and not granted anew yet. */
  #owedBytes: number;
  #isOver = false;

  /**
   * @param shareBytes credit that the broker has when everything is consumed
   * @param grantBytes credit to begin with
   * @throws BrokerError CLOSED
   */
  constructor(
    connection: Connection,
    credit: { readonly shareBytes: number; readonly grantBytes: number },
    events: FetchStreamEvents,
  ) {
    this.endpoint = connection.endpoint;
    this.#events = events;
    this.#shareBytes = credit.shareBytes;
    this.#owedBytes = credit.grantBytes;
    this.#stream = connection.bidi(fetchService.fetch);
    this.#stream.onMessage = (answer) => this.#onAnswer(answer);
    this.#stream.onEnd = (error) => {
      this.#end(error ?? new BrokerError("UNREACHABLE", `${this.endpoint} ended the stream`));
    };
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  open(cursor: FetchCursor, topicId: string): void {
    const id = this.#nextId;
    this.#nextId += 1;
    cursor.stream = this;
    cursor.cursorId = id;
    this.#cursors.set(id, cursor);
    const creditBytes = this.#owedBytes;
    this.#owedBytes = 0;
    const opening = {
      cursor: id,
      topicId,
      partition: cursor.partition,
      offset: cursor.nextOffset,
      lastEpoch: cursor.lastEpoch,
      layoutEpoch: 0,
      protocolVersion: PROTOCOL_VERSION_MAX,
    };
    this.#stream.send({ open: [opening], close: [], creditBytes });
  }

  leave(cursor: FetchCursor): void {
    if (cursor.stream !== this) return;
    this.#cursors.delete(cursor.cursorId);
    cursor.stream = undefined;
    if (!this.#isOver) this.#stream.send({ open: [], close: [cursor.cursorId], creditBytes: 0 });
  }

  /** Granted in larger pieces. */
  consumed(bytes: number): void {
    this.#owedBytes += bytes;
    if (this.#isOver || this.#owedBytes < this.#shareBytes / 4) return;
    const creditBytes = this.#owedBytes;
    this.#owedBytes = 0;
    this.#stream.send({ open: [], close: [], creditBytes });
  }

  /** Ends the stream without telling anybody. */
  close(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    for (const cursor of this.#cursors.values()) cursor.stream = undefined;
    this.#cursors.clear();
    this.#stream.cancel();
  }

  #onAnswer(answer: FetchResponse): void {
    for (const data of answer.data) {
      const cursor = this.#cursors.get(data.cursor);
      if (this.#isOver) return;
      if (cursor !== undefined) this.#events.onData(cursor, data);
      // What came for a cursor that has left costs credit nevertheless.
      else this.consumed(data.batches.reduce((sum, batch) => sum + batch.length, 0));
    }
    for (const error of answer.errors) {
      const cursor = this.#cursors.get(error.cursor);
      if (cursor === undefined || this.#isOver) continue;
      this.#cursors.delete(error.cursor);
      cursor.stream = undefined;
      this.#events.onCursorError(cursor, error);
    }
  }

  #end(error: BrokerError): void {
    if (this.#isOver) return;
    this.#isOver = true;
    const cursors = [...this.#cursors.values()];
    this.#cursors.clear();
    for (const cursor of cursors) cursor.stream = undefined;
    this.#events.onEnd(this, cursors, error);
  }
}
