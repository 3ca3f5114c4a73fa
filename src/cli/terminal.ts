// What commands write to. Data goes to standard output, talk to standard error, so that pipes stay clean. Colours only
// on a terminal, never with NO_COLOR. Tests give their own.

import { createInterface } from "node:readline";
import type { Writable } from "node:stream";
import { EXIT } from "./exit-codes.ts";

export type OutputFormat = "table" | "json";

export interface Terminal {
  /** Data: one call, one line. */
  line(text: string): void;
  /**
   * Data without a line end of its own. Resolves when the reader's end has taken it.
   * @throws ReaderGone
   */
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

/** Who reads standard output has closed it: `flotilla consume … | head` is a normal way to stop. */
export class ReaderGone extends Error {
  override readonly name = "ReaderGone";
}

/** @param exit for errors of standard output that nobody awaits */
export interface TerminalOptions {
  readonly out?: Writable;
  readonly exit?: (code: number) => void;
}

const CLEAR_LINE = "\r\u001b[K";

export function processTerminal(options: TerminalOptions = {}): Terminal {
  const { exit = (code: number) => process.exit(code), out = process.stdout } = options;
  const canTalk = process.stderr.isTTY === true;
  let hasStatus = false;
  const clear = (): void => {
    if (hasStatus) process.stderr.write(CLEAR_LINE);
    hasStatus = false;
  };
  let isGone = false;
  out.on("error", (error: NodeJS.ErrnoException) => {
    // Whoever awaited the write was told, and ends the command in good order.
    if (!isGone) exit(error.code === "EPIPE" ? EXIT.OK : EXIT.FAILED);
  });
  return {
    line(text) {
      clear();
      out.write(`${text}\n`);
    },
    write(bytes) {
      clear();
      return new Promise((resolve, reject) => {
        const gone = (): void => reject(new ReaderGone("nobody reads standard output any more"));
        if (isGone) {
          gone();
          return;
        }
        out.write(bytes, (error: NodeJS.ErrnoException | null | undefined) => {
          if (error === null || error === undefined) resolve();
          else if (isGone || error.code === "EPIPE") {
            isGone = true;
            gone();
          } else reject(error);
        });
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
