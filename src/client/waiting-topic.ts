// Messages of a topic whose metadata is not known yet, in order. They go to their lanes when it is.
import type { FlotillaError } from "./flotilla-error.ts";
import type { OutgoingMessage, SendClass } from "./producer-topic.ts";
import { type SendCallback, tell } from "./send-batch.ts";

/** Rough size of a waiting message beside its key and value, bytes. */
const OVERHEAD_BYTES = 200;

/** What producer topics take when the metadata is known. */
export interface WaitingMessage {
  readonly message: OutgoingMessage;
  readonly send: SendClass;
  readonly atMs: number;
  readonly deadlineMs: number;
  readonly bytes: number;
  readonly done: SendCallback;
}

export class WaitingTopic {
  readonly name: string;
  /** When the first question for it was asked. */
  readonly sinceMs: number;
  /** Failed questions. */
  attempts = 0;
  bytes = 0;
  /** Told when nothing waits any more. */
  readonly onEmpty: (() => void)[] = [];
  #items: WaitingMessage[] = [];

  constructor(name: string, sinceMs: number) {
    this.name = name;
    this.sinceMs = sinceMs;
  }

  get isEmpty(): boolean {
    return this.#items.length === 0;
  }

  /** @returns bytes charged to the buffer */
  add(
    message: OutgoingMessage,
    send: SendClass,
    times: { readonly atMs: number; readonly deadlineMs: number },
    done: SendCallback,
  ): number {
    // The caller may write into its buffers as soon as the call has returned.
    const { key, value } = message;
    const kept = { ...message, key: copied(key), value: copied(value ?? undefined) };
    const bytes = OVERHEAD_BYTES + (key?.length ?? 0) + (value?.length ?? 0);
    this.#items.push({ message: kept, send: { ...send }, ...times, bytes, done });
    this.bytes += bytes;
    return bytes;
  }

  /** Takes everything out, in order. */
  take(): readonly WaitingMessage[] {
    const items = this.#items;
    this.#items = [];
    this.bytes = 0;
    return items;
  }

  /** Fails what is due. @returns bytes that are free now */
  expire(nowMs: number, error: () => FlotillaError): number {
    const due = this.#items.findIndex((item) => item.deadlineMs > nowMs);
    const count = due < 0 ? this.#items.length : due;
    let bytes = 0;
    for (const item of this.#items.splice(0, count)) {
      bytes += item.bytes;
      tell(item.done, error());
    }
    this.bytes -= bytes;
    if (this.isEmpty) this.tellEmpty();
    return bytes;
  }

  tellEmpty(): void {
    for (const tell of this.onEmpty.splice(0)) tell();
  }
}

function copied(content: Uint8Array | string | undefined): Uint8Array | string | undefined {
  return content === undefined || typeof content === "string" ? content : Buffer.from(content);
}
