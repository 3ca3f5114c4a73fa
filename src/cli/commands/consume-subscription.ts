// `flotilla consume --subscription`: takes part in a subscription and writes each message; what was written is acknowledged.
import { type Context, type GlobalOptions, withClient } from "../context.ts";
import { compileFormat, formatJsonLine } from "../message-format.ts";
import { UNACKED_MAX, usage } from "../options.ts";

export interface ConsumeSubscriptionOptions extends GlobalOptions {
  readonly subscription?: string;
  readonly ack?: "auto" | "none";
  readonly concurrency?: number;
  readonly count?: number;
  readonly format: string;
}

/** @param others options that only positions have */
export async function consumeSubscription(
  options: ConsumeSubscriptionOptions,
  topic: string | undefined,
  others: readonly string[],
  context: Context,
): Promise<void> {
  const { ack = "auto", concurrency = 1, subscription = "" } = options;
  if (topic !== undefined) throw usage("name a topic or a --subscription, not both");
  const [other] = others;
  if (other !== undefined)
    throw usage(`--${other} is of topics; a subscription has its own position`);
  const isAcked = ack === "auto";
  if (!isAcked && options.concurrency !== undefined) {
    throw usage("--concurrency is of batches that are acknowledged: leave it out with --ack none");
  }
  const countMax = options.count ?? (isAcked ? Number.POSITIVE_INFINITY : UNACKED_MAX);
  if (!isAcked && countMax > UNACKED_MAX) {
    throw usage(`--ack none holds what it shows: --count must be at most ${UNACKED_MAX}`);
  }
  const format = options.output === "json" ? formatJsonLine : compileFormat(options.format);
  let count = 0;
  if (countMax > 0) {
    await withClient(context, options, async (client) => {
      count = await client.consume({
        subscription,
        concurrency,
        isAcked,
        countMax,
        signal: context.signal,
        write: (messages) => context.terminal.write(Buffer.concat(messages.map(format))),
      });
    });
  }
  if (context.terminal.canTalk) context.terminal.note(`${count} messages`);
}

/** Reading by position needs a topic, and no words of subscriptions. */
export function requiredTopic(
  topic: string | undefined,
  { ack, concurrency }: ConsumeSubscriptionOptions,
): string {
  if (topic === undefined) throw usage("name a topic, or a subscription with --subscription");
  if (ack !== undefined) throw usage("--ack needs --subscription");
  if (concurrency !== undefined) throw usage("--concurrency needs --subscription");
  return topic;
}
