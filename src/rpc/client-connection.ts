// One connection of a listener: its streams, what it holds in memory, and what it did lately. The admission makes it, the
// guard looks at it from time to time.
import type { ServerHttp2Session } from "node:http2";
import type { Clock } from "../base/clock.ts";
import { MemoryAccount, type MemoryBudget } from "../model/memory-budget.ts";
import type { StreamMeter } from "./stream-meter.ts";

/** What happened on a connection since its counts began anew. */
export interface Activity {
  readonly rawBytes: number;
  /** Bytes of messages among them, and what may have come for streams that ended before their client did. */
  readonly dataBytes: number;
  readonly sentBytes: number;
  readonly streamsOpened: number;
  /** Streams that the client broke off. */
  readonly resets: number;
  readonly pings: number;
  readonly settings: number;
}

/** RFC 9113 §7, as a stream's code when nobody broke it off. */
const HTTP2_NO_ERROR = 0;

export class ClientConnection {
  readonly session: ServerHttp2Session;
  readonly account: MemoryAccount;
  readonly streams = new Set<StreamMeter>();
  readonly openedMs: number;
  /** The client has spoken HTTP/2. */
  isGreeted = false;
  #idleSinceMs: number;
  readonly #clock: Clock;
  #closedStreamsBytes = 0;
  #streamsOpened = 0;
  #resets = 0;
  #pings = 0;
  #settings = 0;
  #seenRawBytes = 0;
  #seenDataBytes = 0;
  #seenSentBytes = 0;

  /** Told of each frame that carries no message, and of each broken stream: a flood must not last until the next look. */
  onCheap: () => void = () => undefined;

  constructor(session: ServerHttp2Session, budget: MemoryBudget, clock: Clock) {
    this.session = session;
    this.account = new MemoryAccount(budget);
    this.#clock = clock;
    this.openedMs = clock.monotonicMs();
    this.#idleSinceMs = this.openedMs;
    session.on("ping", () => {
      this.#pings += 1;
      this.onCheap();
    });
    session.on("remoteSettings", () => {
      this.isGreeted = true;
      this.#settings += 1;
      this.onCheap();
    });
  }

  /** Undefined while a stream is open. */
  get idleSinceMs(): number | undefined {
    return this.streams.size === 0 ? this.#idleSinceMs : undefined;
  }

  opened(meter: StreamMeter): void {
    this.isGreeted = true;
    this.#streamsOpened += 1;
    this.streams.add(meter);
  }

  closed(meter: StreamMeter, rstCode: number | undefined): void {
    if (!this.streams.delete(meter)) return;
    meter.close();
    this.#closedStreamsBytes += meter.receivedBytes;
    if (rstCode !== undefined && rstCode !== HTTP2_NO_ERROR) {
      this.#resets += 1;
      this.onCheap();
    }
    if (this.streams.size === 0) this.#idleSinceMs = this.#clock.monotonicMs();
  }

  /** A stream ended before its client did: its window may still be on the way. */
  brokenOff(windowBytes: number): void {
    this.#closedStreamsBytes += windowBytes;
  }

  /** Frames and broken streams alone; cheap enough to be asked for each of them. */
  get cheapFrames(): Pick<Activity, "pings" | "settings" | "resets"> {
    return { pings: this.#pings, settings: this.#settings, resets: this.#resets };
  }

  /** @param isOver counts begin anew */
  activity(isOver: boolean): Activity {
    const { bytesRead, bytesWritten } = bytesOf(this.session);
    let dataBytes = this.#closedStreamsBytes;
    for (const { receivedBytes } of this.streams) dataBytes += receivedBytes;
    const activity = {
      rawBytes: bytesRead - this.#seenRawBytes,
      dataBytes: dataBytes - this.#seenDataBytes,
      sentBytes: bytesWritten - this.#seenSentBytes,
      streamsOpened: this.#streamsOpened,
      resets: this.#resets,
      pings: this.#pings,
      settings: this.#settings,
    };
    if (!isOver) return activity;
    this.#seenRawBytes = bytesRead;
    this.#seenDataBytes = dataBytes;
    this.#seenSentBytes = bytesWritten;
    this.#streamsOpened = 0;
    this.#resets = 0;
    this.#pings = 0;
    this.#settings = 0;
    return activity;
  }

  close(): void {
    for (const meter of this.streams) meter.close();
    this.streams.clear();
    this.account.close();
  }
}

/** A destroyed session has no socket any more. */
function bytesOf(session: ServerHttp2Session): { bytesRead: number; bytesWritten: number } {
  if (session.destroyed) return { bytesRead: 0, bytesWritten: 0 };
  const { bytesRead, bytesWritten } = session.socket;
  return { bytesRead, bytesWritten };
}
