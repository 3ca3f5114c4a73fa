// `flotilla lag`: how far subscriptions are behind, and, while watching, how fast they catch up.
import { isBrokerError } from "../../model/errors.ts";
import { type Context, type GlobalOptions, withClient } from "../context.ts";
import {
  drainText,
  noteUnknown,
  placeText,
  rateText,
  unsettledColumns,
} from "../format-progress.ts";
import { type LagRate, LagRates } from "../lag-rates.ts";
import { pause } from "../node-process.ts";
import type { PartitionProgress, Progress, SubscriptionsPort } from "../subscription-port.ts";
import { printRows } from "../table.ts";

const WATCH_EVERY_MS = 1000;
const CLEAR_SCREEN = "\u001b[H\u001b[J";
/** Subscriptions that are asked for at a time. */
const QUESTIONS_MAX = 8;

export interface LagOptions extends GlobalOptions {
  readonly watch?: boolean;
}

/** A partition of the named subscription; without a name a whole subscription, whose partitions are added up. */
interface LagRow extends PartitionProgress {
  readonly subscription: string;
  readonly rate: LagRate | undefined;
}

export async function lag(
  name: string | undefined,
  options: LagOptions,
  context: Context,
): Promise<void> {
  const rates = new LagRates();
  await withClient(context, options, async ({ admin: { subscriptions } }) => {
    for (;;) {
      const looks = await look(subscriptions, name);
      if (options.watch === true && context.terminal.isInteractive)
        await context.terminal.write(CLEAR_SCREEN);
      print(looks, name, { options, context, rates, nowMs: Date.now() });
      if (options.watch !== true) return;
      await pause(WATCH_EVERY_MS);
      if (context.signal.aborted) return;
    }
  });
}

type Look = readonly [subscription: string, progress: Progress];

async function look(port: SubscriptionsPort, name: string | undefined): Promise<readonly Look[]> {
  if (name !== undefined) return [[name, await port.progress(name)]];
  const all = await port.list({ prefix: "", topic: undefined });
  const looks: Look[] = [];
  for (let from = 0; from < all.length; from += QUESTIONS_MAX) {
    const some = all.slice(from, from + QUESTIONS_MAX);
    looks.push(
      ...(
        await Promise.all(
          some.map(async (one): Promise<Look[]> => {
            const progress = await progressUnlessGone(port, one.name);
            return progress === undefined ? [] : [[one.name, progress]];
          }),
        )
      ).flat(),
    );
  }
  return looks;
}

/** Of those that were listed some may have been deleted since. */
async function progressUnlessGone(
  port: SubscriptionsPort,
  name: string,
): Promise<Progress | undefined> {
  try {
    return await port.progress(name);
  } catch (error) {
    if (isBrokerError(error, "UNKNOWN_SUBSCRIPTION")) return undefined;
    throw error;
  }
}

interface Printing {
  readonly options: LagOptions;
  readonly context: Context;
  readonly rates: LagRates;
  readonly nowMs: number;
}

function print(looks: readonly Look[], name: string | undefined, printing: Printing): void {
  const { context, nowMs, options, rates } = printing;
  const rows = looks.flatMap(([subscription, { partitions }]) => {
    const rateOf = (some: readonly PartitionProgress[]): LagRate | undefined =>
      rates.lookAtAll(
        some.map((row) => {
          const { highWatermark, unsettledMessages: unsettled } = row;
          const settled = highWatermark - unsettled;
          return [`${subscription} ${placeText(row)}`, { timeMs: nowMs, settled, unsettled }];
        }),
      );
    if (name === undefined) {
      return [{ ...total(partitions), subscription, rate: rateOf(partitions) }];
    }
    return partitions.map((row): LagRow => ({ ...row, subscription, rate: rateOf([row]) }));
  });
  printRows(
    context.terminal,
    options.output,
    rows,
    [
      name === undefined
        ? { title: "SUBSCRIPTION", text: (row) => row.subscription }
        : { title: "PARTITION", text: placeText },
      ...unsettledColumns(nowMs),
      { title: "OUT", text: (row) => row.outstandingMessages, align: "right" },
      { title: "RETRYING", text: (row) => row.retryingMessages, align: "right" },
      { title: "CONSUMERS", text: (row) => row.consumers, align: "right" },
      ...(options.watch === true
        ? [
            { title: "RATE", text: (row: LagRow) => rateText(row.rate), align: "right" } as const,
            {
              title: "DRAINED IN",
              text: (row: LagRow) => drainText(row.rate, row.unsettledMessages),
              align: "right",
            } as const,
          ]
        : []),
    ],
    name === undefined ? "no subscriptions" : "no partition is known",
  );
  noteUnknown(
    context.terminal,
    looks.flatMap(([, progress]) => progress.unknown),
  );
}

/** All partitions as if they were one; consumers are counted where most are seen. */
function total(rows: readonly PartitionProgress[]): PartitionProgress {
  const sum = (read: (row: PartitionProgress) => number): number =>
    rows.reduce((before, row) => before + read(row), 0);
  const ages = rows.map((row) => row.oldestUnsettledMs).filter((ms) => ms > 0);
  return {
    topic: "",
    partition: 0,
    attached: rows.every((row) => row.attached),
    cursor: sum((row) => row.cursor),
    highWatermark: sum((row) => row.highWatermark),
    unsettledMessages: sum((row) => row.unsettledMessages),
    unsettledBytes: sum((row) => row.unsettledBytes),
    oldestUnsettledMs: ages.length === 0 ? 0 : Math.min(...ages),
    outstandingMessages: sum((row) => row.outstandingMessages),
    retryingMessages: sum((row) => row.retryingMessages),
    parkedKeys: sum((row) => row.parkedKeys),
    droppedMessages: sum((row) => row.droppedMessages),
    consumers: Math.max(0, ...rows.map((row) => row.consumers)),
    activeConsumer: "",
    stoppedAtPlusOne: 0,
  };
}
