// Shows how far a run of controls is: one line that changes on a terminal, else a line per control that is done. Goes to
// stderr, so that stdout is the report alone.
export interface Terminal {
  readonly isTTY?: boolean | undefined;
  readonly columns?: number | undefined;
  write(text: string): unknown;
}

export class Progress {
  readonly #out: Terminal;
  readonly #total: number;
  /** Seed that each control is at. */
  readonly #running = new Map<string, number>();
  #done = 0;

  constructor(out: Terminal, total: number) {
    this.#out = out;
    this.#total = total;
  }

  at(name: string, seed: number): void {
    this.#running.set(name, seed);
    this.#draw();
  }

  /** @param line what came of it */
  done(name: string, line: string): void {
    this.#running.delete(name);
    this.#done += 1;
    this.#clear();
    this.#out.write(`${line}\n`);
    this.#draw();
  }

  end(): void {
    this.#running.clear();
    this.#clear();
  }

  #draw(): void {
    if (this.#out.isTTY !== true) return;
    const running = [...this.#running].map(([name, seed]) => `${name} at seed ${seed}`);
    const text = `${this.#done}/${this.#total} done · ${running.join(" · ")}`;
    this.#clear();
    this.#out.write(text.slice(0, (this.#out.columns ?? 80) - 1));
  }

  #clear(): void {
    if (this.#out.isTTY === true) this.#out.write("\r\u001b[2K");
  }
}
