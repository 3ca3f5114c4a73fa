// Judges a history: pure functions, one per anomaly. The final reads of the history must cover every partition from its
// log start to the end ("final" readers), otherwise "lost" and "not yet read" cannot be told apart.
import type {
  HistoryEvent,
  RecordRead,
  SendAcknowledged,
  SendFailed,
  SendInvoked,
} from "./history.ts";

export type AnomalyKind =
  | "lost-acknowledged-write"
  | "duplicate-in-log"
  | "offset-divergence"
  | "aborted-read"
  | "phantom"
  | "non-monotonic-read"
  | "skipped-offset"
  | "send-reorder"
  | "receipt-mismatch"
  | "duplicate-value-sent";

export interface Anomaly {
  readonly kind: AnomalyKind;
  readonly value: string;
  readonly detail: string;
}

export interface CheckOptions {
  /** Name of the readers that read everything at the end; their reads decide about loss. */
  readonly finalReader: string;
  /** Acknowledged sends of these classes must survive; others may be lost by the faults of this run. */
  readonly mustSurvive: ReadonlySet<SendInvoked["durability"]>;
}

export interface CheckReport {
  readonly anomalies: readonly Anomaly[];
  readonly sent: number;
  readonly acknowledged: number;
  readonly failed: number;
  readonly unknown: number;
  readonly read: number;
}

interface Index {
  readonly sends: Map<string, SendInvoked>;
  readonly sendOrder: Map<string, number>;
  readonly acks: Map<string, SendAcknowledged>;
  readonly failures: Map<string, SendFailed>;
  readonly reads: RecordRead[];
  readonly anomalies: Anomaly[];
}

/** Every anomaly in the history, and its counts. */
export function checkHistory(events: readonly HistoryEvent[], options: CheckOptions): CheckReport {
  const index = buildIndex(events);
  const finalReads = index.reads.filter((read) => read.reader.startsWith(options.finalReader));
  const anomalies = [
    ...index.anomalies,
    ...lostWrites(index, finalReads, options),
    ...duplicates(finalReads),
    ...divergence(index),
    ...phantomsAndAborted(index),
    ...readerOrder(index.reads),
    ...sendOrder(index, finalReads),
    ...receiptMismatches(index, finalReads, options),
  ];
  let unknown = 0;
  for (const failure of index.failures.values()) if (failure.outcome === "unknown") unknown += 1;
  return {
    anomalies,
    sent: index.sends.size,
    acknowledged: index.acks.size,
    failed: index.failures.size - unknown,
    unknown,
    read: index.reads.length,
  };
}

function buildIndex(events: readonly HistoryEvent[]): Index {
  const index: Index = {
    sends: new Map(),
    sendOrder: new Map(),
    acks: new Map(),
    failures: new Map(),
    reads: [],
    anomalies: [],
  };
  for (const event of events) {
    if (event.type === "send") {
      if (index.sends.has(event.value)) {
        const detail = "the test sent one value twice; every value must be unique";
        index.anomalies.push({ kind: "duplicate-value-sent", value: event.value, detail });
      }
      index.sends.set(event.value, event);
      index.sendOrder.set(event.value, index.sendOrder.size);
    } else if (event.type === "ack") index.acks.set(event.value, event);
    else if (event.type === "fail") index.failures.set(event.value, event);
    else if (event.type === "read") index.reads.push(event);
  }
  return index;
}

/** A1: acknowledged, its class survives these faults, and the final read does not have it. */
function lostWrites(
  index: Index,
  finalReads: readonly RecordRead[],
  options: CheckOptions,
): Anomaly[] {
  const present = new Set(finalReads.map((read) => read.value));
  const lost: Anomaly[] = [];
  for (const [value, ack] of index.acks) {
    const send = index.sends.get(value);
    if (send === undefined || present.has(value) || !options.mustSurvive.has(send.durability)) {
      continue;
    }
    const detail = `acknowledged at ${place(send.topic, ack)} epoch ${ack.leaderEpoch}, never read`;
    lost.push({ kind: "lost-acknowledged-write", value, detail });
  }
  return lost;
}

/** A3: one value at two places. */
function duplicates(finalReads: readonly RecordRead[]): Anomaly[] {
  const first = new Map<string, RecordRead>();
  const found: Anomaly[] = [];
  for (const read of finalReads) {
    const earlier = first.get(read.value);
    if (earlier === undefined) first.set(read.value, read);
    else if (earlier.partition !== read.partition || earlier.offset !== read.offset) {
      const detail = `at ${place(read.topic, earlier)} and ${place(read.topic, read)}`;
      found.push({ kind: "duplicate-in-log", value: read.value, detail });
    }
  }
  return found;
}

/** A5: one place held two values, in reads or receipts of classes that survive. */
function divergence(index: Index): Anomaly[] {
  const values = new Map<string, string>();
  const found: Anomaly[] = [];
  for (const read of index.reads) {
    const where = place(read.topic, read);
    const earlier = values.get(where);
    if (earlier === undefined) values.set(where, read.value);
    else if (earlier !== read.value) {
      const detail = `${where} held "${earlier}" before`;
      found.push({ kind: "offset-divergence", value: read.value, detail });
    }
  }
  return found;
}

/** A17 and A6: nobody sent it; or its sender was told that it was not applied. */
function phantomsAndAborted(index: Index): Anomaly[] {
  const found: Anomaly[] = [];
  for (const read of index.reads) {
    const send = index.sends.get(read.value);
    if (send === undefined || send.topic !== read.topic || send.key !== read.key) {
      const detail = `read at ${place(read.topic, read)}, never sent like this`;
      found.push({ kind: "phantom", value: read.value, detail });
    } else if (index.failures.get(read.value)?.outcome === "not-applied") {
      const detail = `read at ${place(read.topic, read)}, though its send failed as not applied`;
      found.push({ kind: "aborted-read", value: read.value, detail });
    }
  }
  return found;
}

/** A10–A12: within one reader's pass over a partition, offsets are consecutive. */
function readerOrder(reads: readonly RecordRead[]): Anomaly[] {
  const next = new Map<string, number>();
  const found: Anomaly[] = [];
  for (const read of reads) {
    const pass = `${read.reader}|${read.topic}|${read.partition}`;
    const expected = next.get(pass);
    if (expected !== undefined && read.offset !== expected) {
      const kind = read.offset < expected ? "non-monotonic-read" : "skipped-offset";
      const detail = `${pass}: offset ${read.offset} where ${expected} was due`;
      found.push({ kind, value: read.value, detail });
    }
    next.set(pass, read.offset + 1);
  }
  return found;
}

/** A13: per producer and key (or partition, without keys), the log has the order of sending. */
function sendOrder(index: Index, finalReads: readonly RecordRead[]): Anomaly[] {
  const latest = new Map<string, { readonly order: number; readonly value: string }>();
  const found: Anomaly[] = [];
  for (const read of finalReads) {
    const send = index.sends.get(read.value);
    const order = index.sendOrder.get(read.value);
    if (send === undefined || order === undefined || !index.acks.has(read.value)) continue;
    const scope = `${send.producer}|${send.durability}|${send.topic}|${send.key ?? `#${read.partition}`}`;
    const before = latest.get(scope);
    if (before !== undefined && order < before.order) {
      const detail = `${scope}: "${read.value}" was sent before "${before.value}" but stands after it`;
      found.push({ kind: "send-reorder", value: read.value, detail });
    } else latest.set(scope, { order, value: read.value });
  }
  return found;
}

/** The receipt names another place than the one where the record is. */
function receiptMismatches(
  index: Index,
  finalReads: readonly RecordRead[],
  options: CheckOptions,
): Anomaly[] {
  const found: Anomaly[] = [];
  for (const read of finalReads) {
    const ack = index.acks.get(read.value);
    const send = index.sends.get(read.value);
    // A tail that was acknowledged by its leader alone may be cut off, and a copy that was under way stored elsewhere.
    if (ack === undefined || send === undefined || !options.mustSurvive.has(send.durability)) {
      continue;
    }
    if (ack.partition !== read.partition || ack.offset !== read.offset) {
      const detail = `receipt says ${place(read.topic, ack)}, it is at ${place(read.topic, read)}`;
      found.push({ kind: "receipt-mismatch", value: read.value, detail });
    }
  }
  return found;
}

function place(topic: string, at: { readonly partition: number; readonly offset: number }): string {
  return `${topic}/${at.partition}@${at.offset}`;
}
