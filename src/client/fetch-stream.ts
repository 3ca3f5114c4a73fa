// One fetch stream of a reader to one broker, with the cursors whose partitions that broker leads.
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

/** What a stream tells whoever made it. */
export interface FetchStreamEvents {
  /** @param cursor undefined: it has left; what came for it costs credit nevertheless */
  onData(stream: FetchStream, data: CursorBatches, cursor: FetchCursor | undefined): void;
  onCursorError(cursor: FetchCursor, error: CursorError): void;
  /** The stream is over; its cursors have to go elsewhere. */
  onEnd(stream: FetchStream, cursors: readonly FetchCursor[], error: BrokerError): void;
}

export class FetchStream implements CursorStream {
  readonly endpoint: string;
  readonly #stream: MessageStream<FetchRequest, FetchResponse>;
  readonly #events: FetchStreamEvents;
  readonly #cursors = new Map<number, FetchCursor>();
  #nextId = 0;
  #isOver = false;

  constructor(connection: Connection, events: FetchStreamEvents) {
    this.endpoint = connection.endpoint;
    this.#events = events;
    this.#stream = connection.bidi(fetchService.fetch);
    this.#stream.onMessage = (answer) => this.#onAnswer(answer);
    this.#stream.onEnd = (error) => {
      this.#end(error ?? new BrokerError("UNREACHABLE", `${this.endpoint} ended the stream`));
    };
  }

  /** It serves no cursor. */
  get isIdle(): boolean {
    return this.#cursors.size === 0;
  }

  /** @param creditBytes what the broker may send beyond what was granted before */
  open(cursor: FetchCursor, topicId: string, creditBytes: number): void {
    const id = this.#nextId;
    this.#nextId += 1;
    cursor.stream = this;
    cursor.cursorId = id;
    this.#cursors.set(id, cursor);
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

  grant(creditBytes: number): void {
    if (!this.#isOver) this.#stream.send({ open: [], close: [], creditBytes });
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
      if (this.#isOver) return;
      this.#events.onData(this, data, this.#cursors.get(data.cursor));
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
