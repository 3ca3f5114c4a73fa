// Reads a whole topic with a fresh client, from the first record to the end, and keeps what it saw in columns.
import { createClient, type ReceivedMessage } from "../../src/client/index.ts";
import { emptyRead, type PartitionRead } from "./partition-read.ts";
import { sendNumberOf, slotOf } from "./payload.ts";

/** @throws Error when it takes longer than `timeoutMs` */
export async function readBack(
  bootstrap: readonly string[],
  topic: string,
  partitions: number,
  timeoutMs = 120_000,
): Promise<readonly PartitionRead[]> {
  const beganMs = performance.now();
  const reads = Array.from({ length: partitions }, (_, partition) => emptyRead(partition, beganMs));
  const client = createClient({ bootstrap: [...bootstrap] });
  const timeout = AbortSignal.timeout(timeoutMs);
  try {
    const reader = client.reader({ topic, from: "earliest", until: "end", signal: timeout });
    for await (const message of reader) {
      const read = reads[message.partition];
      if (read === undefined) throw new Error(`read from unknown partition ${message.partition}`);
      addMessage(read, message);
    }
    if (timeout.aborted) throw new Error(`reading back took longer than ${timeoutMs} ms`);
  } finally {
    await client.close();
  }
  return reads;
}

export function addMessage(read: PartitionRead, message: ReceivedMessage): void {
  const n = sendNumberOf(message.value);
  const slot = slotOf(message.key);
  if (n === undefined || slot < 0) {
    const bytes = Buffer.from(message.value ?? []).subarray(0, 32);
    read.strange.set(read.sends.length, `strange:${bytes.toString("hex")}`);
  }
  read.sends.push(n ?? -1);
  read.slots.push(slot);
  read.offsets.push(message.offset);
  read.leaderEpochs.push(message.leaderEpoch);
  read.times?.push(performance.now());
}
