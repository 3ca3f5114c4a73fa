// `flotilla consume`: reads a topic by offset or time and writes each message as text or as a JSON line.
import { type Context, type GlobalOptions, withClient } from "../context.ts";
import { compileFormat, formatJsonLine } from "../message-format.ts";
import { parseFrom } from "../options.ts";

export interface ConsumeOptions extends GlobalOptions {
  readonly from: string;
  readonly partition?: readonly number[];
  readonly count?: number;
  readonly follow?: boolean;
  readonly format: string;
}

/** Written in one piece, so that many small messages do not cost a system call each. */
const WRITE_BYTES = 64 * 1024;

export async function consume(
  topic: string,
  options: ConsumeOptions,
  context: Context,
): Promise<void> {
  const format = options.output === "json" ? formatJsonLine : compileFormat(options.format);
  const from = parseFrom(options.from, Date.now());
  const countMax = options.count ?? Number.POSITIVE_INFINITY;
  const stop = new AbortController();
  const signal = AbortSignal.any([context.signal, stop.signal]);
  let count = 0;
  if (countMax > 0) {
    await withClient(context, options, async (client) => {
      const out = new BufferedOutput(context, () => stop.abort());
      const messages = client.read({
        topic,
        partitions: options.partition,
        from,
        follow: options.follow === true,
        signal,
      });
      try {
        for await (const message of messages) {
          await out.add(format(message));
          count += 1;
          if (count >= countMax) break;
        }
      } catch (error) {
        // Ctrl-C is a normal end.
        if (!context.signal.aborted) throw error;
      } finally {
        stop.abort();
        await out.flush();
      }
    });
  }
  if (context.terminal.canTalk || options.follow === true)
    context.terminal.note(`${count} messages`);
}

/** Collects output and writes it when there is enough, or when nothing more came in this turn. */
class BufferedOutput {
  readonly #context: Context;
  #parts: Buffer[] = [];
  #bytes = 0;
  #timer: NodeJS.Immediate | undefined;
  readonly #onFailed: () => void;
  /** Of a write that nobody awaited. */
  #failure: { readonly error: unknown } | undefined;

  /** @param onFailed told when a write failed that nobody awaited; the next call throws why */
  constructor(context: Context, onFailed: () => void) {
    this.#context = context;
    this.#onFailed = onFailed;
  }

  async add(part: Buffer): Promise<void> {
    this.#parts.push(part);
    this.#bytes += part.length;
    if (this.#bytes >= WRITE_BYTES) {
      await this.flush();
      return;
    }
    this.#timer ??= setImmediate(() => {
      this.flush().catch((error: unknown) => {
        this.#failure = { error };
        this.#onFailed();
      });
    });
  }

  async flush(): Promise<void> {
    if (this.#timer !== undefined) clearImmediate(this.#timer);
    this.#timer = undefined;
    if (this.#failure !== undefined) throw this.#failure.error;
    if (this.#bytes === 0) return;
    const bytes = Buffer.concat(this.#parts);
    this.#parts = [];
    this.#bytes = 0;
    await this.#context.terminal.write(bytes);
  }
}
