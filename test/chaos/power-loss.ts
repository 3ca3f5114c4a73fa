// What power cuts cost a topic of class all/async: acknowledged sends that are not in what was read back. The promise allows
// what was acknowledged within a window before the cut; this measures how old and how much the loss was.

import { LAZY_FLUSH_BYTES, LAZY_FLUSH_MS } from "../../src/replica/flush-scheduler.ts";
import { ACKNOWLEDGED, type Ledger } from "./ledger.ts";
import type { PartitionRead } from "./partition-read.ts";
import { VALUE_BYTES } from "./payload.ts";

/**
 * A majority has flushed an acknowledged record so long after: the delay of lazy flushes, and a round of flushes of a busy
 * disk. What is older than this and gone is an anomaly.
 */
export const ASYNC_WINDOW_MS: number = LAZY_FLUSH_MS + 150;
/** Of one log: what may be unflushed, and as much again that came while a flush was under way. */
export const ASYNC_BYTES_MAX: number = 2 * LAZY_FLUSH_BYTES;

export interface PowerLoss {
  readonly lost: number;
  /** Longest time from an acknowledgement that was lost to the cut. */
  readonly oldestMs: number;
  /** Most bytes of values lost of one partition. */
  readonly bytesMax: number;
}

/** @param fromSend what was sent since the cut before @param cutMs when the brokers were killed */
export function lossOf(
  ledger: Ledger,
  reads: readonly PartitionRead[],
  fromSend: number,
  cutMs: number,
): PowerLoss {
  const present = new Set(reads.flatMap(({ sends }) => sends.filter((n) => n >= fromSend)));
  const bytes = new Map<number, number>();
  let lost = 0;
  let oldestMs = 0;
  for (let n = fromSend; n < ledger.sent; n += 1) {
    const { doneAtMs, partition, state } = ledger.row(n);
    if (state !== ACKNOWLEDGED || doneAtMs > cutMs || present.has(n)) continue;
    lost += 1;
    oldestMs = Math.max(oldestMs, cutMs - doneAtMs);
    bytes.set(partition, (bytes.get(partition) ?? 0) + VALUE_BYTES);
  }
  return { lost, oldestMs, bytesMax: Math.max(0, ...bytes.values()) };
}
