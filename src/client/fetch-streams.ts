// The fetch streams of one reader, one per broker, and the credit that they share.
import type { BrokerError } from "../model/errors.ts";
import type { CursorBatches, CursorError } from "../rpc/generated/flotilla-v1.ts";
import type { ConnectionPool } from "./connection-pool.ts";
import { FetchCredit } from "./fetch-credit.ts";
import type { FetchCursor } from "./fetch-cursor.ts";
import { FetchStream, type FetchStreamEvents } from "./fetch-stream.ts";

/** What the streams tell their reader. */
export interface FetchEvents {
  /** Of the data's bytes, every one is to be reported as consumed at some time. */
  onData(cursor: FetchCursor, data: CursorBatches, stream: FetchStream): void;
  onCursorError(cursor: FetchCursor, error: CursorError): void;
  /** The stream to this broker is over; its cursors have to go elsewhere. */
  onLost(endpoint: string, cursors: readonly FetchCursor[], error: BrokerError): void;
}

export class FetchStreams implements FetchStreamEvents {
  readonly #connections: ConnectionPool;
  readonly #events: FetchEvents;
  readonly #credit: FetchCredit<FetchStream>;
  readonly #streams = new Map<string, FetchStream>();

  /** @param creditBytes received and not consumed, all brokers together */
  constructor(connections: ConnectionPool, creditBytes: number, events: FetchEvents) {
    this.#connections = connections;
    this.#events = events;
    this.#credit = new FetchCredit(creditBytes);
  }

  /**
   * Opens a cursor at a broker.
   * @param brokers among how many the credit is shared, as far as is known
   * @throws BrokerError CLOSED
   */
  open(cursor: FetchCursor, topicId: string, endpoint: string, brokers: () => number): void {
    this.#endIdle(endpoint);
    let stream = this.#streams.get(endpoint);
    if (stream === undefined) {
      stream = new FetchStream(this.#connections.get(endpoint, "fetch"), this);
      this.#streams.set(endpoint, stream);
      this.#credit.begin(stream, brokers());
    }
    stream.open(cursor, topicId, this.#credit.take(stream));
    this.#grant();
  }

  /** Nothing more is wanted of a cursor's partition. */
  finish(cursor: FetchCursor): void {
    cursor.stream?.leave(cursor);
    this.#endIdle();
    this.#grant();
  }

  /** The application took so many bytes. @param stream the one that brought them; it may be over */
  consumed(stream: FetchStream, bytes: number): void {
    this.#credit.consumed(stream, bytes);
    this.#grant();
  }

  /** Ends all without telling anybody. */
  close(): void {
    for (const stream of [...this.#streams.values()]) this.#end(stream);
  }

  // --- FetchStreamEvents

  onData(stream: FetchStream, data: CursorBatches, cursor: FetchCursor | undefined): void {
    const bytes = data.batches.reduce((sum, chunk) => sum + chunk.length, 0);
    this.#credit.arrived(stream, bytes);
    if (cursor === undefined) this.consumed(stream, bytes);
    else this.#events.onData(cursor, data, stream);
  }

  onCursorError(cursor: FetchCursor, error: CursorError): void {
    this.#events.onCursorError(cursor, error);
  }

  onEnd(stream: FetchStream, cursors: readonly FetchCursor[], error: BrokerError): void {
    this.#forget(stream);
    this.#grant();
    this.#events.onLost(stream.endpoint, cursors, error);
  }

  /** What was granted to a broker that leads nothing any more would be kept from the others for good. */
  #endIdle(except?: string): void {
    for (const stream of [...this.#streams.values()]) {
      if (stream.isIdle && stream.endpoint !== except) this.#end(stream);
    }
  }

  #end(stream: FetchStream): void {
    this.#forget(stream);
    stream.close();
  }

  #forget(stream: FetchStream): void {
    this.#credit.end(stream);
    if (this.#streams.get(stream.endpoint) === stream) this.#streams.delete(stream.endpoint);
  }

  #grant(): void {
    for (let due = this.#credit.due(); due !== undefined; due = this.#credit.due()) {
      due.grant(this.#credit.take(due));
    }
  }
}
