// A sink for a consumer's recorder that hands what is written to the test's process. flushed() resolves when the kernel has
// it: from then on it reaches the test, even if this process is killed.
import type { DeliverySink } from "../../src/testkit/index.ts";
import type { Method, Report, Row } from "./wire.ts";

export class Outbox {
  readonly sink: DeliverySink;
  readonly #send: (report: Report, done: () => void) => void;
  #rows: Row[] = [];
  #flush: Promise<void> | undefined;

  constructor(send: (report: Report, done: () => void) => void) {
    this.#send = send;
    const write =
      (method: Method) =>
      (...values: readonly unknown[]): void => {
        this.#rows.push({ method, values });
      };
    this.sink = {
      deliver: write("deliver"),
      resume: write("resume"),
      begin: write("begin"),
      end: write("end"),
      answer: write("answer"),
      lose: write("lose"),
      ask: (token, verdict, ranges, atMs, number = 0) => {
        this.#rows.push({ method: "ask", values: [token, verdict, ranges, atMs, number] });
        return number;
      },
    };
  }

  /** Everything that was written so far is on its way; what is written in this turn goes along. */
  flushed(): Promise<void> {
    this.#flush ??= new Promise((resolve) => {
      setImmediate(() => {
        this.#flush = undefined;
        const rows = this.#rows;
        this.#rows = [];
        this.#send({ kind: "rows", rows }, resolve);
      });
    });
    return this.#flush;
  }
}
