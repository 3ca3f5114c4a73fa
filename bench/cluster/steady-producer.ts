// Worker thread: sends at a fixed rate, whether or not earlier messages were answered, until it is told to stop; then says how
// many were due by then and how many of these were acknowledged.
import { parentPort, workerData } from "node:worker_threads";
import { createClient } from "../../src/client/index.ts";
import type { Acks, Flush } from "../../src/model/durability.ts";
import { keyNames } from "./setup.ts";

export interface SteadyLoad {
  readonly bootstrap: readonly string[];
  readonly topic: string;
  readonly acks: Acks;
  readonly flush: Flush;
  readonly size: number;
  readonly keys: number;
  /** Messages a second. */
  readonly rate: number;
}

export interface SteadyResult {
  readonly due: number;
  /** When the load ended. */
  readonly acknowledged: number;
  readonly failed: number;
}

// Given by long-backlog.ts.
const load = workerData as SteadyLoad;
const client = createClient({ bootstrap: load.bootstrap });
const producer = client.producer({ acks: load.acks, flush: load.flush });
const keys = keyNames(load.keys);
const value = Buffer.alloc(load.size, 1);
const startMs = performance.now();
let isOver = false;
let sent = 0;
let acknowledged = 0;
let failed = 0;

parentPort?.once("message", () => {
  isOver = true;
});
while (!isOver) {
  const due = Math.floor(((performance.now() - startMs) * load.rate) / 1000);
  for (; sent < due; sent += 1) sendOne();
  await new Promise((resolve) => setTimeout(resolve, 1));
}
const due = Math.floor(((performance.now() - startMs) * load.rate) / 1000);
const result: SteadyResult = { due, acknowledged, failed };
await producer.close();
await client.close();
parentPort?.postMessage(result);

/** The value begins with -1: not a message of the backlog. */
function sendOne(): void {
  if (value.length >= 8) value.writeDoubleBE(-1, 0);
  try {
    producer.sendAsync(
      { topic: load.topic, key: keys[sent % keys.length] as Buffer, value },
      (error) => {
        if (error === undefined) acknowledged += 1;
        else failed += 1;
      },
    );
  } catch {
    // The buffer is full: this one was due and is not kept.
    failed += 1;
  }
}
