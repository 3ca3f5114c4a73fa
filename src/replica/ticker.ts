// The one ticker of a node. After a stall (GC, SIGSTOP) the timer fires before input that waited in the sockets was read;
// ticking at once would start elections against a leader whose heartbeats lie unread. So a late tick first lets the
// event loop turn twice, then counts as one tick, whatever was missed (raft.md §1.7).
import type { Cancel, Clock } from "../base/clock.ts";

export class Ticker {
  readonly #clock: Clock;
  readonly #tickMs: number;
  readonly #onTick: () => void;
  readonly #onStall: (lateMs: number) => void;
  #cancel: Cancel | undefined;
  #isRunning = false;

  constructor(clock: Clock, tickMs: number, onTick: () => void, onStall: (lateMs: number) => void) {
    this.#clock = clock;
    this.#tickMs = tickMs;
    this.#onTick = onTick;
    this.#onStall = onStall;
  }

  start(): void {
    if (this.#isRunning) return;
    this.#isRunning = true;
    this.#arm();
  }

  stop(): void {
    this.#isRunning = false;
    this.#cancel?.();
  }

  #arm(): void {
    const dueMs = this.#clock.monotonicMs() + this.#tickMs;
    this.#cancel = this.#clock.schedule(this.#tickMs, () => {
      const lateMs = this.#clock.monotonicMs() - dueMs;
      if (lateMs <= this.#tickMs) {
        this.#tick();
        return;
      }
      this.#onStall(lateMs);
      this.#clock.defer(() => {
        this.#cancel = this.#clock.schedule(0, () => this.#clock.defer(() => this.#tick()));
      });
    });
  }

  #tick(): void {
    if (!this.#isRunning) return;
    this.#arm();
    this.#onTick();
  }
}
