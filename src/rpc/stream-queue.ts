// Lets calls begin a few per turn of the event loop. A client's hundreds of calls arrive with one read of its socket, and
// dozens of clients are read in one turn: what they ask for would hold everything else up. Beyond the first few calls of a
// turn, connections take turns. The number of calls is bounded by the admission, which has counted them before. Used by
// server-window.
import type { Http2Session, ServerHttp2Stream } from "node:http2";
import type { Clock } from "../base/clock.ts";

const PER_TURN = 32;

type Begin = () => void;

export class StreamQueue {
  readonly #clock: Clock;
  /** Those with calls that wait; the first one is next. */
  readonly #waiting = new Map<Http2Session, Begin[]>();
  #begun = 0;
  #isTurnDue = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** @param begin not called when the stream is closed before its turn */
  add(stream: ServerHttp2Stream, begin: Begin): void {
    const { session } = stream;
    if (session === undefined) return;
    this.#scheduleTurn();
    if (this.#waiting.size === 0 && this.#begun < PER_TURN) {
      this.#begun += 1;
      begin();
      return;
    }
    const ofSession = this.#waiting.get(session);
    const guarded = (): void => {
      if (stream.destroyed || stream.closed) return;
      this.#begun += 1;
      begin();
    };
    if (ofSession === undefined) this.#waiting.set(session, [guarded]);
    else ofSession.push(guarded);
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
    while (this.#waiting.size > 0 && this.#begun < PER_TURN) {
      for (const [session, calls] of this.#waiting) {
        this.#waiting.delete(session);
        const begin = calls.shift();
        if (calls.length > 0) this.#waiting.set(session, calls);
        begin?.();
        break;
      }
    }
    if (this.#waiting.size > 0) this.#scheduleTurn();
  }
}
