// What commands write to. Data goes to standard output, talk to standard error, so that pipes stay clean. Colours only
// on a terminal, never with NO_COLOR. Tests give their own.

import { createInterface } from "node:readline";

export type OutputFormat = "table" | "json";

export interface Terminal {
  /** Data: one call, one line. */
  line(text: string): void;
  /** Data without a line end of its own. Resolves when the reader can take more. */
  write(bytes: string | Uint8Array): Promise<void>;
  /** Talk: notes, progress, errors. */
  note(text: string): void;
  /** Replaces the current talk line on a terminal; nothing elsewhere. */
  status(text: string): void;
  /** Asks, as talk, and resolves with the line that was typed. Only where isInteractive. */
  ask(question: string): Promise<string>;
  readonly isInteractive: boolean;
  readonly canTalk: boolean;
}

const CLEAR_LINE = "\r\u001b[K";

export function processTerminal(): Terminal {
  const canTalk = process.stderr.isTTY === true;
  let hasStatus = false;
  const clear = (): void => {
    if (hasStatus) process.stderr.write(CLEAR_LINE);
    hasStatus = false;
  };
  return {
    line(text) {
      clear();
      process.stdout.write(`${text}\n`);
    },
    write(bytes) {
      clear();
      return new Promise((resolve) => {
        if (process.stdout.write(bytes)) resolve();
        else process.stdout.once("drain", resolve);
      });
    },
    note(text) {
      clear();
      process.stderr.write(`${text}\n`);
    },
    status(text) {
      if (!canTalk) return;
      process.stderr.write(`${CLEAR_LINE}${text.slice(0, (process.stderr.columns ?? 80) - 1)}`);
      hasStatus = true;
    },
    ask(question) {
      clear();
      const lines = createInterface({ input: process.stdin, output: process.stderr });
      return new Promise((resolve) => {
        lines.once("close", () => resolve(""));
        lines.question(question, (answer) => {
          resolve(answer.trim());
          lines.close();
        });
      });
    },
    isInteractive: process.stdin.isTTY === true && process.stdout.isTTY === true,
    canTalk,
  };
}
