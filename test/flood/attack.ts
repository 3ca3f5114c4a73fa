// What every attack is, and what it may use. An attack runs in a process of its own that yields to everything else, until its
// signal is aborted; it bounds what it opens itself, and leaves nothing open.
import type { Tally } from "./tally.ts";

export interface Target {
  /** Client listeners, "host:port". */
  readonly clients: readonly string[];
  readonly admins: readonly string[];
  /** A topic that may be filled, with its id. */
  readonly topic: string;
  readonly topicId: string;
  readonly partitions: number;
  /** Of that topic, from its earliest message; what nobody settles comes again at once. */
  readonly subscription: string;
}

/** What at least one of must have happened, else the attack was none. */
export type Effect = "refused" | "cut" | "answered";

export interface Attack {
  readonly name: string;
  readonly what: string;
  readonly effects: readonly Effect[];
  run(target: Target, tally: Tally, signal: AbortSignal): Promise<void>;
}

/** Waits, or returns at once when the attack is over. */
export function rest(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) {
      resolve();
      return;
    }
    const done = (): void => {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal.addEventListener("abort", done, { once: true });
  });
}

export function pick<T>(items: readonly T[], place: number): T {
  const item = items[place % items.length];
  if (item === undefined) throw new Error("nothing to pick from");
  return item;
}

export function portOf(endpoint: string): { readonly host: string; readonly port: number } {
  const [host = "", port = ""] = endpoint.split(":");
  return { host, port: Number(port) };
}
