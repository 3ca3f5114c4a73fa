// Judges a run: turns the ledger and what was read back into the events of flotilla/testkit, one partition at a time, and
// lets its checker look at each. A key lives in one partition, so nothing that the checker compares is torn apart,
// except a value that stands in two partitions; that is looked for here.
import {
  type Anomaly,
  type CheckOptions,
  checkHistory,
  type HistoryEvent,
} from "../../src/testkit/index.ts";
import { ACKNOWLEDGED, type Ledger, NOT_APPLIED, type SendRow, UNKNOWN } from "./ledger.ts";
import type { PartitionRead } from "./partition-read.ts";
import { keyOf } from "./payload.ts";

export interface Verdict {
  readonly sent: number;
  readonly acknowledged: number;
  readonly failed: number;
  /** Among the failed: those whose outcome the client did not learn. */
  readonly unknown: number;
  readonly read: number;
  /** Acknowledged after a retry that the broker recognized. */
  readonly duplicateReceipts: number;
  readonly anomalies: readonly Anomaly[];
}

const FINAL = "final";
const OPTIONS: CheckOptions = { finalReader: FINAL, mustSurvive: new Set(["all/sync"]) };

/** @param reads one per partition, complete from the log start to the end */
export function judge(ledger: Ledger, topic: string, reads: readonly PartitionRead[]): Verdict {
  const anomalies: Anomaly[] = [...crossPartitionDuplicates(ledger, reads)];
  const homes = homePartitions(ledger, reads);
  let read = 0;
  let duplicateReceipts = 0;
  for (const partition of reads) {
    const rows = rowsOf(ledger, homes, partition);
    duplicateReceipts += rows.filter((row) => row.duplicate).length;
    const events: HistoryEvent[] = [];
    for (const row of rows) events.push(...sendEvents(row, topic));
    for (let i = 0; i < partition.sends.length; i += 1) events.push(readEvent(partition, i, topic));
    anomalies.push(...checkHistory(events, OPTIONS).anomalies);
    read += partition.sends.length;
  }
  const { sent, acknowledged, failed, unknown } = ledger;
  return { sent, acknowledged, failed, unknown, read, duplicateReceipts, anomalies };
}

/** Where each send belongs: where its receipt says, else where it was read, else with partition 0. */
function homePartitions(ledger: Ledger, reads: readonly PartitionRead[]): Int32Array {
  const homes = new Int32Array(ledger.sent).fill(-1);
  for (let n = 0; n < homes.length; n += 1) homes[n] = ledger.partitionOf(n);
  for (const { partition, sends } of reads) {
    for (const n of sends) if (homes[n] === -1) homes[n] = partition;
  }
  const known = new Set(reads.map((read) => read.partition));
  for (let n = 0; n < homes.length; n += 1) if (!known.has(homes[n] ?? -1)) homes[n] = 0;
  return homes;
}

/** Sends that belong here or stand here, in the order of sending. */
function rowsOf(ledger: Ledger, homes: Int32Array, read: PartitionRead): SendRow[] {
  const strangers = new Set(read.sends.filter((n) => n >= 0 && homes[n] !== read.partition));
  const rows: SendRow[] = [];
  for (let n = 0; n < homes.length; n += 1) {
    if (homes[n] === read.partition || strangers.has(n)) rows.push(ledger.row(n));
  }
  return rows;
}

function sendEvents(row: SendRow, topic: string): HistoryEvent[] {
  const value = String(row.n);
  const key = keyOf(row.slot).toString();
  const { producer, sentAtMs, doneAtMs: atMs, partition, offset, leaderEpoch, duplicate } = row;
  const events: HistoryEvent[] = [
    { type: "send", atMs: sentAtMs, producer, topic, key, value, durability: "all/sync" },
  ];
  if (row.state === ACKNOWLEDGED) {
    events.push({ type: "ack", atMs, value, partition, offset, leaderEpoch, duplicate });
  } else if (row.state === NOT_APPLIED || row.state === UNKNOWN) {
    const outcome = row.state === UNKNOWN ? "unknown" : "not-applied";
    events.push({ type: "fail", atMs, value, outcome, reason: row.reason });
  }
  return events;
}

function readEvent(read: PartitionRead, i: number, topic: string): HistoryEvent {
  const slot = read.slots[i] ?? -1;
  return {
    type: "read",
    atMs: 0,
    reader: FINAL,
    topic,
    partition: read.partition,
    offset: read.offsets[i] ?? -1,
    leaderEpoch: read.leaderEpochs[i] ?? -1,
    key: slot < 0 ? undefined : keyOf(slot).toString(),
    value: read.strange.get(i) ?? String(read.sends[i]),
  };
}

function crossPartitionDuplicates(ledger: Ledger, reads: readonly PartitionRead[]): Anomaly[] {
  const first = new Int32Array(ledger.sent).fill(-1);
  const found: Anomaly[] = [];
  for (const { partition, sends } of reads) {
    for (const n of sends) {
      const earlier = first[n];
      if (earlier === -1) first[n] = partition;
      else if (earlier !== undefined && earlier !== partition) {
        const detail = `in partitions ${earlier} and ${partition}`;
        found.push({ kind: "duplicate-in-log", value: String(n), detail });
      }
    }
  }
  return found;
}
