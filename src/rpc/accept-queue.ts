// Lets connections begin a few per turn of the event loop. An HTTP/2 session costs far more than a socket, and the system
// hands over hundreds of accepted sockets at once: a storm of connections would hold everything else up. Those that are gone
// before their turn cost nothing more. The number of sockets is bounded by the listener. Used by server-window.
import type { Socket } from "node:net";
import type { Clock } from "../base/clock.ts";

const PER_TURN = 4;

export class AcceptQueue {
  readonly #clock: Clock;
  readonly #begin: (socket: Socket) => void;
  #waiting: Socket[] = [];
  #isTurnDue = false;

  /** @param begin makes a session of the socket */
  constructor(clock: Clock, begin: (socket: Socket) => void) {
    this.#clock = clock;
    this.#begin = begin;
  }

  add(socket: Socket): void {
    socket.on("error", () => undefined);
    this.#waiting.push(socket);
    if (!this.#isTurnDue) this.#turn();
  }

  #turn(): void {
    let count = 0;
    let place = 0;
    for (; place < this.#waiting.length && count < PER_TURN; place += 1) {
      const socket = this.#waiting[place];
      if (socket === undefined || socket.destroyed) continue;
      count += 1;
      this.#begin(socket);
    }
    this.#waiting = this.#waiting.slice(place);
    this.#isTurnDue = true;
    this.#clock.schedule(0, () => {
      this.#isTurnDue = false;
      if (this.#waiting.length > 0) this.#turn();
    });
  }
}
