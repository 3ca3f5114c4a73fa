// Progress of a long send, on a terminal only: a bar when the total is known, a counter when it is not.
import type { SingleBar } from "cli-progress";
import type { Terminal } from "./terminal.ts";

const COUNTER_EVERY_MS = 200;

export class Progress {
  readonly #terminal: Terminal;
  readonly #total: number | undefined;
  #bar: SingleBar | undefined;
  #isStopped = false;
  #done = 0;
  #shownAt = 0;

  /** @param total bytes, when known */
  constructor(terminal: Terminal, total: number | undefined) {
    this.#terminal = terminal;
    this.#total = total;
    if (terminal.canTalk && total !== undefined && total > 0) void this.#openBar(total);
  }

  advance(bytes: number, acknowledged: number): void {
    this.#done += bytes;
    if (this.#bar !== undefined) {
      this.#bar.update(Math.min(this.#done, this.#total ?? 0), { acknowledged });
      return;
    }
    if (this.#total !== undefined || performance.now() - this.#shownAt < COUNTER_EVERY_MS) return;
    this.#shownAt = performance.now();
    if (!this.#terminal.isInteractive) this.#terminal.status(`${acknowledged} acknowledged`);
  }

  stop(): void {
    this.#isStopped = true;
    this.#bar?.stop();
  }

  async #openBar(total: number): Promise<void> {
    const { SingleBar: Bar } = await import("cli-progress");
    if (this.#isStopped) return;
    this.#bar = new Bar({
      format: "{bar} {percentage}% · {acknowledged} acknowledged · {eta_formatted} left",
      stream: process.stderr,
      hideCursor: true,
      clearOnComplete: true,
    });
    this.#bar.start(total, this.#done, { acknowledged: 0 });
  }
}
