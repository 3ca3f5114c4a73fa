// The judge is judged first: a clean history must pass, and each planted anomaly must be found. A run whose judge is
// blind proves nothing, so run.ts calls this before it starts a broker.
import type { AnomalyKind } from "../../src/testkit/index.ts";
import { Ledger } from "./ledger.ts";
import { emptyRead, type PartitionRead } from "./partition-read.ts";
import { RunHistory } from "./run-history.ts";
import { judge } from "./verdict.ts";

const SENDS = 40;
const TOPIC = "planted";

interface Planted {
  readonly kind: AnomalyKind;
  readonly plant: (reads: readonly [PartitionRead, PartitionRead], ledger: Ledger) => void;
}

const PLANTED: readonly Planted[] = [
  { kind: "lost-acknowledged-write", plant: ([read]) => cutColumns(read, read.sends.length - 1) },
  {
    kind: "duplicate-in-log",
    plant: ([read]) => append(read, read.sends[0] ?? 0, read.slots[0] ?? 0),
  },
  { kind: "duplicate-in-log", plant: ([a, b]) => append(b, a.sends[0] ?? 0, a.slots[0] ?? 0) },
  { kind: "send-reorder", plant: ([read]) => swap(read.sends, 0, 2) },
  { kind: "receipt-mismatch", plant: ([read]) => swap(read.sends, 0, 2) },
  { kind: "offset-divergence", plant: ([read]) => append(read, read.sends[0] ?? 0, 0, 1) },
  { kind: "phantom", plant: ([read]) => append(read, SENDS + 5, 0) },
  { kind: "skipped-offset", plant: ([read]) => append(read, SENDS - 1, 0, 1000) },
  {
    kind: "aborted-read",
    plant: ([read], ledger) => {
      const n = ledger.begin(0, 0, 0);
      ledger.fail(n, "not-applied", "NOT_LEADER", 1);
      append(read, n, 0);
    },
  },
];

/** @throws Error naming what the judge did not find, or found where nothing was */
export function checkTheJudge(): void {
  const clean = planted(() => undefined);
  if (clean.length > 0) throw new Error(`the judge finds ${clean.join(", ")} in a clean history`);
  for (const { kind, plant } of PLANTED) {
    const found = planted(plant);
    if (!found.includes(kind)) throw new Error(`the judge does not find a planted ${kind}`);
  }
}

/** Even slots live in partition 0, odd ones in 1. */
function planted(plant: Planted["plant"]): AnomalyKind[] {
  const ledger = new Ledger();
  const producer = ledger.addProducer("planted");
  const reads = [emptyRead(0, SENDS + 2), emptyRead(1, SENDS + 2)] as const;
  for (let i = 0; i < SENDS; i += 1) {
    const slot = i % 2;
    const n = ledger.begin(producer, slot, i);
    const read = reads[slot] ?? reads[0];
    const offset = read.sends.length;
    ledger.acknowledge(n, { partition: slot, offset, leaderEpoch: 1, duplicate: false }, i + 1);
    append(read, n, slot);
  }
  plant(reads, ledger);
  const history = new RunHistory("planted", ledger, TOPIC);
  history.reads = reads;
  return judge(history).anomalies.map(({ kind }) => kind);
}

function append(read: PartitionRead, n: number, slot: number, offset = read.sends.length): void {
  read.sends.push(n);
  read.slots.push(slot);
  read.offsets.push(offset);
  read.leaderEpochs.push(1);
}

function cutColumns(read: PartitionRead, length: number): void {
  for (const column of [read.sends, read.slots, read.offsets, read.leaderEpochs]) {
    column.length = length;
  }
}

function swap(column: number[], i: number, j: number): void {
  [column[i], column[j]] = [column[j] ?? 0, column[i] ?? 0];
}
