// `flotilla produce`: one message per line of standard input or a file. Many sends are under way at once, a bounded
// number; their order is kept by the producer.
import { createReadStream, statSync } from "node:fs";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import type { Acks, Flush } from "../../model/durability.ts";
import type { OutgoingMessage, ProducerPort, SendReceipt } from "../client-port.ts";
import { type Context, type GlobalOptions, timeoutOf, withClient } from "../context.ts";
import { CliError, describeFailure } from "../failure.ts";
import type { HeaderOption } from "../options.ts";
import { Pace } from "../pace.ts";
import { Progress } from "../progress.ts";

export interface ProduceOptions extends GlobalOptions {
  readonly file?: string;
  readonly key?: string;
  readonly keySeparator?: string;
  readonly partition?: number;
  readonly header: readonly HeaderOption[];
  readonly rate?: number;
  readonly acks?: Acks;
  readonly flush?: Flush;
  readonly receipts?: boolean;
  readonly tombstones?: boolean;
}

/** Sends under way; the next line is read when one of them was answered. */
const UNDER_WAY_MAX = 2000;

interface Tally {
  sent: number;
  acknowledged: number;
  duplicates: number;
  failed: number;
  firstError: unknown;
}

export async function produce(
  topic: string,
  options: ProduceOptions,
  context: Context,
  input: Readable = process.stdin,
): Promise<void> {
  const source = options.file === undefined ? input : createReadStream(options.file);
  const bytesTotal = options.file === undefined ? undefined : statSync(options.file).size;
  const isTyped = options.file === undefined && context.terminal.isInteractive;
  if (isTyped) context.terminal.note("one message per line; Ctrl-D ends");
  const tally: Tally = {
    sent: 0,
    acknowledged: 0,
    duplicates: 0,
    failed: 0,
    firstError: undefined,
  };
  const progress = new Progress(context.terminal, bytesTotal);
  await withClient(context, options, async (client) => {
    const producer = client.producer({
      topic,
      acks: options.acks,
      flush: options.flush,
      timeoutMs: timeoutOf(options),
    });
    try {
      await sendLines(source, producer, {
        options,
        context,
        tally,
        progress,
        showReceipts: isTyped || options.receipts === true,
      });
    } finally {
      await producer.close();
      progress.stop();
    }
  });
  report(topic, tally, options, context);
}

interface Run {
  readonly options: ProduceOptions;
  readonly context: Context;
  readonly tally: Tally;
  readonly progress: Progress;
  readonly showReceipts: boolean;
}

async function sendLines(source: Readable, producer: ProducerPort, run: Run): Promise<void> {
  const { context, options, progress, tally } = run;
  const lines = createInterface({ input: source, crlfDelay: Number.POSITIVE_INFINITY });
  const pace = options.rate === undefined ? undefined : new Pace(options.rate);
  const underWay = new Set<Promise<void>>();
  const stop = (): void => lines.close();
  context.signal.addEventListener("abort", stop, { once: true });
  for await (const line of lines) {
    await pace?.turn();
    // Lines can be long: so many under way need not fit into the producer's buffer.
    await producer.ready();
    if (context.signal.aborted || tally.firstError !== undefined) break;
    const message = messageOf(line, options);
    tally.sent += 1;
    const sending = producer.send(message).then(
      (receipt) => acknowledged(receipt, run),
      (error: unknown) => {
        tally.failed += 1;
        tally.firstError ??= error;
      },
    );
    underWay.add(sending);
    void sending.then(() => underWay.delete(sending));
    progress.advance(Buffer.byteLength(line) + 1, tally.acknowledged);
    if (underWay.size >= UNDER_WAY_MAX) await Promise.race(underWay);
  }
  lines.close();
  await Promise.all(underWay);
}

function messageOf(line: string, options: ProduceOptions): OutgoingMessage {
  let key = options.key;
  let value = line;
  if (options.keySeparator !== undefined) {
    const at = line.indexOf(options.keySeparator);
    if (at >= 0) {
      key = line.slice(0, at);
      value = line.slice(at + options.keySeparator.length);
    }
  }
  const isTombstone = options.tombstones === true && value === "";
  return {
    key: key === undefined ? undefined : Buffer.from(key, "utf8"),
    value: isTombstone ? undefined : Buffer.from(value, "utf8"),
    headers: options.header.map((header) => ({
      name: header.name,
      value: Buffer.from(header.value, "utf8"),
    })),
    partition: options.partition,
  };
}

function acknowledged(receipt: SendReceipt, run: Run): void {
  run.tally.acknowledged += 1;
  if (receipt.duplicate) run.tally.duplicates += 1;
  if (!run.showReceipts) return;
  if (run.options.output === "json") run.context.terminal.line(JSON.stringify(receipt));
  else
    run.context.terminal.line(
      `partition ${receipt.partition}  offset ${receipt.offset}  ${receipt.acks}/${receipt.flush}`,
    );
}

function report(topic: string, tally: Tally, options: ProduceOptions, context: Context): void {
  const { acknowledged: ok, failed, sent } = tally;
  if (options.output === "json" && options.receipts !== true) {
    context.terminal.line(
      JSON.stringify({ topic, sent, acknowledged: ok, duplicates: tally.duplicates, failed }),
    );
  } else {
    const what = options.acks === "none" ? "given to the network, unacknowledged" : "acknowledged";
    context.terminal.note(
      `${topic}: ${sent} sent, ${ok} ${what}${failed === 0 ? "" : `, ${failed} failed`}`,
    );
  }
  if (tally.firstError === undefined) return;
  const { advice, exitCode, message } = describeFailure(tally.firstError);
  throw new CliError(
    exitCode,
    failed === 1 ? message : `${failed} sends failed, the first: ${message}`,
    advice,
    {
      cause: tally.firstError,
    },
  );
}
