import { expect, test } from "vitest";
import { Ledger } from "./ledger.ts";
import { emptyRead } from "./partition-read.ts";
import { VALUE_BYTES } from "./payload.ts";
import { lossOf } from "./power-loss.ts";

test("power loss: counts what was acknowledged before the cut and is gone, with age and bytes", () => {
  const ledger = new Ledger();
  const producer = ledger.addProducer("p");
  const read = emptyRead(0, 0);
  for (let i = 0; i < 10; i += 1) {
    const n = ledger.begin(producer, 0, i * 10);
    const receipt = { partition: 0, offset: i, leaderEpoch: 1, duplicate: false };
    // The last one is not acknowledged before the cut, the one before it never.
    if (i < 8) ledger.acknowledge(n, receipt, i * 10 + 1);
    if (i === 9) ledger.acknowledge(n, receipt, 200);
    if (i < 6) read.sends.push(n);
  }
  expect(lossOf(ledger, [read], 0, 100)).toEqual({
    lost: 2,
    oldestMs: 39,
    bytesMax: 2 * VALUE_BYTES,
  });
  expect(lossOf(ledger, [read], 7, 100).lost).toBe(1);
});
