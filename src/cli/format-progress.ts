// Tables about how far subscriptions are.
import type { PartitionName } from "./client-port.ts";
import type { LagRate } from "./lag-rates.ts";
import type { PartitionProgress, Progress } from "./subscription-port.ts";
import { type Column, humanBytes, humanDuration, renderTable } from "./table.ts";
import type { Terminal } from "./terminal.ts";

type Row = PartitionProgress;

/** Where a subscription stands in each partition. */
export function printProgress(terminal: Terminal, progress: Progress, nowMs: number): void {
  const { partitions } = progress;
  if (partitions.length > 0) {
    terminal.line(
      renderTable(
        [
          { title: "PARTITION", text: placeText },
          { title: "CURSOR", text: (row) => row.cursor, align: "right" },
          { title: "NEXT", text: (row) => row.highWatermark, align: "right" },
          ...unsettledColumns(nowMs),
          { title: "OUT", text: (row) => row.outstandingMessages, align: "right" },
          { title: "RETRYING", text: (row) => row.retryingMessages, align: "right" },
          { title: "PARKED", text: (row) => row.parkedKeys, align: "right" },
          { title: "CONSUMERS", text: consumersText, align: "right" },
          ...(partitions.some(isRemarkable) ? [{ title: "NOTE", text: remarkText }] : []),
        ],
        partitions,
      ),
    );
  }
  noteUnknown(terminal, progress.unknown);
}

export function noteUnknown(terminal: Terminal, unknown: readonly PartitionName[]): void {
  if (unknown.length === 0) return;
  const places = unknown.slice(0, 5).map(placeText).join(", ");
  const more = unknown.length > 5 ? ` and ${unknown.length - 5} more` : "";
  terminal.note(`no leader answered for ${places}${more}`);
}

/** Messages, bytes and age of what is not settled. */
export function unsettledColumns(nowMs: number): readonly Column<Row>[] {
  return [
    { title: "UNSETTLED", text: (row) => row.unsettledMessages, align: "right" },
    { title: "BYTES", text: (row) => humanBytes(row.unsettledBytes), align: "right" },
    { title: "OLDEST", text: (row) => ageText(row, nowMs), align: "right" },
  ];
}

export function placeText({ partition, topic }: PartitionName): string {
  return `${topic}/${partition}`;
}

function ageText({ oldestUnsettledMs }: Row, nowMs: number): string {
  return oldestUnsettledMs === 0 ? "–" : humanDuration(Math.max(0, nowMs - oldestUnsettledMs));
}

export function rateText(rate: LagRate | undefined): string {
  return rate === undefined ? "…" : `${Math.round(rate.perSecond)}/s`;
}

export function drainText(rate: LagRate | undefined, unsettled: number): string {
  if (unsettled === 0) return "done";
  if (rate === undefined) return "…";
  return rate.drainMs === undefined ? "never at this rate" : humanDuration(rate.drainMs);
}

function consumersText({ activeConsumer, consumers }: Row): string {
  return activeConsumer === "" ? String(consumers) : `${consumers} (${activeConsumer})`;
}

function isRemarkable(row: Row): boolean {
  return remarkText(row) !== "";
}

function remarkText({ attached, droppedMessages, stoppedAtPlusOne }: Row): string {
  const remarks: string[] = [];
  if (!attached) remarks.push("not attached yet");
  if (stoppedAtPlusOne > 0) remarks.push(`stopped at ${stoppedAtPlusOne - 1}`);
  if (droppedMessages > 0) remarks.push(`${droppedMessages} dropped unsettled`);
  return remarks.join(", ");
}
