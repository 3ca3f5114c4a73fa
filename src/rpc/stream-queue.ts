// Lets calls begin a few per turn of the event loop. A client's hundreds of calls arrive with one read of its socket, and
// dozens of clients are read in one turn: what they ask for would hold everything else up. Beyond the first few calls of a
// turn, connections take turns. The number of calls is bounded by the admission, which has counted them before. Used by
// server-window.
import type { Http2Session, ServerHttp2Stream } from "node:http2";
import type { Clock } from "../base/clock.ts";

const PER_TURN = 32;

type Calls = Map<ServerHttp2Stream, () => void>;

export class StreamQueue {
  readonly #clock: Clock;
  /** Those with calls that wait; the first one is next. */
  readonly #waiting = new Map<Http2Session, Calls>();
  #begun = 0;
  #isTurnDue = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** @param begin not called when the stream is closed, or was answered, before its turn */
  add(stream: ServerHttp2Stream, begin: () => void): void {
    const { session } = stream;
    if (session === undefined) return;
    this.#scheduleTurn();
    if (this.#waiting.size === 0 && this.#begun < PER_TURN) {
      this.#begun += 1;
      begin();
      return;
    }
    const calls: Calls = this.#waiting.get(session) ?? new Map<ServerHttp2Stream, () => void>();
    this.#waiting.set(session, calls.set(stream, begin));
    stream.once("close", () => {
      if (calls.delete(stream) && calls.size === 0) this.#waiting.delete(session);
    });
  }

  #scheduleTurn(): void {
    if (this.#isTurnDue) return;
    this.#isTurnDue = true;
    this.#clock.schedule(0, () => {
      this.#isTurnDue = false;
      this.#begun = 0;
      this.#turn();
    });
  }

  #turn(): void {
    while (this.#begun < PER_TURN) {
      const [next] = this.#waiting;
      if (next === undefined) return;
      const [session, calls] = next;
      this.#waiting.delete(session);
      const [call] = calls;
      if (call === undefined) continue;
      const [stream, begin] = call;
      calls.delete(stream);
      if (calls.size > 0) this.#waiting.set(session, calls);
      if (stream.destroyed || stream.closed || stream.headersSent) continue;
      this.#begun += 1;
      begin();
    }
    if (this.#waiting.size > 0) this.#scheduleTurn();
  }
}
